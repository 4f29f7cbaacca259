//! What is kept of responses, what is forgotten, and when a call wants other than what is kept.

use std::sync::Arc;
use std::time::Duration;

use tierstack_core::{Accept, Age, CacheService, Level, MemoryTier, Namespace, Terms};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};

use super::inner::{Films, FindFilms, Script, alone, begun, cached, cached_alone, find};
use crate::consistency::LateInvalidations;
use crate::shop::{Shop, settle};

async fn ask(service: &CacheService<FindFilms, Films>, rating: &str) -> usize {
    service.clone().oneshot(find(rating)).await.unwrap().call
}

/// What the predicate refuses is answered and is in no tier; the right to fill is given up at once.
#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_kept_is_kept_nowhere() {
    let shop = Shop::new(0);
    let script = Script::default();
    for node in [shop.node(), alone(&shop)] {
        let keep = |request: &FindFilms, films: &Films| request.rating == films.rating && films.rating != "R";
        let layer = begun(&shop, &node).keep_if(keep).build().unwrap();
        let service = layer.layer(script.service());
        let calls = script.calls();
        for call in 1..=3 {
            assert_eq!(ask(&service, "R").await, calls + call);
        }
        assert_eq!((layer.l1_len(), layer.stats().waits), (0, 0));
        ask(&service, "PG").await;
        ask(&service, "PG").await;
        assert_eq!((layer.l1_len(), script.calls()), (1, calls + 4));
    }
}

/// After an invalidation, the requests it names are asked again, on this node at once and on another when it has heard of it;
/// the others are not.
#[tokio::test(start_paused = true)]
async fn an_invalidation_is_of_the_requests_it_names() {
    let shop = Shop::new(0);
    let script = Script::default();
    let layers = [cached(&shop), cached(&shop)];
    let [here, there] = [layers[0].layer(script.service()), layers[1].layer(script.service())];
    for rating in ["G", "PG", "R"] {
        assert_eq!(ask(&here, rating).await, ask(&there, rating).await);
    }
    let traced = FindFilms { trace: 99, ..find("PG") };
    layers[0].invalidate([&traced, &find("R")]).await.unwrap();
    layers[0].invalidate(Vec::<FindFilms>::new()).await.unwrap();
    assert_eq!((ask(&here, "G").await, ask(&here, "PG").await, ask(&here, "R").await), (1, 4, 5));
    settle().await;
    let hits = layers[1].stats().l1.total();
    assert_eq!((ask(&there, "G").await, ask(&there, "PG").await, ask(&there, "R").await), (1, 4, 5));
    assert_eq!(
        layers[1].stats().l1.total() - hits,
        1,
        "L1 of the other node holds the one that was not named"
    );
    assert_eq!(layers[0].stats().invalidations, 2);
}

/// After an invalidation of all, every request is asked again; new responses are kept.
#[tokio::test(start_paused = true)]
async fn an_invalidation_of_all_is_one_request() {
    let shop = Shop::new(0);
    let script = Script::default();
    let layers = [cached(&shop), cached(&shop), cached_alone(&shop)];
    let services = layers.each_ref().map(|layer| layer.layer(script.service()));
    for service in &services {
        for rating in ["G", "PG"] {
            ask(service, rating).await;
        }
    }
    let requests = || layers[0].namespace().write_stats().requests;
    let (calls, before) = (script.calls(), requests());
    layers[0].invalidate_all().await.unwrap();
    layers[2].invalidate_all().await.unwrap();
    assert_eq!(requests(), before + 1);
    assert_eq!((ask(&services[0], "G").await, ask(&services[0], "PG").await), (calls + 1, calls + 2));
    assert_eq!((ask(&services[2], "G").await, ask(&services[2], "G").await), (calls + 3, calls + 3));
    shop.pass_s(6);
    assert_eq!((ask(&services[1], "G").await, ask(&services[1], "PG").await), (calls + 1, calls + 2));
}

/// A response that was loaded before an invalidation, and comes after it, is given to who asked before and stays out of
/// every tier; who asks after it is given a newer one, though the older is still on its way.
#[tokio::test(start_paused = true)]
async fn an_old_response_stays_out_of_every_tier() {
    let shop = Shop::new(0);
    let script = Script::default();
    for all in [false, true] {
        for (place, layer) in [cached(&shop), cached_alone(&shop)].iter().enumerate() {
            let service = layer.layer(script.service());
            let rating = format!("{place} {all}");
            script.set_delay(Duration::from_millis(10));
            let old = tokio::spawn(service.clone().oneshot(find(&rating)));
            while script.running() == 0 {
                tokio::task::yield_now().await;
            }
            script.set_delay(Duration::ZERO);
            if all {
                layer.invalidate_all().await.unwrap();
            } else {
                layer.invalidate([find(&rating)]).await.unwrap();
            }
            let new = ask(&service, &rating).await;
            let old = old.await.unwrap().unwrap().call;
            assert_eq!((new, ask(&service, &rating).await), (old + 1, old + 1), "all: {all}");
            if place == 0 {
                let elsewhere = cached(&shop).layer(script.service());
                assert_eq!(ask(&elsewhere, &rating).await, new);
            }
        }
    }
}

/// L1 forgets after L2 did: a call between the two must not carry the old response from L2 back into L1.
#[tokio::test(start_paused = true)]
async fn a_call_while_an_invalidation_is_on_its_way_leaves_no_old_response_in_l1() {
    let shop = Shop::new(0);
    let script = Script::default();
    let late = LateInvalidations(MemoryTier::with_clock(1_000, shop.manual.clock()), Semaphore::new(0));
    let late = Arc::new(late);
    let node = Namespace::builder("shop").l2_shared(late.clone()).clock(shop.manual.clock()).build().unwrap();
    let layer = begun(&shop, &node).build().unwrap();
    let service = layer.layer(script.service());
    ask(&service, "PG").await;
    for (all, call) in [(false, 1), (true, 2)] {
        let layer = layer.clone();
        let writer = tokio::spawn(async move {
            if all { layer.invalidate_all().await } else { layer.invalidate([find("PG")]).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(ask(&service, "PG").await, call, "the write is not acknowledged yet");
        late.1.add_permits(1);
        writer.await.unwrap().unwrap();
        assert_eq!(ask(&service, "PG").await, call + 1, "it is now");
    }
}

/// One call may be looked up on other terms than the rest.
#[tokio::test(start_paused = true)]
async fn a_call_on_terms_of_its_own() {
    let shop = Shop::new(0);
    let script = Script::default();
    let layer = cached(&shop);
    let service = layer.layer(script.service());
    let with = |change: fn(&mut Terms)| {
        let mut terms = Terms::default();
        change(&mut terms);
        let service = service.clone();
        async move {
            let answer = service.lookup(find("PG"), terms).await.unwrap()?;
            Some((answer.entry.into_present().unwrap().call, answer.source, answer.age))
        }
    };
    assert_eq!(with(|terms| terms.load = false).await, None);
    assert_eq!(with(|_| {}).await, Some((1, Level::Origin, Age::Fresh)));
    assert_eq!(with(|_| {}).await, Some((1, Level::L1, Age::Fresh)));
    assert_eq!(with(|terms| terms.read_l1 = false).await, Some((1, Level::L2, Age::Fresh)));
    let refreshed = with(|terms| (terms.read_l1, terms.read_l2) = (false, false)).await;
    assert_eq!(refreshed, Some((2, Level::Origin, Age::Fresh)));
    assert_eq!(ask(&service, "PG").await, 2, "it was kept");
    shop.pass_s(301);
    assert_eq!(with(|terms| terms.load = false).await, Some((2, Level::L2, Age::Stale)));
    assert_eq!(with(|terms| terms.accept = Accept::Fresh).await, Some((3, Level::Origin, Age::Fresh)));
    assert_eq!(layer.stats().refreshes, 0);
}

/// Refreshes end before a shutdown does, and none begins after it.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_refreshes() {
    let shop = Shop::new(0);
    let script = Script::default();
    let layer = cached(&shop);
    let service = layer.layer(script.service());
    ask(&service, "PG").await;
    script.set_delay(Duration::from_secs(1));
    shop.pass_s(301);
    assert_eq!(ask(&service, "PG").await, 1);
    layer.namespace().shutdown().await;
    assert_eq!((script.calls(), script.running()), (2, 0));
    shop.pass_s(301);
    assert_eq!(ask(&service, "PG").await, 2, "stale ones still answer");
    settle().await;
    assert_eq!((script.calls(), layer.stats().refreshes), (2, 1));
}
