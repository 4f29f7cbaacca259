//! One call, looked up: a response of the tiers or of a load, or one that is the caller's alone.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;

use http::{Request, Response};
use tierstack_core::{CacheService, Error, ErrorKind, Level, Namespace, Terms};
use tower_layer::Layer;
use tower_service::Service;

use super::origin::Origin;
use super::{Call, Kept, Make, Rules};
use crate::CacheStatus;

/// A cached service, and the service itself for what goes past it.
pub(crate) struct Keeper<R: Rules, S> {
    cached: CacheService<Call<R::Body>, Kept>,
    namespace: Namespace,
    pub(crate) rules: Arc<R>,
    pub(crate) inner: S,
}

/// What a call came to: a response, and how the tiers came by it. An error: the service below gave no response.
pub(crate) type Given<B> = Result<(Response<B>, CacheStatus), Error>;

impl<R: Rules, S> Clone for Keeper<R, S>
where
    S: Clone,
{
    fn clone(&self) -> Self {
        Keeper {
            cached: self.cached.clone(),
            namespace: self.namespace.clone(),
            rules: Arc::clone(&self.rules),
            inner: self.inner.clone(),
        }
    }
}

impl<R, S> Keeper<R, S>
where
    R: Rules,
    S: Service<Request<R::Body>, Response = Response<R::Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    pub(crate) fn new(make: &Make<R>, inner: S) -> Self {
        let namespace = make.cached.namespace().clone();
        let (rules, clock) = (Arc::clone(&make.rules), namespace.clock().clone());
        let cached = make.cached.layer(Origin { rules: Arc::clone(&rules), clock, inner: inner.clone() });
        Keeper { cached, namespace, rules, inner }
    }

    /// Looks a call up on those terms.
    pub(crate) async fn give(self, call: Call<R::Body>, terms: Terms) -> Given<R::Body> {
        // What such a client is answered is for nobody else, not even briefly.
        if !terms.use_l2 && terms.load {
            return Ok((call_ready(self.inner, call.request()).await, CacheStatus::bypassed()));
        }
        let outcome = self.cached.lookup(call.clone(), terms).await;
        let status = CacheStatus::of_outcome(&outcome, self.namespace.now()).asked_with(terms);
        let is_key_refused = matches!(&outcome, Err(error) if error.kind() == ErrorKind::Invalid);
        let answer = match outcome {
            Ok(Some(answer)) => answer,
            Err(error) if !is_key_refused => return Err(error),
            _ if !terms.load => {
                let text =
                    "no tier holds a response, and the request wants no other: ask without only-if-cached";
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            // No tier can have a response with such a key: it is the service's.
            Err(_) => {
                let response = call_ready(self.inner, call.request()).await;
                return Ok((response, CacheStatus::bypassed()));
            }
            Ok(None) => {
                let text = "a lookup that may load was answered with nothing: mend the tier";
                return Err(Error::new(ErrorKind::Loader, text));
            }
        };
        match answer.entry.into_present().as_deref() {
            Some(Kept::Whole(whole)) => {
                let now_ms = (answer.source != Level::Origin).then(|| self.namespace.clock().wall_ms());
                Ok((whole.response(now_ms), status))
            }
            Some(Kept::Passed) | None => {
                // Who followed has nothing that he may be answered with, and asks himself.
                match call.take() {
                    Some(response) => Ok((response, status)),
                    None => {
                        let response = call_ready(self.inner, call.request()).await;
                        Ok((response, CacheStatus::bypassed()))
                    }
                }
            }
        }
    }
}

/// Drives a service ready, and calls it.
pub(crate) async fn call_ready<A, B, S>(mut service: S, request: Request<A>) -> Response<B>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    match poll_fn(|cx| service.poll_ready(cx)).await {
        Ok(()) => {}
        Err(never) => match never {},
    }
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
