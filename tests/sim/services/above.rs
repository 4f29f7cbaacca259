//! A cached service below tower's own layers.

use std::time::Duration;

use tierstack_core::{CacheService, Error};
use tokio::time::{Instant, timeout};
use tower::buffer::BufferLayer;
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::inner::{Act, Films, FindFilms, Refused, Script, cached, find};
use crate::shop::{Shop, settle};

const LONG: Duration = Duration::from_secs(2);

fn service(script: &Script) -> CacheService<FindFilms, Films> {
    cached(&Shop::new(0)).layer(script.service())
}

/// A timeout ends the caller's wait; the next call is answered, and the inner service is as free as before.
#[tokio::test(start_paused = true)]
async fn below_a_timeout() {
    let script = Script::default();
    let mut timed =
        ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(1))).service(service(&script));
    script.set_delay(LONG);
    let error = timed.ready().await.unwrap().call(find("PG")).await.unwrap_err();
    assert!(error.is::<Elapsed>(), "{error}");
    script.set_delay(Duration::ZERO);
    // The dropped load left its right to end by itself: whoever comes waits for it a while.
    let patient = ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(5)));
    patient.service(timed.into_inner()).oneshot(find("PG")).await.unwrap();
    assert_eq!(script.running(), 0);
}

/// A limit above counts calls, hits too, and gets its permits back from calls that were dropped.
#[tokio::test(start_paused = true)]
async fn below_a_concurrency_limit() {
    let script = Script::default();
    let limited = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(service(&script));
    limited.clone().oneshot(find("PG")).await.unwrap();
    script.set_delay(LONG);
    let slow = limited.clone().oneshot(find("R"));
    assert!(timeout(Duration::from_secs(1), slow).await.is_err());
    let hit = timeout(Duration::from_millis(1), limited.clone().oneshot(find("PG"))).await;
    assert_eq!(hit.expect("the permit came back").unwrap().call, 1);
}

/// A cached service is never unready, so nothing is shed, though its inner service has no room.
#[tokio::test(start_paused = true)]
async fn below_a_load_shed() {
    let script = Script::default();
    let inner = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(script.service());
    let mut hog = inner.clone();
    let shedding =
        ServiceBuilder::new().layer(LoadShedLayer::new()).service(cached(&Shop::new(0)).layer(inner));
    shedding.clone().oneshot(find("PG")).await.unwrap();
    hog.ready().await.unwrap();
    assert_eq!(shedding.clone().oneshot(find("PG")).await.unwrap().call, 1, "a hit");
    let waiting = tokio::spawn(shedding.oneshot(find("R")));
    settle().await;
    assert!(!waiting.is_finished());
    drop(hog);
    assert_eq!(waiting.await.unwrap().unwrap().call, 2, "a miss waits for room");
}

/// Through a buffer: responses, and errors by their type.
#[tokio::test(start_paused = true)]
async fn below_a_buffer() {
    let script = Script::default();
    let buffered = ServiceBuilder::new().layer(BufferLayer::new(8)).service(service(&script));
    for _ in 0..2 {
        assert_eq!(buffered.clone().oneshot(find("PG")).await.unwrap().call, 1);
    }
    script.set(Act::Refuse);
    let error = buffered.oneshot(find("R")).await.unwrap_err();
    let ours = error.downcast_ref::<Error>().unwrap();
    assert_eq!(ours.downcast_ref::<Refused>().unwrap().0, 2);
}

/// Behind a buffer, a rate limit slows hits and misses alike.
#[tokio::test(start_paused = true)]
async fn below_a_rate_limit_behind_a_buffer() {
    let script = Script::default();
    let limited = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .layer(RateLimitLayer::new(1, LONG))
        .service(service(&script));
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(limited.clone().oneshot(find("PG")).await.unwrap().call, 1);
    }
    assert!(began.elapsed() >= 2 * LONG, "{:?}", began.elapsed());
    assert_eq!(script.calls(), 1);
}
