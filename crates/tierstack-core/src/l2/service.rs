//! The service: one boxed future per lookup.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::lookup;
use super::options::L2Options;
use crate::stack::Inner;
use crate::tier::BoxFuture;
use crate::{Answers, Error, Key, Lookup};

/// Answers from the shared tier what it can, asks its inner service for the rest, and fills the tier with that.
///
/// Always ready; it drives a clone of the inner service ready only when something must be loaded.
///
/// # Cancel safety
/// Dropping the future between lease and fill leaves the right to end by itself; until then other nodes wait for it, a
/// bounded time.
pub struct L2Service<K, V, S> {
    options: Arc<L2Options>,
    inner: S,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V, S> L2Service<K, V, S> {
    pub(super) fn new(options: Arc<L2Options>, inner: S) -> Self {
        L2Service { options, inner, types: PhantomData }
    }
}

impl<K, V, S> Service<Lookup<K>> for L2Service<K, V, S>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: Inner<K, V> + Sync,
{
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Answers<K, V>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        let (options, inner) = (Arc::clone(&self.options), self.inner.clone());
        Box::pin(async move { Ok(lookup::look(options, inner, lookup).await) })
    }
}

impl<K, V, S: Clone> Clone for L2Service<K, V, S> {
    fn clone(&self) -> Self {
        L2Service::new(Arc::clone(&self.options), self.inner.clone())
    }
}

impl<K, V, S> fmt::Debug for L2Service<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L2Service").field("options", &self.options).finish_non_exhaustive()
    }
}
