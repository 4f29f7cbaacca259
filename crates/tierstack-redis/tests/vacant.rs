//! Leases of keys at which a read found nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "support/calls.rs"]
mod calls;

use calls::{LIFE, calls_of, fill, fill_all, keys, lease, read, record, token};
use tierstack_core::record::{Header, Read};
use tierstack_core::{ErrorKind, Filled, LeaseFor, Leased, Tier, Token, WireKey};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

fn tier(redis: &Redis) -> RedisTier {
    RedisTier::new(RedisSettings::new(redis.url())).unwrap()
}

fn ask(key: &WireKey, right: Token, vacant_ms: Option<u64>) -> LeaseFor {
    LeaseFor { vacant_ms, ..LeaseFor::new(key.clone(), right, None, LIFE) }
}

/// One plain command each, no script; and what it makes is what the script makes.
#[tokio::test]
async fn what_is_vacant_is_leased_without_a_script() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(300);
    let now_ms = tier.read(&keys).await.now_ms;
    let asks: Vec<_> = keys.iter().map(|key| ask(key, token(1), Some(now_ms))).collect();
    let reply = tier.lease(&asks).await;
    assert!(reply.now_ms >= now_ms, "the reply states the clock");
    for leased in &reply.each {
        assert!(matches!(leased, Ok(Leased::Right(ground)) if ground.token == Some(token(1))), "{leased:?}");
    }
    assert_eq!((calls_of(&redis, "set"), calls_of(&redis, "evalsha")), (300, 0));
    let there = read(&tier, &keys[7]).await.unwrap().unwrap();
    let Read::Record(header) = Header::read(&there) else { panic!("no record: {there:?}") };
    assert_eq!(header.right_until_ms, now_ms + LIFE.as_millis() as u64, "the right counts from the read");
    let left: u128 = redis.cli(&["PTTL", keys[7].as_str()]).unwrap().parse().unwrap();
    assert!(left <= LIFE.as_millis() && left > LIFE.as_millis() / 2, "it ends in {left} ms");
    // For all else it is a floor as any other.
    assert!(matches!(lease(&tier, &keys[7], token(2)).await.unwrap(), Leased::Wait(..)));
    assert_eq!(fill(&tier, &keys[7], token(1), Some(record(&keys[7], token(3)))).await.unwrap(), Filled::Ok);
}

/// The hint is old by the time it is used: what is there by then decides, each key by itself.
#[tokio::test]
async fn what_is_vacant_no_more_is_judged() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(5);
    let now_ms = tier.read(&keys).await.now_ms;
    let records = fill_all(&tier, &keys[..1]).await;
    assert!(matches!(lease(&tier, &keys[1], token(1)).await.unwrap(), Leased::Right(_)));
    redis.cli(&["LPUSH", keys[2].as_str(), "of another type"]).unwrap();
    let vacant = |place: usize| ask(&keys[place], token(9), Some(now_ms));
    // Two in an order of their own, and one that was not read, between them.
    let asks = [vacant(3), vacant(0), ask(&keys[4], token(9), None), vacant(2), vacant(1)];
    let each = tier.lease(&asks).await.each;
    assert!(matches!(&each[0], Ok(Leased::Right(_))), "nothing is there still: {each:?}");
    assert!(matches!(&each[1], Ok(Leased::Record(there)) if *there == records[0]), "it was filled: {each:?}");
    assert!(matches!(&each[2], Ok(Leased::Right(_))), "nothing was known of it: {each:?}");
    assert!(matches!(&each[3], Ok(Leased::Right(_))), "another type is replaced: {each:?}");
    assert!(matches!(&each[4], Ok(Leased::Wait(..))), "it was leased: {each:?}");
    assert_eq!(read(&tier, &keys[0]).await.unwrap().as_ref(), Some(&records[0]), "the record stands");
}

#[tokio::test]
async fn a_full_redis_says_so() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(2);
    let now_ms = tier.read(&keys).await.now_ms;
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let asks: Vec<_> = keys.iter().map(|key| ask(key, token(1), Some(now_ms))).collect();
    for leased in tier.lease(&asks).await.each {
        let error = leased.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("raise its maxmemory"), "{error}");
    }
}

/// No copy is sent on another connection: one that is late would grant the right once more.
#[tokio::test]
async fn an_unanswered_lease_is_not_sent_again() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(3);
    let now_ms = tier.read(&keys).await.now_ms;
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    let asks: Vec<_> = keys.iter().map(|key| ask(key, token(1), Some(now_ms))).collect();
    let each = tier.lease(&asks).await.each;
    assert!(
        each.iter().all(|leased| leased.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unavailable)),
        "{each:?}"
    );
    assert_eq!(calls_of(&redis, "set"), 0, "nor by the script");
    assert!(tier.read(&keys).await.each.iter().all(|found| matches!(found, Ok(None))), "and it reads on");
}
