//! Stacks made with `tower::ServiceBuilder` over plain services.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tierstack_core::Store;
use tierstack_core::l1::L1Layer;
use tierstack_core::revalidate::{Refreshes, RevalidateLayer};
use tierstack_core::{
    Accept, Age, Answers, Counters, EachLayer, Entry, Error, ErrorKind, Inner, L1, Level, Lookup, Stack,
};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::shop::{Shop, settle};

/// The parts that one node's layers share.
pub(super) struct Node {
    pub(super) counters: Arc<Counters>,
    pub(super) store: Arc<Store<i32, String>>,
    pub(super) refreshes: Arc<Refreshes<i32>>,
}

impl Node {
    pub(super) fn new(shop: &Shop) -> Self {
        let (counters, clock) = (Arc::new(Counters::default()), shop.manual.clock());
        let store =
            L1::capacity(100).store(true, &shop.settings, clock.clone(), Arc::clone(&counters)).unwrap();
        let refreshes = Arc::new(Refreshes::new(&shop.settings, clock, Arc::clone(&counters)));
        Node { counters, store: Arc::new(store), refreshes }
    }

    /// Every layer, over a repository of names.
    fn stack(&self, shop: &Shop, repository: impl Repository) -> Stack<i32, String> {
        Stack::new(
            ServiceBuilder::new()
                .layer(RevalidateLayer::new(Arc::clone(&self.refreshes)))
                .layer(L1Layer::new(Arc::clone(&self.store)))
                .layer(shop.l2_layer::<String>(1, &self.counters))
                .layer(shop.origin_layer(&self.counters))
                .service(repository),
        )
    }
}

/// A repository of names.
trait Repository:
    Service<Vec<i32>, Response = Vec<(i32, String)>, Error = io::Error, Future: Send> + Clone + Send + 'static
{
}

impl<S> Repository for S where
    S: Service<Vec<i32>, Response = Vec<(i32, String)>, Error = io::Error, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// The names of positive numbers; each call counted.
fn names(calls: &Arc<AtomicUsize>) -> impl Repository + use<> {
    let calls = Arc::clone(calls);
    tower::service_fn(move |keys: Vec<i32>| {
        calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(keys.into_iter().filter(|key| *key > 0).map(|key| (key, format!("n{key}"))).collect()))
    })
}

fn shown(answers: Answers<i32, String>) -> Vec<(i32, Option<String>, Level)> {
    let one = |(key, outcome): (i32, Result<Option<tierstack_core::Answer<String>>, Error>)| {
        let answer = outcome.unwrap().unwrap();
        (key, answer.entry.into_present().map(|name| (*name).clone()), answer.source)
    };
    answers.into_iter().map(one).collect()
}

/// All layers over a `service_fn`: one load, then L1, and L2 on another node; keys come back in their order.
#[tokio::test(start_paused = true)]
async fn a_stack_composed_by_hand_answers_like_the_handle() {
    let shop = Shop::new(0);
    let calls = Arc::new(AtomicUsize::new(0));
    let first = Node::new(&shop).stack(&shop, names(&calls));
    let second = Node::new(&shop).stack(&shop, names(&calls));
    let keys = [3, -1, 2];
    for (stack, level) in
        [(&first, Level::Origin), (&first, Level::L1), (&second, Level::L2), (&second, Level::L1)]
    {
        let answers = shown(stack.ask(Lookup::batch(keys)).await.unwrap());
        let expected = [(3, Some("n3".into()), level), (-1, None, level), (2, Some("n2".into()), level)];
        assert_eq!(answers, expected);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let mixed = shown(first.ask(Lookup::batch([5, 3, 4, -1, 6])).await.unwrap());
    let levels: Vec<Level> = mixed.iter().map(|(_, _, level)| *level).collect();
    assert_eq!(
        levels,
        [Level::Origin, Level::L1, Level::Origin, Level::L1, Level::Origin],
        "hits between misses"
    );
    assert_eq!(mixed.iter().map(|(key, ..)| *key).collect::<Vec<_>>(), [5, 3, 4, -1, 6]);
}

/// The stack is itself a tower service, and may be asked through `oneshot`.
#[tokio::test(start_paused = true)]
async fn a_stack_is_a_service() {
    let shop = Shop::new(0);
    let stack = Node::new(&shop).stack(&shop, names(&Arc::default()));
    let answers = stack.clone().oneshot(Lookup::one(1)).await.unwrap();
    assert_eq!(shown(answers), [(1, Some("n1".to_owned()), Level::Origin)]);
}

/// A repository of one key at a time, under `EachLayer`.
#[tokio::test(start_paused = true)]
async fn each_layer_makes_a_batch_of_single_keys() {
    let shop = Shop::new(0);
    let counters = Arc::new(Counters::default());
    let one = tower::service_fn(|key: i32| ready(Ok::<_, Infallible>((key > 0).then(|| format!("n{key}")))));
    let stack = Stack::new(
        ServiceBuilder::new()
            .layer(shop.l2_layer::<String>(1, &counters))
            .layer(shop.origin_layer(&counters))
            .layer(EachLayer::new(2).unwrap())
            .service(one),
    );
    let answers = shown(stack.ask(Lookup::batch([2, -1, 1])).await.unwrap());
    assert_eq!(
        answers.iter().map(|(key, name, _)| (*key, name.is_some())).collect::<Vec<_>>(),
        [(2, true), (-1, false), (1, true)]
    );
}

/// What the repository failed with is found by its type, through every layer, for every key; and so is the failure of a
/// service in between.
#[tokio::test(start_paused = true)]
async fn errors_of_inner_services_are_found_by_type() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let broken =
        tower::service_fn(|_: Vec<i32>| ready(Err::<Vec<(i32, String)>, _>(io::Error::other("torn"))));
    let answers = node.stack(&shop, broken).ask(Lookup::batch([1, 2])).await.unwrap();
    for (_, outcome) in answers {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Origin);
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "torn");
    }
    let refusing =
        tower::service_fn(|_: Lookup<i32>| ready(Err::<Answers<i32, String>, _>(io::Error::other("full"))));
    let over = ServiceBuilder::new()
        .layer(RevalidateLayer::new(Arc::clone(&node.refreshes)))
        .layer(L1Layer::new(Arc::clone(&node.store)));
    let error = over.service(refusing).oneshot(Lookup::one(3)).await.unwrap_err();
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "full");
    let under_l2 = ServiceBuilder::new().layer(shop.l2_layer::<String>(1, &node.counters)).service(refusing);
    let answers: Answers<i32, String> = under_l2.oneshot(Lookup::one(3)).await.unwrap();
    let error = answers.into_iter().next().unwrap().1.unwrap_err();
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "full");
    assert_eq!(node.counters.stats().fills[4], 3, "and the rights were given up");
}

/// A service that is never ready, and counts how often it was asked.
#[derive(Clone)]
struct NeverReady(Arc<AtomicUsize>);

impl Service<Lookup<i32>> for NeverReady {
    type Response = Answers<i32, String>;
    type Error = Error;
    type Future = Ready<Result<Answers<i32, String>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }

    fn call(&mut self, _: Lookup<i32>) -> Self::Future {
        panic!("called though it was never ready");
    }
}

/// L1 and L2 answer their hits though what is below them is never ready, and without asking whether it is.
#[tokio::test(start_paused = true)]
async fn hits_need_no_inner_service() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    node.stack(&shop, names(&Arc::default())).ask(Lookup::batch([1, 2])).await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let l1 = ServiceBuilder::new()
        .layer(L1Layer::new(Arc::clone(&node.store)))
        .service(NeverReady(Arc::clone(&polls)));
    let l2 = ServiceBuilder::new()
        .layer(shop.l2_layer::<String>(1, &node.counters))
        .service(NeverReady(Arc::clone(&polls)));
    hits(l1, Level::L1).await;
    hits(l2, Level::L2).await;
    assert_eq!(polls.load(Ordering::SeqCst), 0);
    let l2 = ServiceBuilder::new()
        .layer(shop.l2_layer::<String>(1, &node.counters))
        .service(NeverReady(Arc::clone(&polls)));
    let miss = tokio::time::timeout(Duration::from_secs(1), l2.oneshot(Lookup::one(3))).await;
    assert!(miss.is_err(), "a miss waits");
    assert!(polls.load(Ordering::SeqCst) > 0);
}

async fn hits<S: Inner<i32, String, Error = Error>>(service: S, level: Level) {
    let answers = service.oneshot(Lookup::batch([2, 1])).await.unwrap();
    assert_eq!(shown(answers), [(2, Some("n2".into()), level), (1, Some("n1".into()), level)]);
}

/// A service that panics if it is called without having been polled ready, as tower's contract allows.
pub(super) struct Strict {
    pub(super) ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Strict { ready: false }
    }
}

impl Service<Lookup<i32>> for Strict {
    type Response = Answers<i32, String>;
    type Error = Error;
    type Future = Ready<Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<i32>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        ready(Ok(Answers::all(lookup.into_keys(), &Ok(None))))
    }
}

/// Every layer calls the very service that it polled ready, in whatever way it is itself asked.
#[tokio::test(start_paused = true)]
async fn no_layer_calls_a_service_it_has_not_polled() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let l1 = || {
        ServiceBuilder::new().layer(L1Layer::new(Arc::clone(&node.store))).service(Strict { ready: false })
    };
    let l2 = || {
        ServiceBuilder::new()
            .layer(shop.l2_layer::<String>(1, &node.counters))
            .service(Strict { ready: false })
    };
    for _ in 0..3 {
        assert_eq!(l1().oneshot(Lookup::batch([7, 8])).await.unwrap().len(), 2);
        assert_eq!(l2().oneshot(Lookup::batch([7, 8])).await.unwrap().len(), 2);
        assert_eq!(Stack::new(l1()).ask(Lookup::one(7)).await.unwrap().len(), 1);
        assert_eq!(Stack::new(Strict { ready: false }).ask(Lookup::one(7)).await.unwrap().len(), 1);
    }
}

/// Revalidate alone reads the mark of age: over a bare tier it answers stale and refreshes below.
#[tokio::test(start_paused = true)]
async fn revalidate_refreshes_through_whatever_is_below() {
    let shop = Shop::new(0);
    let node = Node::new(&shop);
    let calls = Arc::new(AtomicUsize::new(0));
    let stack = node.stack(&shop, names(&calls));
    stack.ask(Lookup::one(1)).await.unwrap();
    shop.pass_s(301);
    let answer = stack.ask(Lookup::one(1)).await.unwrap().into_iter().next().unwrap().1.unwrap().unwrap();
    assert_eq!((answer.age, answer.source), (Age::Stale, Level::L2));
    assert!(matches!(answer.entry, Entry::Present(_)));
    settle().await;
    node.refreshes.shutdown().await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let fresh = stack.ask(Lookup::one(1).accept(Accept::Fresh)).await.unwrap();
    assert_eq!(fresh.into_iter().next().unwrap().1.unwrap().unwrap().source, Level::L1);
}
