//! What goes over the wire: how many commands, and whose reply is whose.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "support/calls.rs"]
mod calls;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use calls::{LIFE, calls_of, channel, fill_all, keys, token};
use tierstack_core::{Invalidate, Invalidated, LeaseFor, Leased, Tier};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

#[tokio::test]
async fn a_read_is_one_mget_and_a_change_one_script_call() {
    let redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let keys = keys(100);
    let records = fill_all(&tier, &keys).await;
    redis.cli(&["CONFIG", "RESETSTAT"]).unwrap();
    let reply = tier.read(&keys).await;
    assert!(
        reply
            .each
            .iter()
            .zip(&records)
            .all(|(found, record)| found.as_ref().unwrap().as_ref() == Some(record))
    );
    assert!(reply.now_ms.abs_diff(tierstack_core::Clock::system().wall_ms()) < 5_000);
    for (command, calls) in [("mget", 1), ("time", 1), ("get", 0), ("ping", 0), ("evalsha", 0)] {
        assert_eq!(calls_of(&redis, command), calls, "{command}");
    }
    let asks: Vec<_> = keys.iter().map(|key| Invalidate::finished(key.clone(), token(7), LIFE)).collect();
    let reply = tier.invalidate(&channel(), &asks).await;
    assert!(reply.each.iter().all(|done| matches!(done, Ok(Invalidated::Floor))));
    // The first call of a script is by name, and then by its text.
    assert_eq!((calls_of(&redis, "evalsha"), calls_of(&redis, "eval")), (1, 1));
    tier.invalidate(&channel(), &asks).await;
    assert_eq!((calls_of(&redis, "evalsha"), calls_of(&redis, "eval")), (2, 1));
}

#[tokio::test]
async fn an_empty_batch_asks_nothing() {
    let tier = RedisTier::new(RedisSettings::new("redis://127.0.0.1:1")).unwrap();
    assert!(tier.read(&[]).await.each.is_empty() && tier.lease(&[]).await.each.is_empty());
    assert!(tier.fill(&[]).await.each.is_empty() && tier.invalidate(&channel(), &[]).await.each.is_empty());
}

#[tokio::test]
async fn a_batch_above_the_limit_is_several_commands_in_order() {
    let redis = Redis::start().unwrap();
    let mut settings = RedisSettings::new(redis.url());
    settings.max_keys_per_request = 40;
    let tier = RedisTier::new(settings).unwrap();
    let keys = keys(100);
    let records = fill_all(&tier, &keys[..99]).await;
    redis.cli(&["CONFIG", "RESETSTAT"]).unwrap();
    let reply = tier.read(&keys).await;
    let found: Vec<_> = reply.each.into_iter().map(Result::unwrap).collect();
    assert_eq!(found[..99], records.into_iter().map(Some).collect::<Vec<_>>());
    assert_eq!(found[99], None);
    assert_eq!(calls_of(&redis, "mget"), 3);
}

/// Connections that Redis has taken so far, that of this question among them.
fn accepted(redis: &Redis) -> u32 {
    let info = redis.cli(&["INFO", "stats"]).unwrap();
    let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().trim().parse().unwrap()
}

/// A thousand first callers make no more connections than are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_callers_share_one_connect() {
    let redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let before = accepted(&redis);
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let tier = tier.clone();
            tokio::spawn(async move { calls::read(&tier, &keys(1)[0]).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), None);
    }
    assert_eq!(accepted(&redis) - before, 3, "two of the tier, one of the question");
}

/// Callers that give up do not cost a connection that answers others.
#[tokio::test]
async fn a_connection_that_answers_is_kept() {
    let redis = Redis::start().unwrap();
    let mut settings = RedisSettings::new(redis.url());
    (settings.connections, settings.response_timeout) = (1, Duration::from_millis(100));
    let tier = RedisTier::new(settings).unwrap();
    let key = &keys(1)[0];
    calls::read(&tier, key).await.unwrap();
    let before = accepted(&redis);
    for _ in 0..20 {
        let mut abandoned = Box::pin(calls::read(&tier, key));
        let _ = abandoned.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(abandoned);
        tokio::time::sleep(Duration::from_millis(10)).await;
        calls::read(&tier, key).await.unwrap();
    }
    assert_eq!(accepted(&redis) - before, 1, "that of the question");
}

/// Requests dropped after any number of polls leave every other request its own replies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_mix_no_replies_up() {
    let redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let keys = keys(64);
    let records = fill_all(&tier, &keys).await;
    let mut tasks = Vec::new();
    for seed in 0..8 {
        let (tier, keys, records) = (tier.clone(), keys.clone(), records.clone());
        tasks.push(tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..400 {
                let from = random.usize(..60);
                let asked = &keys[from..from + random.usize(1..4)];
                if random.u8(..3) > 0 {
                    let mut request = pin!(tier.read(asked));
                    for _ in 0..random.u8(..4) {
                        if request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                let found = tier.read(asked).await.each;
                for (place, found) in found.into_iter().enumerate() {
                    assert_eq!(found.unwrap().as_ref(), Some(&records[from + place]), "seed {seed}");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let reply = tier.read(&keys).await;
    assert!(
        reply
            .each
            .iter()
            .zip(&records)
            .all(|(found, record)| found.as_ref().unwrap().as_ref() == Some(record))
    );
}

/// Redis forgets its scripts: all calls of a pipeline are made again, and no answer is lost or moved.
#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let redis = Redis::start().unwrap();
    let mut settings = RedisSettings::new(redis.url());
    settings.max_keys_per_script = 10;
    let tier = RedisTier::new(settings).unwrap();
    let keys = keys(95);
    fill_all(&tier, &keys).await;
    for flushes in 0..3 {
        redis.cli(&["SCRIPT", "FLUSH"]).unwrap();
        let leases: Vec<_> = (0..)
            .zip(&keys)
            .map(|(place, key)| LeaseFor {
                key: key.clone(),
                right: token(100 + flushes),
                // Every third has observed what is there.
                observed: (place % 3 == 0).then(|| token(place)),
                life: LIFE,
                keep: LIFE,
                vacant_ms: None,
            })
            .collect();
        let reply = tier.lease(&leases).await;
        for (place, leased) in reply.each.into_iter().enumerate() {
            match leased.unwrap() {
                Leased::Right(ground) if place % 3 == 0 && flushes == 0 => {
                    assert_eq!(ground.token, Some(token(place as u64)));
                }
                Leased::Wait(_, ground) if place % 3 == 0 => {
                    assert_eq!(ground.token, Some(token(place as u64)));
                }
                Leased::Record(_) if place % 3 != 0 => {}
                other => panic!("key {place} after flush {flushes}: {other:?}"),
            }
        }
    }
}

/// Scripts are flushed by another client while pipelines are under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_forgotten_in_mid_pipeline_cost_nothing() {
    let redis = Redis::start().unwrap();
    let mut settings = RedisSettings::new(redis.url());
    settings.max_keys_per_script = 2;
    let tier = RedisTier::new(settings).unwrap();
    let mut raw = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&stop);
    let flusher = std::thread::spawn(move || {
        while !seen.load(std::sync::atomic::Ordering::Relaxed) {
            redis::cmd("SCRIPT").arg("FLUSH").exec(&mut raw).unwrap();
            std::thread::sleep(Duration::from_micros(50));
        }
    });
    let keys = keys(200);
    for round in 0..60 {
        let asks: Vec<_> = keys
            .iter()
            .map(|key| Invalidate {
                finished: false,
                ..Invalidate::finished(key.clone(), token(round), LIFE)
            })
            .collect();
        let reply = tier.invalidate(&channel(), &asks).await;
        assert!(reply.each.iter().all(|done| matches!(done, Ok(Invalidated::Floor))), "{reply:?}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    flusher.join().unwrap();
    let missed: u32 = redis
        .cli(&["INFO", "errorstats"])
        .unwrap()
        .lines()
        .find_map(|line| line.trim().strip_prefix("errorstat_NOSCRIPT:count=")?.parse().ok())
        .unwrap();
    assert!(missed > 1, "{missed} calls met a forgotten script");
}
