//! The service: hits at once, the rest from below.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tower_service::Service;

use crate::stack::{Inner, ask};
use crate::store::{Reservation, Store};
use crate::tier::BoxFuture;
use crate::{Answers, Error, Key, Lookup, Outcome};

/// Answers from its store what it can, asks its inner service for the rest, and publishes that.
///
/// Always ready; it drives a clone of the inner service ready only when a key is missing.
///
/// # Cancel safety
/// Dropping the future drops the lookup below; what was found by then is not published.
pub struct L1Service<K, V, S> {
    store: Arc<Store<K, V>>,
    inner: S,
}

impl<K, V, S> L1Service<K, V, S> {
    pub(super) fn new(store: Arc<Store<K, V>>, inner: S) -> Self {
        L1Service { store, inner }
    }
}

impl<K, V, S> Service<Lookup<K>> for L1Service<K, V, S>
where
    K: Key,
    V: Send + Sync + 'static,
    S: Inner<K, V>,
{
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = ResponseFuture<K, V>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        let terms = lookup.terms;
        if !terms.read_l1 {
            return self.below(Found::default(), lookup);
        }
        let now = self.store.clock.coarse();
        let mut found = Found::default();
        let mut rows: SmallVec<[(K, Outcome<V>); 1]> = SmallVec::new();
        let mut missing: SmallVec<[K; 1]> = SmallVec::new();
        for (place, key) in lookup.into_keys().into_iter().enumerate() {
            match self.store.answer(&key, now, terms.accept) {
                Some(answer) if missing.is_empty() => rows.push((key, Ok(Some(answer)))),
                Some(answer) => found.later.push((place, (key, Ok(Some(answer))))),
                None => missing.push(key),
            }
        }
        if missing.is_empty() {
            return ResponseFuture(State::Ready(Some(Answers::new(rows))));
        }
        found.first = rows;
        self.below(found, Lookup::distinct(missing, terms))
    }
}

/// Hits of a lookup that also has misses: those before the first miss, and those after it with their places.
struct Found<K, V> {
    first: SmallVec<[(K, Outcome<V>); 1]>,
    later: Vec<(usize, (K, Outcome<V>))>,
}

impl<K, V> Default for Found<K, V> {
    fn default() -> Self {
        Found { first: SmallVec::new(), later: Vec::new() }
    }
}

impl<K, V> Found<K, V> {
    /// All rows, in the order of the lookup.
    fn merge(self, below: Answers<K, V>) -> Answers<K, V> {
        let Found { mut first, later } = self;
        if first.is_empty() && later.is_empty() {
            return below;
        }
        let mut below = below.into_iter();
        for (place, row) in later {
            while first.len() < place {
                let Some(row) = below.next() else { break };
                first.push(row);
            }
            first.push(row);
        }
        first.extend(below);
        Answers::new(first)
    }
}

impl<K: Key, V: Send + Sync + 'static, S: Inner<K, V>> L1Service<K, V, S> {
    #[cold]
    #[inline(never)]
    fn below(&self, found: Found<K, V>, lookup: Lookup<K>) -> ResponseFuture<K, V> {
        let (store, inner) = (Arc::clone(&self.store), self.inner.clone());
        ResponseFuture(State::Below(Box::pin(async move {
            let reserved: SmallVec<[Reservation; 1]> = store.reserve_all(lookup.keys());
            let answers = ask(inner, lookup).await?;
            for ((key, outcome), reservation) in answers.iter().zip(reserved) {
                if let Ok(Some(answer)) = outcome
                    && !answer.published
                {
                    store.publish(key, reservation, answer);
                }
            }
            Ok(found.merge(answers))
        })))
    }
}

impl<K, V, S: Clone> Clone for L1Service<K, V, S> {
    fn clone(&self) -> Self {
        L1Service { store: Arc::clone(&self.store), inner: self.inner.clone() }
    }
}

impl<K, V, S> fmt::Debug for L1Service<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1Service").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The future of an [`L1Service`]: ready if every key was a hit.
pub struct ResponseFuture<K, V>(State<K, V>);

enum State<K, V> {
    Ready(Option<Answers<K, V>>),
    Below(BoxFuture<'static, Result<Answers<K, V>, Error>>),
}

// Nothing in it is pinned but the box, which is `Unpin`.
impl<K, V> Unpin for ResponseFuture<K, V> {}

impl<K, V> Future for ResponseFuture<K, V> {
    type Output = Result<Answers<K, V>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(answers) => Poll::Ready(Ok(answers.take().expect("not polled after it was ready"))),
            State::Below(below) => below.as_mut().poll(cx),
        }
    }
}

impl<K, V> fmt::Debug for ResponseFuture<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("l1::ResponseFuture")
    }
}
