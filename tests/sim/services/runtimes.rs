//! The same on either kind of runtime, on real time and real threads.

use std::time::Duration;

use futures_util::future::join_all;
use tierstack_core::{Error, L1, MemoryTier, Namespace};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use tower::{ServiceBuilder, ServiceExt};

use super::inner::{Act, Films, FindFilms, Refused, Script, find};

/// Many tasks, few requests, a limit of one below, and tower's layers all around; then errors.
async fn many_tasks_share_a_limit_of_one() {
    let shop = Namespace::builder("shop").l2(MemoryTier::new(1_000)).build().unwrap();
    let layer = shop.cache_layer::<FindFilms, Films>("find_films").l1(L1::capacity(100)).build().unwrap();
    let script = Script::default();
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(64))
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(layer.clone())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(script.service());
    let tasks = (0..200).map(|n: usize| {
        let service = service.clone();
        tokio::spawn(async move {
            let rating = (n % 5).to_string();
            let films = service.oneshot(find(&rating)).await.unwrap();
            assert_eq!(films.rating, rating);
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!((script.calls(), layer.stats().keys(), layer.stats().errors), (5, 200, 0));
    script.set(Act::Refuse);
    let tasks = (0..20).map(|_| tokio::spawn(service.clone().oneshot(find("R"))));
    for task in join_all(tasks).await {
        let error = task.unwrap().unwrap_err();
        assert!(error.downcast_ref::<Error>().unwrap().downcast_ref::<Refused>().is_some());
    }
    assert_eq!(script.running(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn many_tasks_on_one_thread() {
    many_tasks_share_a_limit_of_one().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_several_threads() {
    many_tasks_share_a_limit_of_one().await;
}

/// A layer is built, and makes services, where there is no runtime.
#[test]
fn a_layer_is_built_without_a_runtime() {
    use tower::Layer;
    let shop = Namespace::builder("shop").l2(MemoryTier::new(1_000)).build().unwrap();
    let layer = shop.cache_layer::<FindFilms, Films>("find_films").l1(L1::capacity(100)).build().unwrap();
    let service = layer.layer(Script::default().service());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(service.oneshot(find("PG"))).unwrap().call, 1);
}
