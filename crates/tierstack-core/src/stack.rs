//! The stack: what every layer is a service of, and its erased form.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use tower_service::Service;

use crate::tier::BoxFuture;
use crate::{Answers, BoxError, Error, ErrorKind, Lookup};

/// What a layer asks: a service from lookups to answers. Every such service is one.
///
/// 1. Its answers bear the keys of the lookup, in its order.
/// 2. One key's failure is that key's outcome; the call itself fails only for what concerns all of them.
pub trait Inner<K, V>:
    Service<Lookup<K>, Response = Answers<K, V>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static
{
}

impl<K, V, S> Inner<K, V> for S where
    S: Service<Lookup<K>, Response = Answers<K, V>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Drives `inner` ready, and asks it.
pub(crate) async fn ask<K, V, S: Inner<K, V>>(
    mut inner: S,
    lookup: Lookup<K>,
) -> Result<Answers<K, V>, Error> {
    poll_fn(|cx| inner.poll_ready(cx)).await.map_err(failed)?;
    inner.call(lookup).await.map_err(failed)
}

/// The error of a lookup that a service in the stack failed with `error`; one of ours is taken as it is.
pub(crate) fn failed(error: impl Into<BoxError>) -> Error {
    let text = "a service in the stack failed: see the source of this error";
    Error::from_box(error.into(), ErrorKind::Overloaded, text)
}

trait Erased<K, V>: Send + Sync {
    fn ask(&self, lookup: Lookup<K>) -> BoxFuture<'static, Result<Answers<K, V>, Error>>;
}

impl<K, V, S> Erased<K, V> for S
where
    K: Send + 'static,
    V: 'static,
    S: Inner<K, V> + Sync,
{
    fn ask(&self, lookup: Lookup<K>) -> BoxFuture<'static, Result<Answers<K, V>, Error>> {
        let mut inner = self.clone();
        // Layers of ours are ready always: their future is had without a poll of its own.
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match inner.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) => Box::pin(inner.call(lookup).map_err(failed)),
            Poll::Ready(Err(error)) => {
                let error = failed(error);
                Box::pin(async move { Err(error) })
            }
            Poll::Pending => Box::pin(ask(inner, lookup)),
        }
    }
}

/// Any stack of services over the same keys and rows, its type forgotten: nameable in an application's state. Cloning it
/// counts one reference up.
pub struct Stack<K, V>(Arc<dyn Erased<K, V>>);

impl<K: Send + 'static, V: 'static> Stack<K, V> {
    /// Forgets the type of `service`.
    #[must_use]
    pub fn new<S: Inner<K, V> + Sync>(service: S) -> Self {
        Stack(Arc::new(service))
    }

    /// Asks the stack.
    ///
    /// # Errors
    /// What concerns all keys; one key's failure is its outcome.
    ///
    /// # Cancel safety
    /// That of its layers.
    pub fn ask(
        &self,
        lookup: Lookup<K>,
    ) -> impl Future<Output = Result<Answers<K, V>, Error>> + Send + 'static + use<K, V> {
        self.ask_boxed(lookup)
    }

    /// The same, as it is.
    pub(crate) fn ask_boxed(&self, lookup: Lookup<K>) -> BoxFuture<'static, Result<Answers<K, V>, Error>> {
        self.0.ask(lookup)
    }
}

impl<K: Send + 'static, V: 'static> Service<Lookup<K>> for Stack<K, V> {
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Answers<K, V>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        self.0.ask(lookup)
    }
}

impl<K, V> Clone for Stack<K, V> {
    fn clone(&self) -> Self {
        Stack(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Stack<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stack")
    }
}
