use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use tierstack_core::ErrorKind;
use tower_service::Service;

use super::rules::HttpRules;
use crate::axum::Problem;
use crate::kept::{Call, Keeper, call_ready};

/// A service whose responses are kept. Always ready; the service below is driven ready, on a clone of it, when it is called.
///
/// # Concurrent calls on the same key
/// Those of [`CacheService`](tierstack_core::CacheService), for what may be kept; the service below is called for each
/// request otherwise.
///
/// # Cancel safety
/// A future may be dropped at any await; a handler that was begun for the tiers goes on.
#[derive(Clone)]
pub struct ResponseCacheService<S>(pub(super) Keeper<HttpRules, S>);

impl<S> Service<Request<Body>> for ResponseCacheService<S>
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

async fn answer<S>(keeper: Keeper<HttpRules, S>, request: Request<Body>) -> Response<Body>
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
    let terms = rules.options.wishes.terms(request.headers()).unwrap_or_default();
    // It has no body: that was looked at.
    let (parts, _) = request.into_parts();
    let call = Call::new(rules.text(&parts), parts, Bytes::new());
    match keeper.give(call, terms).await {
        Ok((mut response, status)) => {
            let (name, value) = status.named(rules.name.to_string()).header();
            response.headers_mut().append(name, value);
            response
        }
        Err(error) if error.kind() == ErrorKind::Origin => {
            let text = "the handler panicked: see its message on stderr";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

impl<S> fmt::Debug for ResponseCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseCacheService").field(&self.0.rules.name).finish()
    }
}
