//! A service over one key as a service over a batch: bounded concurrency, one outcome for each key.

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use futures_util::{FutureExt, StreamExt, stream};
use tower_layer::Layer;
use tower_service::Service;

use crate::loader::{call_ready, panicked};
use crate::tier::BoxFuture;
use crate::{BoxError, Error, Loaded};

/// Asks a service over one key for each key of a batch, a bounded number at a time.
///
/// 1. A key whose call fails, panics, or finds the service failing to become ready, has [`failed`](Loaded::failed). The
///    others are asked all the same.
/// 2. Each call is made on a clone of the service, which was driven ready for it.
/// 3. The batch is answered when all its keys are. If one hangs, the load is late as a whole, at
///    [`load_timeout`](crate::Settings::load_timeout): then its calls are dropped, and what had been found is lost. Bound the
///    time of a call, and a key that hangs is late by itself:
///
/// ```
/// use std::time::Duration;
/// use tierstack_core::origin::EachLayer;
/// use tower::timeout::TimeoutLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
/// let titles = ServiceBuilder::new()
///     .layer(EachLayer::new(8)?)
///     .layer(TimeoutLayer::new(Duration::from_millis(50)))
///     .service(service_fn(|key: u32| async move {
///         if key == 7 {
///             std::future::pending::<()>().await;
///         }
///         Ok::<_, std::io::Error>(Some(format!("Film {key}")))
///     }));
/// let loaded = titles.oneshot(vec![6, 7, 8]).await?;
/// assert_eq!((loaded.rows.len(), loaded.failed[0].0), (2, 7));
/// # Ok(()) }
/// ```
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
    type Response = Loaded<K, V>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Loaded<K, V>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, keys: Vec<K>) -> Self::Future {
        let (repository, at_once) = (self.repository.clone(), self.at_once);
        let calls = keys.into_iter().map(move |key| {
            let call = AssertUnwindSafe(call_ready(repository.clone(), key.clone())).catch_unwind();
            async move { (key, call.await.unwrap_or_else(|_| Err(panicked()))) }
        });
        Box::pin(async move {
            let mut loaded = Loaded::rows(Vec::new());
            let mut calls = stream::iter(calls).buffer_unordered(at_once);
            while let Some((key, found)) = calls.next().await {
                match found {
                    Ok(Some(row)) => loaded.rows.push((key, row)),
                    Ok(None) => {}
                    Err(error) => loaded.failed.push((key, error)),
                }
            }
            Ok(loaded)
        })
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
