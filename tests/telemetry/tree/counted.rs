//! What one recorder counts of several nodes, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tests_telemetry::{Memory, Sums};
use tierstack::Lookup;

use crate::rig::{Rig, settle};

/// The values of a metric of a namespace, summed over its other labels.
fn of(sums: &Sums, name: &str, namespace: &str) -> u64 {
    let is_it = |(metric, labels): &(String, _)| {
        let labels: &std::collections::BTreeMap<String, String> = labels;
        metric == name && labels["cache.namespace"] == namespace
    };
    sums.iter().filter(|(key, _)| is_it(key)).map(|(_, sum)| sum).sum()
}

/// Two nodes of one namespace in one process have the same labels: their counts are summed, and the lag of the node that is
/// deaf longest stands for both. Those of another namespace are apart, though its recorder is the same.
#[tokio::test(start_paused = true)]
async fn nodes_of_one_name_are_summed_and_of_another_apart() {
    let rig = Rig::new(Memory::new());
    let recorder = rig.memory.recorder(rig.keys);
    let node = |name| rig.node_of(name, Arc::clone(&recorder));
    let first = node("shop");
    rig.manual.advance(Duration::from_secs(3_600));
    let (second, other) = (node("shop"), node("depot"));
    rig.manual.advance(Duration::from_secs(7_200));
    // In hours: the meter collects in a thread of its own, where time is not paused.
    let lag = |name| of(&rig.memory.metrics().0, "cache.bus.lag", name) / 3_600_000;
    assert_eq!((lag("shop"), lag("depot")), (3, 2));
    let films = [&first, &second, &other].map(|node| rig.films_of(node));
    for (films, keys) in films.iter().zip([&[1, 2][..], &[3, 4, 5], &[6, 7, 8, 9]]) {
        films.objects_by_pks(keys.iter().copied()).await.unwrap();
        films.invalidate([50]).await.unwrap();
    }
    settle().await;
    let (sums, ..) = rig.memory.metrics();
    for (name, shop, depot) in [
        ("cache.lookups", 5, 4),
        ("cache.loads", 2, 1),
        ("cache.l1.entries", 5, 4),
        ("cache.invalidations", 2, 1),
        ("cache.bus.subscriptions", 2, 1),
    ] {
        assert_eq!((of(&sums, name, "shop"), of(&sums, name, "depot")), (shop, depot), "{name}");
    }
}

/// The recorder keeps no namespace: one that is dropped is gone, with its tier, and is reported no more; the others are.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_dropped_is_gone() {
    let rig = Rig::new(Memory::new());
    let recorder = rig.memory.recorder(rig.keys);
    let (shop, depot) = (rig.node_of("shop", Arc::clone(&recorder)), rig.node_of("depot", recorder));
    for node in [&shop, &depot] {
        rig.films_of(node).get(1).await.unwrap();
    }
    settle().await;
    let held = Arc::strong_count(&rig.tier);
    let kept = shop.downgrade();
    drop(shop);
    settle().await;
    assert!(kept.upgrade().is_none());
    assert!(Arc::strong_count(&rig.tier) < held);
    let (sums, ..) = rig.memory.metrics();
    let counted = |namespace: &str, name: &str| {
        sums.keys().any(|(metric, labels)| metric == name && labels["cache.namespace"] == namespace)
    };
    for name in ["cache.writes", "cache.write.undelivered", "cache.bus.subscriptions", "cache.bus.lag"] {
        assert!(!counted("shop", name) && counted("depot", name), "{name}");
    }
}

/// One hit in 1,024 is measured, of the handle's and of those that go through the stack alike; a miss, a stale answer and one
/// of L2 are none.
#[tokio::test(start_paused = true)]
async fn the_age_of_one_hit_in_so_many_is_measured_whichever_way_it_was_asked() {
    for by_terms in [false, true] {
        let rig = Rig::new(Memory::new());
        let films = rig.films();
        let ages = || rig.memory.distribution("cache.l1.hit.age");
        films.get(1).await.unwrap();
        films.lookup(Lookup::one(1).skip_l1()).await.unwrap();
        assert_eq!(ages().0, 0, "no hit of L1 yet");
        rig.manual.advance(Duration::from_secs(7));
        for (hits, measured) in [(1, 1), (1_023, 1), (1, 2), (1_024, 3)] {
            for _ in 0..hits {
                if by_terms {
                    films.lookup(Lookup::one(1)).await.unwrap();
                } else {
                    films.get(1).await.unwrap();
                }
            }
            assert_eq!(ages(), (measured, 7.0 * measured as f64), "by terms: {by_terms}");
        }
        rig.manual.advance(Duration::from_secs(54));
        films.lookup(Lookup::one(1)).await.unwrap();
        assert_eq!(ages().0, 3, "it is stale");
    }
}
