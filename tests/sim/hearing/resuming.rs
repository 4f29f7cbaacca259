//! What L1 took before a subscription is not answered after it, unless L2 still holds it.

use std::time::Duration;

use tests::{Film, film};
use tierstack_core::Level;

use super::rig::{Rig, pass, source, stats, version};
use crate::shop::settle;

/// C18: what was invalidated while a node was deaf is not answered once it hears; what was not costs one read of L2 each,
/// when it is asked for, and no load.
#[tokio::test(start_paused = true)]
async fn after_a_gap_l2_is_asked_once_for_each_key() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    there.objects_by_pks(1..=9).await.unwrap();
    rig.tier.memory().cut();
    rig.write(&here, 1, 1).await;
    pass(Duration::from_millis(101)).await;
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, 2));
    let (loads, requests) = (rig.repository.loads(), there.stats().l2_requests);
    let rows = there.objects_by_pks(2..=9).await.unwrap();
    assert_eq!(rows.len(), 8);
    assert_eq!((rig.repository.loads(), there.stats().l2_requests - requests), (loads, 1), "one MGET");
    assert_eq!(version(&there, 1).await, (1, Level::Origin));
    pass(Duration::from_secs(30)).await;
    assert_eq!((source(&there, 1).await, source(&there, 9).await), (Level::L1, Level::L1), "for their lives");
}

/// C18: what was asked below under one subscription and comes back under the next is kept briefly: an invalidation in
/// between was heard by nobody.
#[tokio::test(start_paused = true)]
async fn a_reservation_of_an_older_subscription_is_brief() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    rig.repository.hold_loads();
    let asked = tokio::spawn({
        let there = there.clone();
        async move { there.get(5).await.unwrap().unwrap().version }
    });
    while rig.repository.loads() < 2 {
        tokio::task::yield_now().await;
    }
    rig.tier.memory().cut();
    pass(Duration::from_millis(101)).await;
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, 2));
    rig.repository.release_loads();
    assert_eq!(asked.await.unwrap(), 0);
    assert_eq!(source(&there, 5).await, Level::L1);
    // Written meanwhile, and told while nobody heard.
    rig.repository.put(Film { version: 1, ..film(5) });
    rig.tier.memory().clear();
    pass(Duration::from_millis(1_000)).await;
    assert_eq!(version(&there, 5).await.0, 1);
}

/// The first subscription is like any other: what was asked before it is brief.
#[tokio::test(start_paused = true)]
async fn what_is_asked_before_the_first_subscription_is_brief() {
    let rig = Rig::new();
    rig.tier.set_refusing(true);
    let films = rig.films();
    films.get(1).await.unwrap();
    assert_eq!(source(&films, 1).await, Level::L1);
    rig.tier.set_refusing(false);
    pass(Duration::from_millis(1_001)).await;
    assert_eq!((stats(&films).deaf_for, source(&films, 1).await), (None, Level::L2));
    pass(Duration::from_secs(60)).await;
    assert_eq!(source(&films, 1).await, Level::L1);
}

/// On the node that writes, no answer is older from the moment the invalidation returns, deaf or not, whatever was under
/// way.
#[tokio::test(start_paused = true)]
async fn the_node_that_writes_is_never_behind() {
    for deaf in [false, true] {
        let rig = Rig::new();
        let [here, _] = rig.two().await;
        if deaf {
            rig.tier.set_refusing(true);
            rig.tier.memory().cut();
            settle().await;
        }
        let mut versions = 0;
        for id in [1, 5] {
            rig.repository.set_delay(Duration::from_millis(20));
            let asked = tokio::spawn({
                let here = here.clone();
                async move { here.get(id).await.unwrap().unwrap().version }
            });
            pass(Duration::from_millis(10)).await;
            versions += 1;
            rig.write(&here, id, versions).await;
            assert_eq!(version(&here, id).await.0, versions, "film {id}, deaf: {deaf}");
            asked.await.unwrap();
            settle().await;
            assert_eq!(version(&here, id).await.0, versions, "film {id}, deaf: {deaf}");
        }
    }
}
