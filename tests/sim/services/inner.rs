//! The request, the response and the service below, which does as it is told.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tierstack_core::{
    BoxFuture, CacheKey, CacheLayer, CacheLayerBuilder, L1, Namespace, RequestWriter, Written,
};
use tower::Service;

use crate::shop::Shop;

/// A request; it has neither `Eq` nor `Hash`.
#[derive(Clone, Debug)]
pub(crate) struct FindFilms {
    pub(crate) rating: String,
    /// What is no part of the key.
    pub(crate) trace: u64,
}

impl CacheKey for FindFilms {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        out.group().field("rating", &self.rating).end()
    }
}

pub(crate) fn find(rating: &str) -> FindFilms {
    FindFilms { rating: rating.to_owned(), trace: 0 }
}

/// A response that says which call made it: the first is 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Films {
    pub(crate) rating: String,
    pub(crate) call: usize,
}

/// What the inner service fails with.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) usize);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} was refused", self.0)
    }
}

impl std::error::Error for Refused {}

/// What a call does after its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Act {
    #[default]
    Respond,
    Refuse,
    Panic,
}

/// What the clones of an inner service do, and have been asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: Mutex<Vec<FindFilms>>,
    act: Mutex<(Act, Duration)>,
    running: AtomicUsize,
}

impl Script {
    pub(crate) fn set(&self, act: Act) {
        self.0.act.lock().unwrap().0 = act;
    }

    /// From now on a call takes this long.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.0.act.lock().unwrap().1 = delay;
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    pub(crate) fn asked(&self) -> Vec<FindFilms> {
        self.0.asked.lock().unwrap().clone()
    }

    /// How many calls are under way: neither ended nor dropped.
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// A service that panics if it is called without having been polled ready itself.
    pub(crate) fn service(&self) -> Strict {
        Strict { script: self.clone(), is_ready: false }
    }
}

/// A service that keeps tower's contract, and insists on it.
#[derive(Debug)]
pub(crate) struct Strict {
    script: Script,
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Strict { script: self.script.clone(), is_ready: false }
    }
}

impl Service<FindFilms> for Strict {
    type Response = Films;
    type Error = Refused;
    type Future = BoxFuture<'static, Result<Films, Refused>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: FindFilms) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been polled ready");
        let call = {
            let mut asked = self.script.0.asked.lock().unwrap();
            asked.push(request.clone());
            asked.len()
        };
        let running = Running::begin(&self.script.0);
        let (act, delay) = *self.script.0.act.lock().unwrap();
        Box::pin(async move {
            let _running = running;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            match act {
                Act::Respond => Ok(Films { rating: request.rating, call }),
                Act::Refuse => Err(Refused(call)),
                Act::Panic => panic!("call {call} panics, as it was told"),
            }
        })
    }
}

/// One call under way.
struct Running(Arc<State>);

impl Running {
    fn begin(state: &Arc<State>) -> Self {
        state.running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(state))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A layer on one more node of the shop, with an L1.
pub(crate) fn cached(shop: &Shop) -> CacheLayer<FindFilms, Films> {
    begun(shop, &shop.node()).build().unwrap()
}

/// A layer on a node without an L2, with an L1.
pub(crate) fn cached_alone(shop: &Shop) -> CacheLayer<FindFilms, Films> {
    begun(shop, &alone(shop)).build().unwrap()
}

/// A node without an L2.
pub(crate) fn alone(shop: &Shop) -> Namespace {
    Namespace::builder("alone").clock(shop.manual.clock()).random(shop.random.clone()).build().unwrap()
}

/// A layer that a test goes on to build, with an L1 whose own life is 5 s over an L2.
pub(crate) fn begun(shop: &Shop, node: &Namespace) -> CacheLayerBuilder<FindFilms, Films> {
    let l1 = L1::capacity(1_000);
    let l1 = if node.bus_stats().is_some() { l1.life(Duration::from_secs(5)) } else { l1 };
    let layer = node.cache_layer("find_films").l1(l1);
    layer.settings(shop.settings.clone()).freshness(shop.freshness.clone())
}
