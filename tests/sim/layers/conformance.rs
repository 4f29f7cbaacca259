//! The tier in process against the laws of a tier.

use std::time::Duration;

use tests::film;
use tierstack_core::{ManualClock, MemoryTier, conformance};

use crate::shop::Shop;

/// The tier in process holds every law, on the machine's clock and on a manual one.
#[tokio::test(start_paused = true)]
async fn the_tier_in_process_holds_every_law() {
    let manual = ManualClock::new();
    let tier = MemoryTier::with_clock(10_000, manual.clock());
    let checked = conformance::check(&tier, "first").await.unwrap();
    assert!(checked > 30, "{checked}");
    assert_eq!(conformance::check(&tier, "second").await.unwrap(), checked, "a tier in use holds them too");
}

/// A tier that is out of order breaks the first law that is looked at, and says so.
#[tokio::test(start_paused = true)]
async fn the_suite_sees_a_tier_that_fails() {
    let tier = MemoryTier::new(10_000);
    tier.set_outage(true);
    let violation = conformance::check(&tier, "down").await.unwrap_err();
    assert!(violation.to_string().contains("failed"), "{violation}");
}

/// With room for one record, which evicts at every step: right answers, no error, and no right that blocks a key.
#[tokio::test(start_paused = true)]
async fn a_tier_with_room_for_one_record_costs_loads_only() {
    let mut shop = Shop::new(5);
    shop.tier = std::sync::Arc::new(MemoryTier::with_clock(1, shop.manual.clock()));
    let nodes = [shop.films(), shop.films()];
    let began = tokio::time::Instant::now();
    for step in 0..200 {
        let pk = 1 + step % 7;
        for node in &nodes {
            let row = node.get(pk).await.unwrap();
            assert_eq!(row.map(|row| (*row).clone()), shop.repository.row(pk));
            node.evict_l1(pk);
        }
        if step % 10 == 0 {
            shop.repository.put(film(pk));
            nodes[0].invalidate([pk]).await.unwrap();
        }
        let batch = nodes[0].objects_by_pks(1..=7).await.unwrap();
        assert!((1..=7).zip(batch).all(|(pk, row)| row.is_some() == shop.repository.row(pk).is_some()));
        assert_eq!(shop.tier.keys().len(), 1);
    }
    assert!(began.elapsed() < Duration::from_millis(100), "nobody waited: {:?}", began.elapsed());
}
