//! Readiness: ours always, the inner service's in the load alone.

use std::time::Duration;

use futures_util::future::join_all;
use tierstack_core::ErrorKind;
use tokio::time::{Instant, timeout};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_test::assert_request_eq;

use super::inner::{Films, Script, cached, cached_alone, find};
use crate::shop::{Shop, settle};

const SOON: Duration = Duration::from_millis(100);

/// However it is cloned and polled, the cached service calls only the very clone of the inner service that it polled ready.
#[tokio::test(start_paused = true)]
async fn only_a_service_polled_ready_is_called() {
    let shop = Shop::new(0);
    let script = Script::default();
    for layer in [cached(&shop), cached_alone(&shop)] {
        let mut service = layer.layer(script.service());
        for rating in ["G", "PG", "G"] {
            service.ready().await.unwrap().call(find(rating)).await.unwrap();
        }
        // Ours is ready always, so a clone that nobody polled may be called too.
        let mut clone = service.clone();
        clone.call(find("R")).await.unwrap();
        shop.pass_s(301);
        clone.call(find("R")).await.unwrap();
        settle().await;
        layer.namespace().shutdown().await;
        assert_eq!(layer.stats().refreshes, 1, "a refresh polls as well");
    }
    assert_eq!(script.calls(), 8);
}

/// Clones that are polled ready and not called keep none of the inner service's permits.
#[tokio::test(start_paused = true)]
async fn an_idle_ready_clone_keeps_no_permit() {
    let shop = Shop::new(0);
    let script = Script::default();
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(script.service());
    let service = cached(&shop).layer(limited);
    let mut idle = vec![service.clone(); 5];
    for clone in &mut idle {
        timeout(SOON, clone.ready()).await.expect("it waits for a permit").unwrap();
    }
    let films = timeout(SOON, service.oneshot(find("PG"))).await.expect("an idle clone has the permit");
    assert_eq!(films.unwrap().call, 1);
    for clone in &mut idle {
        timeout(SOON, clone.call(find("R"))).await.unwrap().unwrap();
    }
}

/// Many callers of a service that takes one at a time: all are answered, and never two are in it.
#[tokio::test(start_paused = true)]
async fn a_limit_of_one_serves_many_callers() {
    let shop = Shop::new(0);
    let script = Script::default();
    script.set_delay(Duration::from_millis(10));
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(script.service());
    let service = cached(&shop).layer(limited);
    let began = Instant::now();
    let all = join_all((0..20).map(|n| service.clone().oneshot(find(&n.to_string())))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(script.calls(), 20);
    assert!(began.elapsed() >= Duration::from_millis(200), "one after the other: {:?}", began.elapsed());
}

/// While the inner service is not ready, hits are answered; a miss ends by its time with an error that says so, and the
/// permit it waited for isn't lost.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_costs_misses_only() {
    let shop = Shop::new(0);
    let script = Script::default();
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(script.service());
    let mut hog = limited.clone();
    let layer = cached(&shop);
    let service = layer.layer(limited);
    let one_below = cached(&shop).layer(hog.clone());
    service.clone().oneshot(find("PG")).await.unwrap();
    hog.ready().await.unwrap();

    let began = Instant::now();
    assert_eq!(service.clone().oneshot(find("PG")).await.unwrap().call, 1, "a hit in L1");
    assert_eq!(one_below.oneshot(find("PG")).await.unwrap().call, 1, "a hit in L2");
    assert_eq!(began.elapsed(), Duration::ZERO);

    let error = service.clone().oneshot(find("R")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("in time"), "{error}");
    assert_eq!(began.elapsed(), shop.settings.load_timeout);
    assert_eq!(layer.stats().failed_loads, 1);

    drop(hog);
    let films = timeout(SOON, service.oneshot(find("R"))).await.expect("the miss took the permit with it");
    assert_eq!(films.unwrap().call, 2);
}

/// A call that takes too long ends its caller's wait at the caller's time, is dropped at its own, and gives its permit back.
#[tokio::test(start_paused = true)]
async fn a_load_that_is_late_gives_its_permit_back() {
    let mut shop = Shop::new(0);
    shop.settings.lookup_timeout = Duration::from_secs(3);
    let script = Script::default();
    script.set_delay(Duration::from_secs(3_600));
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(script.service());
    let service = cached(&shop).layer(limited);
    let began = Instant::now();
    let error = service.clone().oneshot(find("PG")).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, shop.settings.lookup_timeout));
    script.set_delay(Duration::ZERO);
    assert_eq!(service.clone().oneshot(find("R")).await.unwrap().call, 2);
    assert_eq!((script.running(), began.elapsed()), (0, shop.settings.load_timeout));
    assert_eq!(timeout(SOON, service.oneshot(find("PG"))).await.unwrap().unwrap().call, 3);
}

/// Against tower's mock: a miss waits until the inner service is ready, and then makes one call; hits make none.
#[tokio::test(start_paused = true)]
async fn a_miss_waits_for_readiness_and_makes_one_call() {
    let shop = Shop::new(0);
    let (mock, mut handle) = tower_test::mock::pair::<String, Films>();
    let layer = shop.node().cache_layer::<String, Films>("by_mock").build().unwrap();
    let service = layer.layer(mock);
    handle.allow(0);
    let miss = tokio::spawn(service.clone().oneshot("PG".to_owned()));
    settle().await;
    assert!(!miss.is_finished());
    assert!(timeout(SOON, handle.next_request()).await.is_err(), "called though it was not ready");
    handle.allow(1);
    let films = Films { rating: "PG".into(), call: 1 };
    assert_request_eq!(handle, "PG".to_owned()).send_response(films.clone());
    assert_eq!(miss.await.unwrap().unwrap(), films);
    assert_eq!(service.oneshot("PG".to_owned()).await.unwrap(), films, "without a permit, from L2");
    assert_eq!((layer.stats().loads, layer.stats().l2.fresh), (1, 1));
}
