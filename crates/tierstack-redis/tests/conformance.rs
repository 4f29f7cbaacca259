//! The tier on Redis keeps the laws of a tier.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use tierstack_core::conformance;
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

#[tokio::test]
async fn the_laws_of_a_tier_hold() {
    let redis = Redis::start().unwrap();
    let tier = RedisTier::new(RedisSettings::new(redis.url())).unwrap();
    let checked = conformance::check(&tier, "laws").await.unwrap();
    assert!(checked > 30, "{checked} statements");
}

/// Chunks and several connections change nothing.
#[tokio::test]
async fn the_laws_hold_in_small_chunks_over_several_connections() {
    let redis = Redis::start().unwrap();
    let mut settings = RedisSettings::new(redis.url());
    (settings.connections, settings.max_keys_per_request, settings.max_keys_per_script) = (3, 7, 3);
    let tier = RedisTier::new(settings).unwrap();
    conformance::check(&tier, "chunks").await.unwrap();
}
