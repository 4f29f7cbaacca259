//! A cached service above tower's own layers: what they do is felt by who loads, and by nobody else.

use std::time::Duration;

use tierstack_core::ErrorKind;
use tokio::time::Instant;
use tower::buffer::BufferLayer;
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::{LoadShedLayer, error::Overloaded};
use tower::timeout::{TimeoutLayer, error::Elapsed};
use tower::{Layer, ServiceBuilder, ServiceExt};

use super::inner::{Act, Refused, Script, begun, cached, find};
use crate::shop::Shop;

/// The timeout's own error reaches the caller, and nothing is kept of it.
#[tokio::test(start_paused = true)]
async fn above_a_timeout() {
    let script = Script::default();
    script.set_delay(Duration::from_secs(2));
    let timed =
        ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(1))).service(script.service());
    let service = cached(&Shop::new(0)).layer(timed);
    let error = service.clone().oneshot(find("PG")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert!(error.downcast_ref::<Elapsed>().is_some(), "{error:?}");
    assert_eq!(script.running(), 0);
    script.set_delay(Duration::ZERO);
    assert_eq!(service.oneshot(find("PG")).await.unwrap().call, 2);
}

/// What has no room is told so at once; what is cached needs none.
#[tokio::test(start_paused = true)]
async fn above_a_load_shed_with_a_limit() {
    let script = Script::default();
    let shedding = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(script.service());
    let service = cached(&Shop::new(0)).layer(shedding);
    service.clone().oneshot(find("G")).await.unwrap();
    script.set_delay(Duration::from_secs(1));
    let slow = tokio::spawn(service.clone().oneshot(find("PG")));
    while script.running() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    assert_eq!(service.clone().oneshot(find("G")).await.unwrap().call, 1);
    let error = service.clone().oneshot(find("R")).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Origin, Duration::ZERO));
    assert!(error.downcast_ref::<Overloaded>().is_some(), "{error:?}");
    assert_eq!(slow.await.unwrap().unwrap().call, 2);
    assert_eq!(service.oneshot(find("R")).await.unwrap().call, 3);
}

/// A buffer makes any service `Clone`; errors are found by type behind it.
#[tokio::test(start_paused = true)]
async fn above_a_buffer() {
    let script = Script::default();
    let buffered = ServiceBuilder::new().layer(BufferLayer::new(1)).service(script.service());
    let service = cached(&Shop::new(0)).layer(buffered);
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(find("PG")).await.unwrap().call, 1);
    }
    script.set(Act::Refuse);
    let error = service.oneshot(find("R")).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Refused>().unwrap().0, 2);
}

/// A rate limit, which isn't `Clone`, stands behind a buffer: loads keep to it, hits don't count.
#[tokio::test(start_paused = true)]
async fn above_a_rate_limit_behind_a_buffer() {
    let mut shop = Shop::new(0);
    shop.settings.load_timeout = Duration::from_secs(30);
    shop.settings.lookup_timeout = Duration::from_secs(30);
    let script = Script::default();
    let limited = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .layer(RateLimitLayer::new(1, Duration::from_secs(10)))
        .service(script.service());
    let service = begun(&shop, &shop.node()).build().unwrap().layer(limited);
    let began = Instant::now();
    assert_eq!(service.clone().oneshot(find("PG")).await.unwrap().call, 1);
    for _ in 0..10 {
        assert_eq!(service.clone().oneshot(find("PG")).await.unwrap().call, 1);
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "hits are answered at once");
    assert_eq!(service.oneshot(find("R")).await.unwrap().call, 2);
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
}
