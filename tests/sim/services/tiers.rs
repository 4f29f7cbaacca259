//! The tiers of a cached service: each alone, both, shared by nodes, and gone.

use std::time::Duration;

use futures_util::future::join_all;
use tierstack_core::{CacheLayer, ErrorKind, Level, Terms};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use super::inner::{Films, FindFilms, Script, alone, begun, cached, cached_alone, find};
use crate::shop::{Shop, settle};

/// Asks the layer's service; who answered, and the call that made the response.
async fn from(layer: &CacheLayer<FindFilms, Films>, script: &Script, rating: &str) -> (Level, usize) {
    let service = layer.layer(script.service());
    let answer = service.lookup(find(rating), Terms::default()).await.unwrap().unwrap();
    (answer.source, answer.entry.into_present().unwrap().call)
}

/// L1 over the service, without an L2.
#[tokio::test(start_paused = true)]
async fn l1_alone() {
    let (shop, script) = (Shop::new(0), Script::default());
    let layer = cached_alone(&shop);
    assert_eq!(from(&layer, &script, "PG").await, (Level::Origin, 1));
    assert_eq!(from(&layer, &script, "PG").await, (Level::L1, 1));
    shop.pass_s(60);
    assert_eq!(from(&layer, &script, "PG").await, (Level::L1, 1), "for the life of the entry");
}

/// L2 over the service, without an L1.
#[tokio::test(start_paused = true)]
async fn l2_alone() {
    let (shop, script) = (Shop::new(0), Script::default());
    let layer = shop.node().cache_layer("find_films").freshness(shop.freshness.clone()).build().unwrap();
    assert_eq!(from(&layer, &script, "PG").await, (Level::Origin, 1));
    assert_eq!(from(&layer, &script, "PG").await, (Level::L2, 1));
    assert_eq!(layer.l1_len(), 0);
}

/// Neither: every request is a call, one at a time in each load.
#[tokio::test(start_paused = true)]
async fn no_tier_at_all() {
    let (shop, script) = (Shop::new(0), Script::default());
    let layer = alone(&shop).cache_layer("find_films").build().unwrap();
    for call in 1..4 {
        assert_eq!(from(&layer, &script, "PG").await, (Level::Origin, call));
    }
}

/// A response that one node loaded is found in L2 by another, and loaded once if both want it at once.
#[tokio::test(start_paused = true)]
async fn two_nodes_share_l2() {
    let (shop, script) = (Shop::new(0), Script::default());
    let nodes = [cached(&shop), cached(&shop)];
    assert_eq!(from(&nodes[0], &script, "PG").await, (Level::Origin, 1));
    assert_eq!(from(&nodes[1], &script, "PG").await, (Level::L2, 1));
    assert_eq!(from(&nodes[1], &script, "PG").await, (Level::L1, 1));
    script.set_delay(Duration::from_millis(50));
    let found = join_all((0..6).map(|n| from(&nodes[n % 2], &script, "R"))).await;
    assert!(found.iter().all(|(_, call)| *call == 2), "{found:?}");
    assert_eq!(script.calls(), 2);
}

/// Requests that are missing at once are a call each, of the service that was asked: a slow one delays no other.
#[tokio::test(start_paused = true)]
async fn a_slow_request_delays_no_other() {
    let shop = Shop::new(0);
    for layer in [cached(&shop), cached_alone(&shop)] {
        let (slow, quick) = (Script::default(), Script::default());
        slow.set_delay(Duration::from_secs(2));
        let began = Instant::now();
        let all = ["a", "b", "c"].map(|rating| {
            let slow = layer.layer(slow.service()).oneshot(find(&format!("slow {rating}")));
            let quick = layer.layer(quick.service()).oneshot(find(&format!("quick {rating}")));
            async move {
                let quick = async {
                    quick.await.unwrap();
                    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
                };
                tokio::join!(slow, quick).0.unwrap();
            }
        });
        join_all(all).await;
        assert_eq!(began.elapsed(), Duration::from_secs(2), "and the slow ones don't delay each other");
        for (script, speed) in [(slow, "slow"), (quick, "quick")] {
            let asked: Vec<String> = script.asked().into_iter().map(|request| request.rating).collect();
            assert_eq!(asked, ["a", "b", "c"].map(|rating| format!("{speed} {rating}")));
        }
    }
}

/// While L2 is gone, requests are answered by the service and L1, no error is seen, and an invalidation says that it was
/// not delivered. When L2 is back, it is used.
#[tokio::test(start_paused = true)]
async fn without_l2_requests_are_answered() {
    let (shop, script) = (Shop::new(0), Script::default());
    let nodes = [cached(&shop), cached(&shop)];
    assert_eq!(from(&nodes[0], &script, "PG").await, (Level::Origin, 1));
    shop.tier.set_outage(true);
    assert_eq!(from(&nodes[0], &script, "PG").await, (Level::L1, 1));
    assert_eq!(from(&nodes[1], &script, "PG").await, (Level::Origin, 2));
    assert_eq!(from(&nodes[1], &script, "PG").await, (Level::L1, 2), "briefly");
    let one = nodes[0].invalidate([find("PG")]).await.unwrap_err();
    let all = nodes[0].invalidate_all().await.unwrap_err();
    assert_eq!((one.kind(), all.kind()), (ErrorKind::Undelivered, ErrorKind::Undelivered));
    assert_eq!(from(&nodes[0], &script, "PG").await, (Level::Origin, 3), "L1 has forgotten it all the same");
    shop.tier.set_outage(false);
    // Brief entries end, and what was not delivered is.
    tokio::time::sleep(Duration::from_secs(30)).await;
    nodes[0].invalidate([find("PG")]).await.unwrap();
    assert_eq!(from(&nodes[1], &script, "PG").await, (Level::Origin, 4));
    assert_eq!(from(&nodes[0], &script, "PG").await, (Level::L2, 4));
    assert_eq!(nodes.iter().map(|node| node.stats().errors).sum::<u64>(), 0);
}

/// The record on which responses rest is lost: they load again, and are kept again.
#[tokio::test(start_paused = true)]
async fn a_lost_record_of_all_costs_loads_only() {
    let (shop, script) = (Shop::new(0), Script::default());
    let layer = cached(&shop);
    from(&layer, &script, "PG").await;
    assert!(shop.tier.evict(b"shop:find_films:!all"));
    shop.pass_s(6);
    assert_eq!(from(&layer, &script, "PG").await, (Level::Origin, 2));
    shop.pass_s(6);
    assert_eq!(from(&layer, &script, "PG").await, (Level::L2, 2));
}

/// A stale response is answered at once and renewed behind the answer, from the request of the call that found it stale.
#[tokio::test(start_paused = true)]
async fn a_stale_response_is_renewed_behind_the_answer() {
    let (shop, script) = (Shop::new(0), Script::default());
    for layer in [cached(&shop), cached_alone(&shop)] {
        let service = layer.layer(script.service());
        let calls = script.calls();
        from(&layer, &script, "PG").await;
        shop.pass_s(301);
        let traced = FindFilms { trace: 42, ..find("PG") };
        assert_eq!(service.clone().oneshot(traced).await.unwrap().call, calls + 1);
        settle().await;
        assert_eq!(service.oneshot(find("PG")).await.unwrap().call, calls + 2);
        assert_eq!(script.asked().last().unwrap().trace, 42);
    }
}

/// Another clock of the same shop: entries keep to the lives they were given.
#[tokio::test(start_paused = true)]
async fn responses_live_as_long_as_they_were_told() {
    let (mut shop, script) = (Shop::new(0), Script::default());
    shop.freshness = shop.freshness.clone().fresh_for(Duration::from_secs(2)).stale_for(Duration::ZERO);
    let layer = begun(&shop, &shop.node()).build().unwrap();
    for (passed, call) in [(0, 1), (1, 1), (1, 2), (1, 2)] {
        shop.pass_s(passed);
        assert_eq!(from(&layer, &script, "PG").await.1, call);
    }
}
