//! Settings are data, refused with what to change; a pool of the application's own will do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{keys, read};
use tierstack_core::ErrorKind;
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

#[test]
fn each_wrong_setting_is_refused_by_its_name() {
    type Change = fn(&mut RedisSettings);
    let cases: [(&str, Change); 9] = [
        ("connections", |s| s.connections = 0),
        ("connect_timeout", |s| s.connect_timeout = Duration::ZERO),
        ("response_timeout", |s| s.response_timeout = Duration::ZERO),
        ("retry_connect_after", |s| s.retry_connect_after = Duration::ZERO),
        ("replace_after_timeouts", |s| s.replace_after_timeouts = 0),
        ("max_keys_per_request", |s| s.max_keys_per_request = 0),
        ("max_keys_per_script", |s| s.max_keys_per_script = 1_000_000),
        ("write 127.0.0.1", |s| s.url = "redis://0.0.0.0".into()),
        ("has no TLS", |s| s.url = "rediss://host".into()),
    ];
    for (named, change) in cases {
        let mut settings = RedisSettings::default();
        change(&mut settings);
        let error = RedisTier::new(settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
}

#[test]
fn settings_are_read_from_a_configuration_and_show_no_password() {
    let settings: RedisSettings =
        serde_json::from_str(r#"{"url": "redis://:secret@host:1/2", "connections": 2}"#).unwrap();
    assert_eq!((settings.connections, settings.max_keys_per_script), (2, 200));
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<RedisSettings>(&text).unwrap(), settings);
    let tier = RedisTier::new(settings.clone()).unwrap();
    let shown = format!("{settings:?} {tier:?}");
    assert!(shown.contains("redis://host:1/2") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_pool_is_borrowed_from_and_given_back_to() {
    let redis = Redis::start().unwrap();
    let config = deadpool_redis::Config::from_url(redis.url());
    let pool =
        config.builder().unwrap().max_size(2).runtime(deadpool_redis::Runtime::Tokio1).build().unwrap();
    let mut settings = RedisSettings::default();
    settings.connections = 3;
    let error = RedisTier::from_pool(pool.clone(), settings.clone()).unwrap_err();
    assert!(error.to_string().contains("enlarge the pool"), "{error}");
    settings.connections = 1;
    let tier = RedisTier::from_pool(pool.clone(), settings).unwrap();
    assert_eq!(read(&tier, &keys(1)[0]).await.unwrap(), None);
    assert_eq!((pool.status().size, pool.status().available), (1, 0));
    drop(tier);
    assert_eq!((pool.status().size, pool.status().available), (1, 1), "a connection that works goes back");
}

#[tokio::test]
async fn a_unix_socket_will_do() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let _redis = Redis::start_with(&["--unixsocket", socket.to_str().unwrap()]).unwrap();
    let tier = RedisTier::new(RedisSettings::new(format!("unix://{}", socket.display()))).unwrap();
    assert_eq!(read(&tier, &keys(1)[0]).await.unwrap(), None);
}
