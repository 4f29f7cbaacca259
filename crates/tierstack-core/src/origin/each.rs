//! A service over one key as a service over a batch: bounded concurrency, first error wins.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::{StreamExt, TryStreamExt, stream};
use tower_layer::Layer;
use tower_service::Service;

use crate::tier::BoxFuture;
use crate::{BoxError, Error};

/// Asks a service over one key for each key of a batch, a bounded number at a time.
///
/// The batch fails with the first error; the other keys' calls are dropped then.
#[derive(Clone)]
pub struct Each<S> {
    repository: S,
    at_once: usize,
}

impl<S> Each<S> {
    /// At most `at_once` keys are asked at a time.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if `at_once` is 0.
    pub fn new(repository: S, at_once: usize) -> Result<Self, Error> {
        if at_once == 0 {
            return Err(Error::invalid("at_once is 0: no key could ever be loaded, set it to 1 or more"));
        }
        Ok(Each { repository, at_once })
    }
}

impl<K, V, S> Service<Vec<K>> for Each<S>
where
    K: Clone + Send + 'static,
    V: Send + 'static,
    S: Service<K, Response = Option<V>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Response = Vec<(K, V)>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Vec<(K, V)>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, keys: Vec<K>) -> Self::Future {
        let (repository, at_once) = (self.repository.clone(), self.at_once);
        let calls = keys.into_iter().map(move |key| {
            let mut repository = repository.clone();
            async move {
                poll_fn(|cx| repository.poll_ready(cx)).await.map_err(Into::into)?;
                let row = repository.call(key.clone()).await.map_err(Into::into)?;
                Ok(row.map(|row| (key, row)))
            }
        });
        let rows = stream::iter(calls).buffer_unordered(at_once);
        Box::pin(rows.try_filter_map(|row| async move { Ok(row) }).try_collect())
    }
}

impl<S> fmt::Debug for Each<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").field("at_once", &self.at_once).finish_non_exhaustive()
    }
}

/// Makes a service over a batch of a service over one key; see [`Each`].
#[derive(Clone, Copy, Debug)]
pub struct EachLayer {
    at_once: usize,
}

impl EachLayer {
    /// At most `at_once` keys are asked at a time.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if `at_once` is 0.
    pub fn new(at_once: usize) -> Result<Self, Error> {
        Each::new((), at_once).map(|Each { at_once, .. }: Each<()>| EachLayer { at_once })
    }
}

impl<S> Layer<S> for EachLayer {
    type Service = Each<S>;

    fn layer(&self, repository: S) -> Self::Service {
        Each { repository, at_once: self.at_once }
    }
}
