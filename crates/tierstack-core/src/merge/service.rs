//! The service: gives a lookup to the merger, and waits for its part.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::merger::Merger;
use crate::stack::{Inner, ask};
use crate::tier::BoxFuture;
use crate::{Answers, Error, ErrorKind, Key, Lookup, Moment};

/// Asks its inner service for several lookups at once.
///
/// Always ready; it drives a clone of the inner service ready for each round.
///
/// # Cancel safety
/// A lookup that is dropped before its round began is not asked; after that its answer is lost.
pub struct MergeService<K, V, S> {
    merger: Arc<Merger<K, V>>,
    inner: S,
}

impl<K, V, S> MergeService<K, V, S> {
    pub(super) fn new(merger: Arc<Merger<K, V>>, inner: S) -> Self {
        MergeService { merger, inner }
    }
}

impl<K, V, S> Service<Lookup<K>> for MergeService<K, V, S>
where
    K: Key,
    V: Send + Sync + 'static,
    S: Inner<K, V>,
{
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Answers<K, V>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        let (merger, inner) = (Arc::clone(&self.merger), self.inner.clone());
        Box::pin(async move {
            if !lookup.terms.load {
                return ask(inner, lookup).await;
            }
            let deadline = lookup.terms.deadline.unwrap_or(Moment::NEVER);
            if tokio::runtime::Handle::try_current().is_err() {
                let text = "a lookup that loads was asked outside a tokio runtime: ask it inside one";
                return Err(Error::invalid(text));
            }
            // A round may go with the runtime of whoever began it: then it is asked once more, in this one.
            for _ in 0..2 {
                let part = merger.enter(lookup.clone(), inner.clone())?;
                match merger.clock().before(deadline, part).await {
                    Some(Ok(answers)) => return answers,
                    Some(Err(_)) => {}
                    None => {
                        let text =
                            "the origin did not answer in time: see load_timeout and the lookup's deadline";
                        return Err(Error::new(ErrorKind::Timeout, text));
                    }
                }
            }
            let text = "the load was given up twice: its task panicked, or its runtime ended; try again";
            Err(Error::new(ErrorKind::Overloaded, text))
        })
    }
}

impl<K, V, S: Clone> Clone for MergeService<K, V, S> {
    fn clone(&self) -> Self {
        MergeService::new(Arc::clone(&self.merger), self.inner.clone())
    }
}

impl<K, V, S> fmt::Debug for MergeService<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MergeService")
    }
}
