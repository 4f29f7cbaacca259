//! The future of a call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Error;
use crate::tier::BoxFuture;

/// The future of a [`CacheService`](super::CacheService): ready if L1 had the response.
pub struct ResponseFuture<Res>(State<Res>);

enum State<Res> {
    Ready(Option<Result<Res, Error>>),
    Below(BoxFuture<'static, Result<Res, Error>>),
}

impl<Res> ResponseFuture<Res> {
    pub(super) fn ready(response: Result<Res, Error>) -> Self {
        ResponseFuture(State::Ready(Some(response)))
    }

    pub(super) fn below(response: impl Future<Output = Result<Res, Error>> + Send + 'static) -> Self {
        ResponseFuture(State::Below(Box::pin(response)))
    }
}

// Nothing in it is pinned but the box, which is `Unpin`.
impl<Res> Unpin for ResponseFuture<Res> {}

impl<Res> Future for ResponseFuture<Res> {
    type Output = Result<Res, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(response) => Poll::Ready(response.take().expect("not polled after it was ready")),
            State::Below(below) => below.as_mut().poll(cx),
        }
    }
}

impl<Res> fmt::Debug for ResponseFuture<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cache_layer::ResponseFuture")
    }
}
