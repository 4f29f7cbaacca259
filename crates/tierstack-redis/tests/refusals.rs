//! What Redis refuses, and what else may stand at a key.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "support/calls.rs"]
mod calls;

use std::time::Duration;

use calls::{LIFE, channel, fill, fill_all, invalidate, keys, lease, lease_of, read, record, token};
use tierstack_core::record::marks_of;
use tierstack_core::{ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Marks, Tier, Xid};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

fn tier(redis: &Redis) -> RedisTier {
    RedisTier::new(RedisSettings::new(redis.url())).unwrap()
}

fn milliseconds_left(redis: &Redis, key: &tierstack_core::WireKey) -> i64 {
    redis.cli(&["PTTL", key.as_str()]).unwrap().parse().unwrap()
}

/// A key of another type is nothing of ours: read as nothing, and replaced.
#[tokio::test]
async fn a_key_of_another_type_is_replaced() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(3);
    for key in &keys {
        redis.cli(&["LPUSH", key.as_str(), "a", "b"]).unwrap();
    }
    let found = tier.read(&keys).await;
    assert!(found.each.iter().all(|found| matches!(found, Ok(None))), "{found:?}");
    assert_eq!(
        fill(&tier, &keys[0], token(1), Some(record(&keys[0], token(2)))).await.unwrap(),
        Filled::Lost
    );
    assert!(matches!(lease(&tier, &keys[0], token(1)).await.unwrap(), Leased::Right(_)));
    assert_eq!(fill(&tier, &keys[0], token(1), Some(record(&keys[0], token(2)))).await.unwrap(), Filled::Ok);
    // Something is there, so that a finished invalidation leaves a floor.
    assert_eq!(invalidate(&tier, &keys[1], token(3)).await.unwrap(), Invalidated::Floor);
    let floor = read(&tier, &keys[1]).await.unwrap().unwrap();
    assert_eq!(marks_of(&floor), Some(Marks::none()));
}

#[tokio::test]
async fn bytes_of_another_program_are_replaced() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(2);
    redis.cli(&["SET", keys[0].as_str(), "somebody else's"]).unwrap();
    redis.cli(&["SET", keys[1].as_str(), "without an end"]).unwrap();
    assert_eq!(read(&tier, &keys[0]).await.unwrap().as_deref(), Some(&b"somebody else's"[..]));
    assert!(matches!(lease(&tier, &keys[0], token(1)).await.unwrap(), Leased::Right(_)));
    assert_eq!(invalidate(&tier, &keys[1], token(1)).await.unwrap(), Invalidated::Floor);
    assert!(keys.iter().all(|key| milliseconds_left(&redis, key) > 0), "everything of ours ends");
}

/// A full Redis that evicts nothing refuses leases and fills, key by key, and takes invalidations.
#[tokio::test]
async fn an_invalidation_passes_when_redis_is_full() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(4);
    let records = fill_all(&tier, &keys[..2]).await;
    lease_of(&tier, &keys[1], token(9), Some(token(1)), LIFE).await.unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let error = lease(&tier, &keys[2], token(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("raise its maxmemory"), "{error}");
    // One call: the first key is judged without a write, the second is refused, the third again needs none.
    let ask = |key: &tierstack_core::WireKey, right| LeaseFor {
        key: key.clone(),
        right,
        observed: None,
        life: LIFE,
        keep: LIFE,
        vacant_ms: None,
    };
    let reply =
        tier.lease(&[ask(&keys[0], token(5)), ask(&keys[2], token(5)), ask(&keys[0], token(6))]).await;
    assert!(matches!(&reply.each[0], Ok(Leased::Record(there)) if *there == records[0]), "{reply:?}");
    assert!(reply.each[1].is_err() && reply.each[2].is_ok(), "{reply:?}");
    let refused = fill(&tier, &keys[1], token(9), Some(record(&keys[1], token(10)))).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(invalidate(&tier, &keys[0], token(3)).await.unwrap(), Invalidated::Floor);
    let floor = read(&tier, &keys[0]).await.unwrap().unwrap();
    assert_eq!(marks_of(&floor), Some(Marks::none()), "the old value is gone");
    // Also where a floor stands.
    let xid = Xid { system: 1, timeline: 1, id: 5 };
    let ask = Invalidate { xids: vec![xid], ..Invalidate::finished(keys[0].clone(), token(4), LIFE) };
    assert!(matches!(tier.invalidate(&channel(), &[ask]).await.each[0], Ok(Invalidated::Floor)));
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let redis = Redis::start().unwrap();
    let keys = keys(1);
    let user = ["ACL", "SETUSER", "reader", "on", ">secret", "resetkeys", "~other:*", "+@all"];
    redis.cli(&user).unwrap();
    redis
        .cli(&["ACL", "SETUSER", "weak", "on", ">secret", "~*", "+@all", "-mget", "-setrange", "-set"])
        .unwrap();
    let with = |login: &str| {
        RedisTier::new(RedisSettings::new(redis.url().replace("redis://", &format!("redis://{login}@"))))
            .unwrap()
    };
    for (tier, what) in [(with("reader:secret"), "keys"), (with("weak:secret"), "commands")] {
        let error = read(&tier, &keys[0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("+mget"), "{what}: {error}");
        let error = lease(&tier, &keys[0], token(1)).await.unwrap_err();
        assert!(error.to_string().contains("+set "), "{what}: {error}");
    }
    let error = read(&with("reader:wrong"), &keys[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("mend them"), "{error}");

    let before = tier(&redis);
    read(&before, &keys[0]).await.unwrap();
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let error = lease(&before, &keys[0], token(1)).await.unwrap_err();
    assert!(error.to_string().contains("name the master"), "{error}");
    redis.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    lease(&before, &keys[0], token(1)).await.unwrap();

    redis.cli(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    let error = read(&tier(&redis), &keys[0]).await.unwrap_err();
    assert!(error.to_string().contains("put it into the url"), "{error}");

    let missing = RedisSettings::new(format!("{}/99", redis.url().replace("redis://", "redis://:secret@")));
    let error = read(&RedisTier::new(missing).unwrap(), &keys[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Ends of records: a refresh leaves a value's, a lease and an invalidation lengthen a floor's and never cut it.
#[tokio::test]
async fn records_live_as_long_as_they_were_told() {
    let redis = Redis::start().unwrap();
    let tier = tier(&redis);
    let keys = keys(4);
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(300));
    fill_all(&tier, &keys[..1]).await;
    lease_of(&tier, &keys[0], token(9), Some(token(0)), long).await.unwrap();
    let left = milliseconds_left(&redis, &keys[0]);
    assert!(left <= 30_000 && left > 20_000, "a refresh leaves a value its end: {left}");
    lease_of(&tier, &keys[1], token(1), None, long).await.unwrap();
    let xid = Xid { system: 1, timeline: 1, id: 5 };
    let ask = |key: &tierstack_core::WireKey, life, xids| Invalidate {
        xids,
        finished: false,
        ..Invalidate::finished(key.clone(), token(2), life)
    };
    tier.invalidate(&channel(), &[ask(&keys[1], short, vec![xid])]).await;
    assert!(
        milliseconds_left(&redis, &keys[1]) > 200_000,
        "a floor that replaces a floor lives the longer life"
    );
    tier.invalidate(&channel(), &[ask(&keys[2], short, vec![xid])]).await;
    assert!(milliseconds_left(&redis, &keys[2]) <= 5_000);
    tier.invalidate(&channel(), &[ask(&keys[2], long, vec![xid])]).await;
    assert!(milliseconds_left(&redis, &keys[2]) > 200_000, "a repeated mark lengthens its floor's life");
    tier.invalidate(&channel(), &[ask(&keys[2], short, vec![xid])]).await;
    assert!(milliseconds_left(&redis, &keys[2]) > 200_000, "and does not cut it");
    tier.invalidate(&channel(), &[ask(&keys[3], short, vec![xid])]).await;
    lease_of(&tier, &keys[3], token(3), None, long).await.unwrap();
    assert!(milliseconds_left(&redis, &keys[3]) > 200_000, "a floor outlives its right");
    let stamp = tierstack_core::Stamp::new(1, 1, 9, 9, &[]);
    let write = tierstack_core::record::ToWrite {
        token: token(4),
        key: &keys[3],
        schema: 1,
        written_ms: 1,
        fresh_until_ms: 2,
        stale_until_ms: 3,
        cost_us: 4,
        stamp: Some(&stamp),
        dependencies: &[],
        row: Some(&1),
    };
    let record = write.encode(&tierstack_core::record::Codec::default()).unwrap();
    let filled = Fill { key: keys[3].clone(), right: token(3), record: Some(record), life: short };
    assert!(matches!(tier.fill(&[filled]).await.each[0], Ok(Filled::Ok)));
    assert!(milliseconds_left(&redis, &keys[3]) <= 5_000, "a value lives as it was told");
}
