//! Responses that are kept: what the caches of HTTP and of gRPC responses share.
//!
//! Each is the drop-in of the core, [`CacheLayer`](tierstack_core::CacheLayer): a call is a request with a key, and what is
//! kept is status, headers, bytes and trailers. What may not be kept may not be shared with those who asked at the same time
//! either, and may be of any size: it goes past the stack, from the load to the caller who leads it, through the [`Slot`] of
//! his call. The others, who followed, call the service themselves.

mod body;
mod call;
mod layer;
mod origin;
mod response;
mod service;

#[cfg(feature = "tonic")]
pub(crate) use body::{Gathered, gather};
pub(crate) use body::{Limit, Replay};
pub(crate) use call::{Call, Text, text_of};
pub(crate) use layer::Options;
pub(crate) use layer::{Make, check};
pub(crate) use response::Kept;
#[cfg(feature = "tonic")]
pub(crate) use service::Given;
pub(crate) use service::{Keeper, call_ready};

use bytes::Bytes;
use http::HeaderMap;
use tierstack_core::BoxError;

/// A body of one of the frameworks.
pub(crate) trait AnyBody:
    http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + Sized + 'static
{
    /// One that gives what was read already, and then the rest.
    fn replayed(body: Replay<Self>) -> Self;
}

/// What may be kept, by the rules of a protocol.
pub(crate) trait Rules: Send + Sync + 'static {
    type Body: AnyBody;

    /// How much of a body is read to be kept.
    fn limit(&self) -> Limit;

    /// Whether a response that begins so may be kept, and be answered to others.
    fn allows_head(&self, head: &http::response::Parts) -> bool;

    /// Whether it may, now that its body is known.
    fn allows_whole(&self, body: &Bytes, trailers: Option<&HeaderMap>) -> bool;
}
