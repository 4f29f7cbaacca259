//! The service below as the origin of the stack: its response is read, and kept if the rules allow it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tierstack_core::Clock;
use tower_service::Service;

use super::body::{Gathered, gather};
use super::{AnyBody, Call, Kept, Replay, Rules};

pub(crate) struct Origin<R, S> {
    pub(super) rules: Arc<R>,
    pub(super) clock: Clock,
    pub(super) inner: S,
}

impl<R, S: Clone> Clone for Origin<R, S> {
    fn clone(&self) -> Self {
        Origin { rules: Arc::clone(&self.rules), clock: self.clock.clone(), inner: self.inner.clone() }
    }
}

impl<R, S> Service<Call<R::Body>> for Origin<R, S>
where
    R: Rules,
    S: Service<Request<R::Body>, Response = Response<R::Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Kept;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Kept, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call<R::Body>) -> Self::Future {
        let response = self.inner.call(call.request());
        let (rules, clock) = (Arc::clone(&self.rules), self.clock.clone());
        Box::pin(async move {
            let (head, body) = response.await?.into_parts();
            if !rules.allows_head(&head) {
                call.leave(Response::from_parts(head, body));
                return Ok(Kept::Passed);
            }
            let replay = match gather(body, rules.limit()).await {
                Gathered::Whole(body, trailers) if rules.allows_whole(&body, trailers.as_ref()) => {
                    return Ok(Kept::new(head, body, trailers, clock.wall_ms()));
                }
                Gathered::Whole(body, trailers) => Replay::whole(body, trailers),
                Gathered::More(replay) => replay,
            };
            call.leave(Response::from_parts(head, R::Body::replayed(replay)));
            Ok(Kept::Passed)
        })
    }
}
