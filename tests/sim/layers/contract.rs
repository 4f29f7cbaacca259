//! The layers as tower services: readiness, permits, and tower's own layers between them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tierstack_core::l1::L1Layer;
use tierstack_core::revalidate::RevalidateLayer;
use tierstack_core::{Answers, BoxFuture, Inner, Lookup, Stack};
use tokio::time::timeout;
use tower::buffer::BufferLayer;
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::{LoadShedLayer, error::Overloaded};
use tower::timeout::{TimeoutLayer, error::Elapsed};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::composed::{Node, Strict};
use crate::shop::{Shop, settle};

const SOON: Duration = Duration::from_millis(100);

/// A repository of names that panics if it is called without having been polled ready itself.
#[derive(Debug, Default)]
struct Names {
    calls: Arc<AtomicUsize>,
    delay: Duration,
    is_ready: bool,
}

impl Names {
    fn slow(delay: Duration) -> Self {
        Names { delay, ..Names::default() }
    }
}

impl Clone for Names {
    fn clone(&self) -> Self {
        Names { calls: Arc::clone(&self.calls), delay: self.delay, is_ready: false }
    }
}

impl Service<Vec<i32>> for Names {
    type Response = Vec<(i32, String)>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Vec<(i32, String)>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, keys: Vec<i32>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been polled ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let delay = self.delay;
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Ok(keys.into_iter().map(|key| (key, format!("n{key}"))).collect())
        })
    }
}

/// Clones of a service that are ready and idle don't keep one more from being answered.
async fn idle_clones_keep_no_permit<S: Inner<i32, String>>(what: &str, service: S) {
    let mut idle = vec![service.clone(); 4];
    for clone in &mut idle {
        let ready = timeout(SOON, clone.ready()).await;
        assert!(ready.unwrap_or_else(|_| panic!("{what}: it waits for a permit")).is_ok(), "{what}");
    }
    let answers = timeout(SOON, service.oneshot(Lookup::one(7))).await;
    assert!(answers.unwrap_or_else(|_| panic!("{what}: an idle clone has the permit")).is_ok(), "{what}");
}

/// Above a service that takes one call at a time, every layer that can answer without it leaves the permit alone.
#[tokio::test(start_paused = true)]
async fn an_idle_ready_clone_of_a_layer_keeps_no_permit() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let one = ConcurrencyLimitLayer::new(1);
    let strict = || one.layer(Strict { ready: false });
    let l1 = L1Layer::new(Arc::clone(&node.store));
    let l2 = shop.l2_layer::<String>(1, &node.counters);
    let origin = shop.origin_layer::<String>(&node.counters);
    let revalidate = RevalidateLayer::new(Arc::clone(&node.refreshes));
    idle_clones_keep_no_permit("L1", l1.layer(strict())).await;
    idle_clones_keep_no_permit("L2", l2.layer(strict())).await;
    idle_clones_keep_no_permit("Revalidate over L1", revalidate.layer(l1.layer(strict()))).await;
    idle_clones_keep_no_permit("Origin", origin.layer(one.layer(Names::default()))).await;
    idle_clones_keep_no_permit("an erased stack", Stack::new(one.layer(l2.layer(strict())))).await;
}

/// Revalidate, which can't answer by itself, passes readiness on: of a service that takes one call at a time, one clone is
/// ready, and it calls the very service that it polled.
#[tokio::test(start_paused = true)]
async fn revalidate_passes_readiness_on() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let revalidate = RevalidateLayer::<i32, String>::new(Arc::clone(&node.refreshes));
    let service = revalidate.layer(ConcurrencyLimitLayer::new(1).layer(Strict { ready: false }));
    let (mut first, mut second) = (service.clone(), service);
    first.ready().await.unwrap();
    assert!(timeout(SOON, second.ready()).await.is_err());
    assert_eq!(first.call(Lookup::one(7)).await.unwrap().len(), 1);
    assert_eq!(
        timeout(SOON, second.ready()).await.unwrap().unwrap().call(Lookup::one(7)).await.unwrap().len(),
        1
    );
}

/// Loads and refreshes call only the clone of the repository that they polled ready.
#[tokio::test(start_paused = true)]
async fn loads_and_refreshes_poll_the_repository_they_call() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let names = Names::default();
    let stack = ServiceBuilder::new()
        .layer(RevalidateLayer::new(Arc::clone(&node.refreshes)))
        .layer(L1Layer::new(Arc::clone(&node.store)))
        .layer(shop.l2_layer::<String>(1, &node.counters))
        .layer(shop.origin_layer(&node.counters))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(names.clone());
    stack.clone().oneshot(Lookup::batch([1, 2])).await.unwrap();
    shop.pass_s(301);
    stack.oneshot(Lookup::batch([1, 2])).await.unwrap();
    settle().await;
    node.refreshes.shutdown().await;
    let stats = node.counters.stats();
    assert_eq!((stats.refreshes, stats.refreshes_failed, stats.errors), (2, 0, 0));
    assert_eq!(names.calls.load(Ordering::SeqCst), 2);
}

fn shown(answers: &Answers<i32, String>) -> Vec<i32> {
    let present = |(key, outcome): &(i32, tierstack_core::Outcome<String>)| {
        let answer = outcome.as_ref().unwrap().clone().unwrap();
        assert_eq!(*answer.entry.into_present().unwrap(), format!("n{key}"));
        *key
    };
    answers.iter().map(present).collect()
}

/// Tower's own layers stand between ours, each between L1 and L2: what they do is felt by misses, as time or as an error of
/// their type, and hits pass above them.
#[tokio::test(start_paused = true)]
async fn layers_of_tower_stand_between_ours() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let stack_over = |names: Names| {
        let l2 = shop.l2_layer::<String>(1, &node.counters);
        ServiceBuilder::new().layer(l2).layer(shop.origin_layer(&node.counters)).service(names)
    };
    let l1 = || L1Layer::new(Arc::clone(&node.store));

    let buffered = l1().layer(BufferLayer::new(4).layer(stack_over(Names::default())));
    let limited = ServiceBuilder::new().layer(BufferLayer::new(4)).layer(RateLimitLayer::new(1, SOON));
    let limited = l1().layer(limited.service(stack_over(Names::default())));
    for (first, second) in [([1, 2], [2, 1]), ([2, 3], [3, 1])] {
        assert_eq!(shown(&buffered.clone().oneshot(Lookup::batch(first)).await.unwrap()), first);
        assert_eq!(shown(&limited.clone().oneshot(Lookup::batch(second)).await.unwrap()), second);
    }

    let slow = || stack_over(Names::slow(Duration::from_secs(1)));
    let timed = l1().layer(TimeoutLayer::new(SOON).layer(slow()));
    let error = timed.clone().oneshot(Lookup::one(4)).await.unwrap_err();
    assert!(error.downcast_ref::<Elapsed>().is_some(), "{error:?}");
    assert_eq!(shown(&timed.oneshot(Lookup::one(1)).await.unwrap()), [1], "a hit");

    let shedding = ServiceBuilder::new().layer(LoadShedLayer::new()).layer(ConcurrencyLimitLayer::new(1));
    let shedding = l1().layer(shedding.service(slow()));
    let waiting = tokio::spawn(shedding.clone().oneshot(Lookup::one(5)));
    settle().await;
    let error = shedding.clone().oneshot(Lookup::one(6)).await.unwrap_err();
    assert!(error.downcast_ref::<Overloaded>().is_some(), "{error:?}");
    assert_eq!(shown(&shedding.oneshot(Lookup::one(2)).await.unwrap()), [2], "a hit");
    assert_eq!(shown(&waiting.await.unwrap().unwrap()), [5]);
}
