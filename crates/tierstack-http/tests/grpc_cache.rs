//! The cache of responses to unary calls: what is kept, for whom, and that nothing is lost of what isn't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use tierstack_core::{Error, ErrorKind, MemoryTier, Namespace, WriteToken};
use tierstack_http::tonic::{GrpcCacheBuilder, GrpcCacheLayer, status_of};
use tierstack_http::{WRITE_TOKEN, Wishes};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, ServiceExt, service_fn};

const METHOD: &str = "/shop.Films/GetFilm";

/// A body of these frames.
struct Frames(std::vec::IntoIter<Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

/// A message as it goes over the wire.
fn message(flag: u8, text: &str) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
    out
}

fn body(data: &[u8], trailers: Option<HeaderMap>) -> Body {
    // In pieces, so that no part of a message comes with the rest.
    let data = data.chunks(3).map(|part| Frame::data(Bytes::copy_from_slice(part)));
    let frames: Vec<Frame<Bytes>> = data.chain(trailers.map(Frame::trailers)).collect();
    Body::new(Frames(frames.into_iter()))
}

fn status(code: &'static str) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers.insert("x-trailer", HeaderValue::from_static("t"));
    Some(trailers)
}

async fn read(body: Body) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut body, mut data, mut trailers) = (Box::pin(body), Vec::new(), None);
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        match frame.unwrap().into_data() {
            Ok(part) => data.extend(part),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    (data, trailers)
}

struct Calls {
    layer: GrpcCacheLayer,
    count: Arc<AtomicUsize>,
}

fn calls(build: impl FnOnce(GrpcCacheBuilder) -> GrpcCacheBuilder) -> Calls {
    let shop = Namespace::builder("shop").l2(MemoryTier::new(1_000)).build().unwrap();
    let layer = build(GrpcCacheLayer::builder(&shop, "grpc").method(METHOD)).build().unwrap();
    Calls { layer, count: Arc::default() }
}

fn request(data: &[u8], headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(METHOD).body(body(data, None)).unwrap();
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    for (name, value) in headers {
        request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

impl Calls {
    /// Asks a method that answers with the number of the call and what it was asked, by `respond`.
    async fn ask_of(
        &self,
        request: Request<Body>,
        respond: impl Fn(&str) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> (HeaderMap, Vec<u8>, Option<HeaderMap>) {
        let count = self.count.clone();
        let method = service_fn(move |request: Request<Body>| {
            let (call, respond) = (count.fetch_add(1, Ordering::SeqCst), respond.clone());
            async move {
                let asked = read(request.into_body()).await.0;
                Ok::<_, Infallible>(respond(&format!("{call}: {}", String::from_utf8_lossy(&asked))))
            }
        });
        let (head, body) = self.layer.layer(method).oneshot(request).await.unwrap().into_parts();
        let (data, trailers) = read(body).await;
        (head.headers, data, trailers)
    }

    async fn ask(&self, request: Request<Body>) -> (HeaderMap, Vec<u8>, Option<HeaderMap>) {
        self.ask_of(request, |text| Response::new(body(&message(0, text), status("0")))).await
    }

    async fn twice(&self, request: impl Fn() -> Request<Body>) -> usize {
        let before = self.count.load(Ordering::SeqCst);
        self.ask(request()).await;
        self.ask(request()).await;
        self.count.load(Ordering::SeqCst) - before
    }
}

#[tokio::test]
async fn a_response_is_kept_by_its_message_with_metadata_and_trailers() {
    let calls = calls(|calls| calls);
    let with_metadata = |text: &str| {
        let response =
            Response::builder().header("content-type", "application/grpc").header("x-note-bin", "AAE");
        response.body(body(&message(0, text), status("0"))).unwrap()
    };
    for (hit, reason) in [(false, "grpc; fwd=miss"), (true, "grpc; hit")] {
        let (headers, data, trailers) = calls.ask_of(request(&message(0, "seven"), &[]), with_metadata).await;
        assert_eq!(data, message(0, "0: \0\0\0\0\u{5}seven"));
        let trailers = trailers.unwrap();
        assert_eq!(
            (&trailers["grpc-status"], &trailers["x-trailer"]),
            (&"0".parse().unwrap(), &"t".parse().unwrap())
        );
        assert_eq!(
            (&headers["content-type"], &headers["x-note-bin"]),
            (&"application/grpc".parse().unwrap(), &"AAE".parse().unwrap())
        );
        assert!(headers["cache-status"].to_str().unwrap().starts_with(reason), "{headers:?}");
        assert_eq!(headers.contains_key("age"), hit);
    }
    assert_eq!(calls.twice(|| request(&message(0, "eight"), &[])).await, 1);
    assert_eq!(calls.twice(|| request(&message(0, ""), &[])).await, 1);
    calls.layer.invalidate_all().await.unwrap();
    assert_eq!(calls.twice(|| request(&message(0, "eight"), &[])).await, 1);
    assert_eq!(calls.layer.stats().loads, 4);
}

#[tokio::test]
async fn only_chosen_unary_calls_of_nobody_are_for_the_cache() {
    let calls = calls(|calls| calls.max_message_bytes(100));
    let token = WriteToken::must_load().to_string();
    for headers in [
        &[("authorization", "Bearer x")][..],
        &[("cookie", "a=b")],
        &[(WRITE_TOKEN.as_str(), &*token)],
        &[("content-type", "application/grpc-web+proto")],
        &[("grpc-encoding", "gzip")],
    ] {
        assert_eq!(calls.twice(|| request(&message(0, "a"), headers)).await, 2, "{headers:?}");
    }
    let other = || {
        let mut request = request(&message(0, "a"), &[]);
        *request.uri_mut() = "/shop.Films/Other".parse().unwrap();
        request
    };
    assert_eq!(calls.twice(other).await, 2);
    // Whatever is asked with reaches the method as it is.
    let two = [message(0, "a"), message(0, "b")].concat();
    for data in [
        message(1, "a"),
        two,
        message(0, &"x".repeat(101)),
        b"\0\0\0\0\x09short".to_vec(),
        b"\0\0".to_vec(),
        vec![],
    ] {
        assert_eq!(calls.twice(|| request(&data, &[])).await, 2, "{data:?}");
        let answer = calls.ask(request(&data, &[])).await.1;
        assert!(answer.ends_with(&data), "{data:?}");
    }
    assert_eq!(calls.layer.stats().keys(), 0);
    assert_eq!(calls.twice(|| request(&message(0, &"x".repeat(90)), &[])).await, 1);
}

#[tokio::test]
async fn a_key_has_the_metadata_that_was_chosen() {
    let plain = calls(|calls| calls.ignore_credentials());
    assert_eq!(plain.twice(|| request(&message(0, "a"), &[("authorization", "Bearer x")])).await, 1);
    assert_eq!(plain.twice(|| request(&message(0, "a"), &[("language", "de")])).await, 0);
    assert_eq!(
        plain.twice(|| request(&message(0, "a"), &[("content-type", "application/grpc+json")])).await,
        1
    );
    let chosen = calls(|calls| calls.metadata(HeaderName::from_static("language")));
    assert_eq!(chosen.twice(|| request(&message(0, "a"), &[("language", "de")])).await, 1);
    assert_eq!(chosen.twice(|| request(&message(0, "a"), &[("language", "en")])).await, 1);
    let shop = Namespace::builder("shop").build().unwrap();
    let builder = || GrpcCacheLayer::builder(&shop, "grpc");
    for refused in [builder(), builder().method("GetFilm"), builder().method("/a/b/c")] {
        assert_eq!(refused.build().unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn only_a_message_that_is_ok_is_kept() {
    type Respond = fn(&str) -> Response<Body>;
    type Case<'a> = (Respond, Option<(&'a str, &'a str)>, bool);
    let head = |name: &'static str, value: &'static str| (name, value);
    let cases: [Case<'static>; 12] = [
        (|text| Response::new(body(&message(0, text), status("0"))), None, true),
        (
            |text| Response::new(body(&message(0, text), status("0"))),
            Some(head("cache-control", "max-age=9")),
            true,
        ),
        (
            |text| Response::new(body(&message(0, text), status("0"))),
            Some(head("cache-control", "no-store")),
            false,
        ),
        (
            |text| Response::new(body(&message(0, text), status("0"))),
            Some(head("cache-control", "private")),
            false,
        ),
        (
            |text| Response::new(body(&message(0, text), status("0"))),
            Some(head("grpc-encoding", "gzip")),
            false,
        ),
        (
            |text| Response::new(body(&message(0, text), status("0"))),
            Some(head(WRITE_TOKEN_NAME, "1o")),
            false,
        ),
        (|text| Response::new(body(&message(0, text), status("5"))), None, false),
        (|text| Response::new(body(&message(0, text), None)), None, false),
        (|text| Response::new(body(&message(1, text), status("0"))), None, false),
        (
            |text| Response::new(body(&[message(0, text), message(0, text)].concat(), status("0"))),
            None,
            false,
        ),
        (|text| Response::new(body(&message(0, &text.repeat(100)), status("0"))), None, false),
        (|text| Response::new(body(text.as_bytes(), status("0"))), Some(head("grpc-status", "0")), false),
    ];
    for (at, (respond, header, is_kept)) in cases.into_iter().enumerate() {
        let calls = calls(|calls| calls.max_message_bytes(500));
        let respond_with = move |text: &str| {
            let mut response = respond(text);
            if let Some((name, value)) = header {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        };
        for call in 0..2 {
            let (_, data, trailers) = calls.ask_of(request(&message(0, "a"), &[]), respond_with).await;
            let text = format!("{}: \0\0\0\0\u{1}a", if is_kept { 0 } else { call });
            let (expected, of) = read(respond(&text).into_body()).await;
            assert_eq!((data, trailers), (expected, of), "case {at}, call {call}");
        }
    }
}

const WRITE_TOKEN_NAME: &str = "tierstack-write-token";

#[tokio::test]
async fn a_clients_wishes_count_where_they_are_granted() {
    let refresh = [("cache-control", "no-cache")];
    let plain = calls(|calls| calls);
    plain.ask(request(&message(0, "a"), &[])).await;
    assert_eq!(plain.twice(|| request(&message(0, "a"), &refresh)).await, 0);
    let granted = calls(|calls| calls.grant(Wishes::none().refresh()));
    granted.ask(request(&message(0, "a"), &[])).await;
    assert_eq!(granted.twice(|| request(&message(0, "a"), &refresh)).await, 2);
    let granted = calls(|calls| calls.grant(Wishes::none().bypass().only_if_cached()));
    let only = || request(&message(0, "a"), &[("cache-control", "only-if-cached")]);
    assert_eq!(granted.ask(only()).await.0["grpc-status"], "4");
    assert_eq!(granted.twice(|| request(&message(0, "a"), &[("cache-control", "no-store")])).await, 2);
    assert_eq!(granted.twice(|| request(&message(0, "a"), &[])).await, 1);
    assert_eq!(granted.twice(only).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_panics_or_hangs_is_a_status() {
    let calls = calls(|calls| calls);
    let code = |headers: &HeaderMap| headers["grpc-status"].to_str().unwrap().to_owned();
    let panics = |_: &str| panic!("as a test wants");
    assert_eq!(code(&calls.ask_of(request(&message(0, "a"), &[]), panics).await.0), "13");
    let hangs = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let late = calls.layer.layer(hangs).oneshot(request(&message(0, "a"), &[])).await.unwrap();
    assert_eq!(code(late.headers()), "4");
}

#[test]
fn an_error_is_a_status_by_its_kind() {
    for (kind, code) in [
        (ErrorKind::Invalid, Code::InvalidArgument),
        (ErrorKind::NotFound, Code::NotFound),
        (ErrorKind::Loader, Code::Internal),
        (ErrorKind::Origin, Code::Unavailable),
        (ErrorKind::Overloaded, Code::ResourceExhausted),
        (ErrorKind::Undelivered, Code::Unavailable),
        (ErrorKind::Timeout, Code::DeadlineExceeded),
    ] {
        assert_eq!(status_of(&Error::new(kind, "why")).code(), code, "{kind:?}");
    }
}
