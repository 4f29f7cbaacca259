use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tierstack_core::ErrorKind;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use super::rules::GrpcRules;
use super::status_of;
use crate::kept::{AnyBody, Call, Gathered, Given, Keeper, Replay, Rules, call_ready, gather};

/// A service whose responses are kept. Always ready; the service below is driven ready, on a clone of it, when it is called.
///
/// # Concurrent calls on the same key
/// Those of [`CacheService`](tierstack_core::CacheService), for what may be kept; the service below is called for each call
/// otherwise.
///
/// # Cancel safety
/// A future may be dropped at any await; a method that was begun for the tiers goes on.
#[derive(Clone)]
pub struct GrpcCacheService<S>(pub(super) Keeper<GrpcRules, S>);

impl<S> Service<Request<Body>> for GrpcCacheService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let keeper = self.0.clone();
        Box::pin(async move { Ok(answer(keeper, request).await) })
    }
}

async fn answer<S>(keeper: Keeper<GrpcRules, S>, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let rules = keeper.rules.clone();
    if !rules.is_for(&request) {
        return call_ready(keeper.inner, request).await;
    }
    let (parts, body) = request.into_parts();
    let replay = match gather(body, rules.limit()).await {
        Gathered::Whole(message, None) if rules.is_message(&message) => {
            let terms = rules.options.wishes.terms(&parts.headers).unwrap_or_default();
            let call = Call::new(rules.text(&parts, &message), parts, message);
            return given(&rules, keeper.give(call, terms).await);
        }
        Gathered::Whole(bytes, trailers) => Replay::whole(bytes, trailers),
        Gathered::More(replay) => replay,
    };
    call_ready(keeper.inner, Request::from_parts(parts, Body::replayed(replay))).await
}

fn given(rules: &GrpcRules, given: Given<Body>) -> Response<Body> {
    match given {
        Ok((mut response, status)) => {
            let (name, value) = status.named(rules.name.to_string()).header();
            response.headers_mut().append(name, value);
            response
        }
        Err(error) if error.kind() == ErrorKind::Origin => {
            Status::internal("the method panicked: see its message on stderr").into_http()
        }
        Err(error) => status_of(&error).into_http(),
    }
}

/// So that one service of a server can have it, as well as all of them.
impl<S: NamedService> NamedService for GrpcCacheService<S> {
    const NAME: &'static str = S::NAME;
}

/// So that one service of a server can have it, as well as all of them.
impl<S: NamedService> NamedService for crate::LookupsService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> fmt::Debug for GrpcCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcCacheService").field(&self.0.rules.name).finish()
    }
}
