//! Keys, tokens and records for tests.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use bytes::Bytes;
use tierstack_core::record::{Codec, ToWrite};
use tierstack_core::{
    Channel, Error, Fill, Filled, Invalidate, Invalidated, KeyFormat, LeaseFor, Leased, Reply, Tier, Token,
    WireKey,
};

pub(crate) const LIFE: Duration = Duration::from_secs(30);

pub(crate) fn keys(count: u32) -> Vec<WireKey> {
    let format = KeyFormat::new("test", "film", None, &["id"], 64).unwrap();
    format.wire(&(0..count).collect::<Vec<_>>()).into_iter().map(Result::unwrap).collect()
}

pub(crate) fn channel() -> Channel {
    Channel::of("test")
}

pub(crate) fn token(number: u64) -> Token {
    Token::from_bytes((u128::from(number) + 1).to_be_bytes())
}

pub(crate) fn record(key: &WireKey, token: Token) -> Bytes {
    let write = ToWrite {
        token,
        key,
        schema: 1,
        written_ms: 1,
        fresh_until_ms: 2,
        stale_until_ms: 3,
        cost_us: 4,
        stamp: None,
        dependencies: &[],
        row: Some(&key.as_str()),
    };
    write.encode(&Codec::default()).unwrap()
}

pub(crate) fn one<T>(reply: Reply<T>) -> Result<T, Error> {
    assert_eq!(reply.each.len(), 1);
    reply.each.into_iter().next().unwrap()
}

pub(crate) async fn read(tier: &dyn Tier, key: &WireKey) -> Result<Option<Bytes>, Error> {
    one(tier.read(std::slice::from_ref(key)).await)
}

pub(crate) async fn lease(tier: &dyn Tier, key: &WireKey, right: Token) -> Result<Leased, Error> {
    lease_of(tier, key, right, None, LIFE).await
}

pub(crate) async fn lease_of(
    tier: &dyn Tier,
    key: &WireKey,
    right: Token,
    observed: Option<Token>,
    life: Duration,
) -> Result<Leased, Error> {
    one(tier.lease(&[LeaseFor::new(key.clone(), right, observed, life)]).await)
}

pub(crate) async fn fill(
    tier: &dyn Tier,
    key: &WireKey,
    right: Token,
    record: Option<Bytes>,
) -> Result<Filled, Error> {
    one(tier.fill(&[Fill { key: key.clone(), right, record, life: LIFE }]).await)
}

pub(crate) async fn invalidate(tier: &dyn Tier, key: &WireKey, token: Token) -> Result<Invalidated, Error> {
    one(tier.invalidate(&channel(), &[Invalidate::finished(key.clone(), token, LIFE)]).await)
}

/// Fills all keys, each with a record under the token of its place.
pub(crate) async fn fill_all(tier: &dyn Tier, keys: &[WireKey]) -> Vec<Bytes> {
    let right = token(1 << 40);
    let leases: Vec<_> = keys.iter().map(|key| LeaseFor::new(key.clone(), right, None, LIFE)).collect();
    let leased = tier.lease(&leases).await;
    assert!(leased.each.iter().all(|leased| matches!(leased, Ok(Leased::Right(_)))), "{leased:?}");
    let records: Vec<_> = (0..).zip(keys).map(|(place, key)| record(key, token(place))).collect();
    let fills: Vec<_> = keys
        .iter()
        .zip(&records)
        .map(|(key, record)| Fill { key: key.clone(), right, record: Some(record.clone()), life: LIFE })
        .collect();
    let filled = tier.fill(&fills).await;
    assert!(filled.each.iter().all(|filled| matches!(filled, Ok(Filled::Ok))), "{filled:?}");
    records
}

/// Calls of a command since the statistics were reset, by scripts as well.
pub(crate) fn calls_of(redis: &tierstack_servers::Redis, command: &str) -> u32 {
    let statistics = redis.cli(&["INFO", "commandstats"]).unwrap();
    let prefix = format!("cmdstat_{command}:calls=");
    let count = statistics.lines().find_map(|line| line.strip_prefix(&prefix)?.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}
