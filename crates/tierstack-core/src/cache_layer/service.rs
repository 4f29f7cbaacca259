//! The service: takes requests and gives responses, as the one below does.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use tower_service::Service;

use super::future::ResponseFuture;
use super::key::RequestKey;
use super::layer::Parts;
use crate::counters::Event;
use crate::{CacheKey, Entry, Error, ErrorKind, Lookup, Outcome, Stack, Terms};

/// A service over requests, cached. Its type names no service below, so that an application's state can hold it. Cloning it
/// counts two references up.
///
/// Always ready. The service below is driven ready, on a clone of it, when a response must be loaded, so a hit needs
/// nothing of it and an idle clone keeps none of its permits.
///
/// # Concurrent calls on the same key
/// A hit is answered from L1. Of several misses in this process one is looked up, and the others follow it, each until
/// its own deadline; all get the one response, or the one error. Of several nodes one takes the right to fill the key in L2
/// and loads, and the others wait for it a bounded time. A caller that asks after an invalidation has returned follows
/// nothing that began before it.
///
/// # Cancel safety
/// A future may be dropped at any await. What it looked up goes on, for others and for the tiers: a call of the service
/// below, once begun, is not dropped before its own time.
pub struct CacheService<Req: CacheKey, Res> {
    parts: Arc<Parts<Req, Res>>,
    stack: Stack<RequestKey<Req>, Res>,
}

impl<Req, Res> CacheService<Req, Res>
where
    Req: CacheKey,
    Res: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    pub(super) fn new(parts: Arc<Parts<Req, Res>>, stack: Stack<RequestKey<Req>, Res>) -> Self {
        CacheService { parts, stack }
    }

    /// The response with its source and age, on terms of the caller's: past a tier, fresh only, or without a load. `None`
    /// if the terms allow no load and no tier holds it.
    ///
    /// # Errors
    /// Those of a call.
    ///
    /// # Cancel safety
    /// That of a call.
    pub async fn lookup(&self, request: Req, terms: Terms) -> Outcome<Res> {
        let key = self.parts.key(&request).inspect_err(|_| self.parts.counters.add(Event::Error, 1))?;
        self.below(key.bearing(request), terms).await
    }

    /// What the stack has for the key.
    fn below(
        &self,
        key: RequestKey<Req>,
        mut terms: Terms,
    ) -> impl Future<Output = Outcome<Res>> + Send + 'static + use<Req, Res> {
        let (stack, parts) = (self.stack.clone(), Arc::clone(&self.parts));
        async move {
            parts.namespace.listen();
            let asking = async {
                let outcome = ask(&stack, key.clone(), terms).await;
                // No load of ours says that there is no response: a record that does is replaced like any that is of no use.
                if !matches!(&outcome, Ok(Some(answer)) if answer.entry.is_absent()) {
                    return outcome;
                }
                (terms.read_l1, terms.read_l2) = (false, false);
                ask(&stack, key.clone(), terms).await
            };
            let outcome = match parts.counters.traced() {
                None => asking.await,
                Some(traced) => {
                    let mut doing = traced.look(1, &|| parts.texts(&key));
                    let outcome = doing.scope(asking).await;
                    doing.told_all(std::iter::once(&outcome));
                    outcome
                }
            };
            parts.counters.told(&outcome);
            outcome
        }
    }
}

async fn ask<Req, Res>(
    stack: &Stack<RequestKey<Req>, Res>,
    key: RequestKey<Req>,
    terms: Terms,
) -> Outcome<Res>
where
    Req: CacheKey,
    Res: Send + Sync + 'static,
{
    let answers = stack.ask(Lookup::distinct(SmallVec::from_buf([key]), terms)).await?;
    answers.into_iter().next().map_or(Ok(None), |(_, outcome)| outcome)
}

impl<Req, Res> Service<Req> for CacheService<Req, Res>
where
    Req: CacheKey,
    Res: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    type Response = Res;
    type Error = Error;
    type Future = ResponseFuture<Res>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let key = match self.parts.key(&request) {
            Ok(key) => key,
            Err(refused) => {
                self.parts.counters.add(Event::Error, 1);
                return ResponseFuture::ready(Err(refused));
            }
        };
        if let Some(store) = &self.parts.stack.store
            && let Some(Entry::Present(response)) =
                store.hit(&key, self.parts.namespace.shared().clock.coarse())
        {
            if let Some(traced) = self.parts.counters.traced() {
                traced.hit(1, false, &|| self.parts.texts(&key));
            }
            return ResponseFuture::ready(Ok(Arc::unwrap_or_clone(response)));
        }
        let outcome = self.below(key.bearing(request), Terms::default());
        ResponseFuture::below(async move {
            let response = outcome.await?.and_then(|answer| answer.entry.into_present());
            // Of responses that no tier keeps, this is the only reference.
            response.map(Arc::unwrap_or_clone).ok_or_else(|| {
                Error::new(
                    ErrorKind::Loader,
                    "a lookup that may load was answered with nothing: mend the tier",
                )
            })
        })
    }
}

impl<Req: CacheKey, Res> Clone for CacheService<Req, Res> {
    fn clone(&self) -> Self {
        CacheService { parts: Arc::clone(&self.parts), stack: self.stack.clone() }
    }
}

impl<Req: CacheKey, Res> fmt::Debug for CacheService<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService").field("layer", &self.parts).finish()
    }
}
