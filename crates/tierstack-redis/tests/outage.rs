//! Redis gone, hung, slow to connect or wedged: an error soon, and then it works again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "support/calls.rs"]
mod calls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use calls::{fill_all, invalidate, keys, lease, read, token};
use tierstack_core::{ErrorKind, Leased, Tier};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

#[test]
fn a_tier_is_built_without_redis_and_without_a_runtime() {
    let tier = RedisTier::new(RedisSettings::new("redis://127.0.0.1:1")).unwrap();
    let keys = keys(2);
    let reply = futures_util::FutureExt::now_or_never(tier.read(&keys)).expect("fails at once");
    assert!(
        reply.each.iter().all(|one| one.as_ref().is_err_and(|e| e.to_string().contains("tokio runtime")))
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(tier.read(&keys));
    assert!(reply.each.iter().all(|one| one.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unavailable)));
}

#[tokio::test]
async fn a_killed_redis_is_an_error_and_a_restarted_one_works() {
    let mut redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let keys = keys(3);
    fill_all(&tier, &keys).await;
    redis.kill().unwrap();
    let began = Instant::now();
    for _ in 0..50 {
        let reply = tier.read(&keys).await;
        assert_eq!(reply.each.len(), 3);
        assert!(reply.each.iter().all(|one| one.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unavailable)));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "each fails soon: {:?}", began.elapsed());
    redis.restart().unwrap();
    tokio::time::sleep(Duration::from_millis(110)).await;
    assert!(matches!(lease(&tier, &keys[0], token(1)).await.unwrap(), Leased::Right(_)));
}

/// An idle connection that the server closed costs no error.
#[tokio::test]
async fn a_closed_connection_is_replaced_within_the_request() {
    let mut redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let key = &keys(1)[0];
    read(&tier, key).await.unwrap();
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    assert_eq!(read(&tier, key).await.unwrap(), None);
    redis.restart().unwrap();
    assert_eq!(read(&tier, key).await.unwrap(), None);
}

/// A lease that met a closed connection may have been taken, and is not sent again; an invalidation is.
#[tokio::test]
async fn no_lease_is_sent_twice() {
    let redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let key = &keys(1)[0];
    read(&tier, key).await.unwrap();
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    let error = lease(&tier, key, token(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(matches!(lease(&tier, key, token(2)).await.unwrap(), Leased::Right(_)));
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    invalidate(&tier, key, token(3)).await.unwrap();
    let there = read(&tier, key).await.unwrap().unwrap();
    assert_ne!(there[8..24], *token(3).as_bytes(), "sent again under another token");
}

#[tokio::test]
async fn a_stopped_redis_ends_a_request_by_its_timeout() {
    let redis = Redis::start().unwrap();
    let mut settings = RedisSettings::new(redis.url());
    (settings.response_timeout, settings.connect_timeout) =
        (Duration::from_millis(200), Duration::from_millis(200));
    let tier = RedisTier::new(settings).unwrap();
    let keys = keys(2);
    fill_all(&tier, &keys).await;
    redis.stop().unwrap();
    for round in 0..6 {
        let began = Instant::now();
        let error = read(&tier, &keys[0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(began.elapsed() < Duration::from_millis(500), "round {round}: {:?}", began.elapsed());
    }
    redis.cont().unwrap();
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(read(&tier, &keys[0]).await.unwrap().is_some());
}

/// A listener that serves its nth connection by `serve`, and counts them.
async fn stand_in<F, S>(serve: S) -> (String, Arc<AtomicUsize>)
where
    S: Fn(usize, TcpStream) -> F + Send + 'static,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(counter.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (url, count)
}

/// Passes everything on to the Redis at `url` (`redis://host:port`).
async fn pass_on(url: String, mut stream: TcpStream) -> std::io::Result<()> {
    let mut server = TcpStream::connect(url.trim_start_matches("redis://")).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut server).await.map(drop)
}

/// A length that never comes to an end swallows all later replies: only silence tells.
#[tokio::test]
async fn a_wedged_connection_is_replaced_even_if_callers_give_up_early() {
    let redis = Redis::start().unwrap();
    let target = redis.url();
    let (url, count) = stand_in(move |nth, mut stream| {
        let target = target.clone();
        async move {
            if nth > 0 {
                return pass_on(target, stream).await;
            }
            let mut buffer = [0; 4096];
            let mut reply: &[u8] = b"+OK\r\n+OK\r\n";
            // The handshake; then half a gigabyte is announced, and what should be replies are bytes of it.
            for next in
                std::iter::once(&b"*1\r\n$536870000\r\n"[..]).chain(std::iter::repeat(&b"*1\r\n$-1\r\n"[..]))
            {
                if stream.read(&mut buffer).await? == 0 {
                    break;
                }
                stream.write_all(reply).await?;
                reply = next;
            }
            Ok(())
        }
    })
    .await;
    let mut settings = RedisSettings::new(url);
    (settings.connections, settings.response_timeout) = (1, Duration::from_millis(300));
    let tier = RedisTier::new(settings).unwrap();
    let key = &keys(1)[0];
    let mut failures = 0;
    // Each caller gives up long before the response timeout.
    while tokio::time::timeout(Duration::from_millis(50), read(&tier, key)).await.is_err() {
        failures += 1;
        assert!(failures < 30, "the connection is never replaced");
    }
    assert!(failures >= 3, "a few timeouts are not enough: {failures}");
    assert_eq!(read(&tier, key).await.unwrap(), None);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// Callers that give up before a slow connect is through do not undo it.
#[tokio::test]
async fn a_slow_connect_outlives_its_callers() {
    let redis = Redis::start().unwrap();
    let target = redis.url();
    let (url, count) = stand_in(move |_, stream| {
        let target = target.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            pass_on(target, stream).await
        }
    })
    .await;
    let mut settings = RedisSettings::new(url);
    settings.connections = 1;
    let tier = RedisTier::new(settings).unwrap();
    let key = &keys(1)[0];
    let mut failures = 0;
    while tokio::time::timeout(Duration::from_millis(40), read(&tier, key)).await.is_err() {
        failures += 1;
        assert!(failures < 100, "it never connects");
    }
    assert!(failures >= 3);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// A connection that can't be had, as Redis takes no more of them, costs nothing while another stands; it is tried again
/// behind the requests, now and then.
#[tokio::test]
async fn a_connection_that_cannot_be_had_costs_nothing_beside_another() {
    let redis = Redis::start().unwrap();
    let target = redis.url();
    let (url, count) = stand_in(move |nth, stream| {
        let target = target.clone();
        async move { if nth == 0 { pass_on(target, stream).await } else { Ok(()) } }
    })
    .await;
    let retry_connect_after = Duration::from_millis(100);
    let mut settings = RedisSettings::new(url);
    (settings.connections, settings.retry_connect_after) = (3, retry_connect_after);
    let tier = RedisTier::new(settings).unwrap();
    let key = &keys(1)[0];
    let began = Instant::now();
    while count.load(Ordering::SeqCst) < 1 + 3 {
        assert_eq!(read(&tier, key).await.unwrap(), None);
        assert!(began.elapsed() < Duration::from_secs(30), "it is not tried again");
    }
    assert!(began.elapsed() >= 2 * retry_connect_after, "three attempts in {:?}", began.elapsed());
}

/// While nobody answers, requests fail at once, and attempts to connect are far between.
#[tokio::test]
async fn attempts_to_connect_are_throttled() {
    let (url, count) = stand_in(|_, stream| async move {
        drop(stream);
        Ok(())
    })
    .await;
    let mut settings = RedisSettings::new(url);
    settings.retry_connect_after = Duration::from_millis(100);
    let tier = RedisTier::new(settings).unwrap();
    let key = &keys(1)[0];
    let began = Instant::now();
    let mut requests = 0;
    while began.elapsed() < Duration::from_millis(450) {
        assert_eq!(read(&tier, key).await.unwrap_err().kind(), ErrorKind::Unavailable);
        requests += 1;
        tokio::task::yield_now().await;
    }
    let attempts = count.load(Ordering::SeqCst);
    assert!(requests > 100 && (2..=6).contains(&attempts), "{attempts} attempts for {requests} requests");
}

/// A tier outlives the runtime on which it connected.
#[test]
fn another_runtime_opens_another_connection() {
    let redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(read(&tier, &keys(1)[0])).unwrap(), None);
    }
}
