//! Which calls are for the cache, what their keys are, and which responses may be kept. Pure.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode, request, response};
use tonic::body::Body;

use crate::kept::{AnyBody, Limit, Options, Replay, Rules, Text, text_of};
use crate::{WRITE_TOKEN, cache_control};

pub(crate) struct GrpcRules {
    pub(super) name: Box<str>,
    pub(super) options: Options,
    pub(super) methods: Vec<String>,
}

const ENCODING: &str = "grpc-encoding";
const STATUS: &str = "grpc-status";

impl GrpcRules {
    /// Whether a response to it may be kept, or come from a tier.
    pub(super) fn is_for<B>(&self, request: &Request<B>) -> bool {
        let headers = request.headers();
        request.method() == Method::POST
            && self.methods.iter().any(|method| method == request.uri().path())
            && is_grpc(headers)
            && is_identity(headers)
            && self.options.may_share(headers)
    }

    /// Whether the body is one message, and not compressed.
    pub(super) fn is_message(&self, body: &[u8]) -> bool {
        let Some(([is_compressed, size @ ..], message)) = body.split_first_chunk::<5>() else { return false };
        let is_whole = u64::from(u32::from_be_bytes(*size)) == message.len() as u64;
        *is_compressed == 0 && is_whole
    }

    /// The codec, which the type of the content names, makes another response of the same message.
    pub(super) fn text(&self, parts: &request::Parts, message: &[u8]) -> Text {
        let mut hex = String::with_capacity(2 * message.len());
        for byte in message.get(5..).unwrap_or_default() {
            // Into a string, nothing fails.
            let _ = write!(hex, "{byte:02x}");
        }
        let codec = text_of(&parts.headers, &[CONTENT_TYPE]).into_iter();
        let metadata = codec.chain(text_of(&parts.headers, &self.options.headers)).collect();
        (parts.uri.path().to_owned(), vec![hex], metadata)
    }
}

/// Whether it is gRPC as tonic speaks it, and not gRPC-Web, whose bodies are others.
fn is_grpc(headers: &HeaderMap) -> bool {
    let of_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let rest = of_type.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+') || rest.starts_with(';'))
}

/// Whether messages are as they are: a compressed one is of no use to whoever doesn't take it.
fn is_identity(headers: &HeaderMap) -> bool {
    headers.get(ENCODING).is_none_or(|encoding| encoding == "identity")
}

impl Rules for GrpcRules {
    type Body = Body;

    fn limit(&self) -> Limit {
        Limit::Message(self.options.max_body_bytes)
    }

    fn allows_head(&self, head: &response::Parts) -> bool {
        let headers = &head.headers;
        // A status in the head is that of a call that has no message.
        head.status == StatusCode::OK
            && !headers.contains_key(STATUS)
            && is_identity(headers)
            && !cache_control::has_any(headers, &["no-store", "private", "no-cache"])
            && !cache_control::is_zero(headers, &["max-age", "s-maxage"])
            && ![SET_COOKIE, WRITE_TOKEN].iter().any(|name| headers.contains_key(name))
    }

    fn allows_whole(&self, body: &Bytes, trailers: Option<&HeaderMap>) -> bool {
        let is_ok = trailers.is_some_and(|trailers| trailers.get(STATUS).is_some_and(|status| status == "0"));
        is_ok && self.is_message(body)
    }
}

impl AnyBody for Body {
    fn replayed(body: Replay<Self>) -> Self {
        Body::new(body)
    }
}
