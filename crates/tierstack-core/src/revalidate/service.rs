//! The service: passes lookups on, and looks at the age of what comes back.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::refreshes::{Begun, Ended, Refreshes};
use crate::recorder::Work;
use crate::stack::{Inner, ask, failed};
use crate::{Accept, Age, Answers, Error, Key, Lookup, Terms};

/// Passes every lookup to its inner service, and refreshes behind the answer what came back stale.
///
/// Ready when its inner service is.
///
/// # Cancel safety
/// That of the inner service. A refresh goes on when the lookup that caused it is dropped.
pub struct RevalidateService<K, V, S> {
    behind: Arc<Behind<K, V, S>>,
    inner: S,
}

impl<K, V, S: Clone> RevalidateService<K, V, S> {
    pub(super) fn new(refreshes: Arc<Refreshes<K>>, inner: S) -> Self {
        RevalidateService {
            behind: Arc::new(Behind { refreshes, inner: inner.clone(), types: PhantomData }),
            inner,
        }
    }
}

impl<K, V, S> Service<Lookup<K>> for RevalidateService<K, V, S>
where
    K: Key,
    V: Send + Sync + 'static,
    S: Inner<K, V> + Sync,
    S::Future: Unpin,
{
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = ResponseFuture<K, V, S, S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(failed)
    }

    #[inline]
    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        let terms = lookup.terms;
        let behind = (terms.accept == Accept::Stale && terms.load).then(|| Arc::clone(&self.behind));
        ResponseFuture { answers: self.inner.call(lookup), terms, behind }
    }
}

/// The future of a [`RevalidateService`].
pub struct ResponseFuture<K, V, S, F> {
    answers: F,
    terms: Terms,
    /// `None` if the lookup takes no stale answers.
    behind: Option<Arc<Behind<K, V, S>>>,
}

impl<K, V, S> Future for ResponseFuture<K, V, S, S::Future>
where
    K: Key,
    V: Send + Sync + 'static,
    S: Inner<K, V> + Sync,
    S::Future: Unpin,
{
    type Output = Result<Answers<K, V>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Poll::Ready(answers) = Pin::new(&mut this.answers).poll(cx) else { return Poll::Pending };
        let answers = answers.map_err(failed)?;
        if let Some(behind) = &this.behind
            && answers.iter().any(|(_, outcome)| is_stale(outcome))
        {
            behind.refresh(&answers, this.terms);
        }
        Poll::Ready(Ok(answers))
    }
}

impl<K, V, S, F> fmt::Debug for ResponseFuture<K, V, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("revalidate::ResponseFuture")
    }
}

/// What a refresh needs, should an answer be stale: one reference per lookup.
struct Behind<K, V, S> {
    refreshes: Arc<Refreshes<K>>,
    inner: S,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Send + Sync + 'static, S: Inner<K, V> + Sync> Behind<K, V, S> {
    #[cold]
    fn refresh(&self, answers: &Answers<K, V>, mut terms: Terms) {
        let stale = answers.iter().filter(|(_, outcome)| is_stale(outcome)).map(|(key, _)| key.clone());
        // Outside a runtime nothing can be refreshed; the stale answer stands.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Some(begun) = self.refreshes.begin(stale) else { return };
        terms.accept = Accept::Fresh;
        // A key that another node is loading is left to it.
        terms.wait = false;
        // The refresh is nobody's: it has a time of its own from the tiers.
        terms.deadline = None;
        let refresh = run(begun, self.inner.clone(), terms);
        match self.refreshes.traced() {
            None => drop(runtime.spawn(async { drop(refresh.await) })),
            Some(traced) => {
                let keys = answers.iter().filter(|(_, outcome)| is_stale(outcome)).count();
                let mut doing = traced.behind(Work::Refresh, keys);
                runtime.spawn(async move {
                    let ended = doing.scope(refresh).await;
                    doing.ended(&ended);
                });
            }
        }
    }
}

/// Fails with the first failure of its keys.
async fn run<K: Key, V: Send + Sync + 'static, S: Inner<K, V>>(
    begun: Begun<K>,
    inner: S,
    terms: Terms,
) -> Result<(), Error> {
    let answers = match ask(inner, Lookup::distinct(begun.keys(), terms)).await {
        Ok(answers) => answers,
        Err(error) => {
            begun.ended(|_| Ended::Failed);
            return Err(error);
        }
    };
    let failure = answers.iter().find_map(|(_, outcome)| outcome.as_ref().err().cloned());
    let ended: HashMap<K, Ended> = answers
        .into_iter()
        .map(|(key, outcome)| {
            let ended = match outcome {
                Ok(Some(_)) => Ended::Renewed,
                Ok(None) => Ended::Left,
                Err(_) => Ended::Failed,
            };
            (key, ended)
        })
        .collect();
    begun.ended(|key| ended.get(key).copied().unwrap_or(Ended::Failed));
    failure.map_or(Ok(()), Err)
}

fn is_stale<V>(outcome: &crate::Outcome<V>) -> bool {
    matches!(outcome, Ok(Some(answer)) if answer.age == Age::Stale)
}

impl<K, V, S: Clone> Clone for RevalidateService<K, V, S> {
    fn clone(&self) -> Self {
        RevalidateService { behind: Arc::clone(&self.behind), inner: self.inner.clone() }
    }
}

impl<K, V, S> fmt::Debug for RevalidateService<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevalidateService").field("refreshes", &self.behind.refreshes).finish_non_exhaustive()
    }
}
