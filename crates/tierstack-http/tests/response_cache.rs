//! The cache of responses: what is kept, for whom, and that nothing is lost of what isn't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
use http::{HeaderMap, Request, Response, StatusCode};
use tierstack_core::{ErrorKind, ManualClock, MemoryTier, Namespace, Settings, WriteToken};
use tierstack_http::axum::ResponseCacheLayer;
use tierstack_http::axum::response_cache::ResponseCacheBuilder;
use tierstack_http::{WRITE_TOKEN, Wishes};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};

struct Pages {
    layer: ResponseCacheLayer,
    calls: Arc<AtomicUsize>,
}

/// A node over that tier. Its clock is tokio's, which a test may pause.
fn on(
    tier: &MemoryTier,
    clock: &ManualClock,
    build: impl FnOnce(ResponseCacheBuilder) -> ResponseCacheBuilder,
) -> Pages {
    let shop = Namespace::builder("shop").l2(tier.clone()).clock(clock.clock()).build().unwrap();
    let layer = build(ResponseCacheLayer::builder(&shop, "pages")).build().unwrap();
    Pages { layer, calls: Arc::default() }
}

fn pages(build: impl FnOnce(ResponseCacheBuilder) -> ResponseCacheBuilder) -> Pages {
    let clock = ManualClock::new();
    on(&MemoryTier::with_clock(1_000, clock.clock()), &clock, build)
}

impl Pages {
    /// Asks a handler that is given the number of its call.
    async fn ask_of<F, Fut>(&self, request: Request<Body>, handler: F) -> Response<Body>
    where
        F: Fn(usize, Request<Body>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let calls = self.calls.clone();
        let counted = service_fn(move |request: Request<Body>| {
            let response = handler(calls.fetch_add(1, Ordering::SeqCst), request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        self.layer.layer(counted).oneshot(request).await.unwrap()
    }

    /// Asks a handler that says which call it was.
    async fn ask(&self, request: Request<Body>) -> (HeaderMap, String) {
        read(
            self.ask_of(request, |call, _| async move { Response::new(Body::from(format!("call {call}"))) })
                .await,
        )
        .await
    }

    /// How many calls two equal requests make, and what the second is told.
    async fn twice(&self, request: impl Fn() -> Request<Body>) -> usize {
        let before = self.calls.load(Ordering::SeqCst);
        self.ask(request()).await;
        self.ask(request()).await;
        self.calls.load(Ordering::SeqCst) - before
    }
}

async fn read(response: Response<Body>) -> (HeaderMap, String) {
    let (head, body) = response.into_parts();
    (head.headers, String::from_utf8(to_bytes(body, 1 << 24).await.unwrap().to_vec()).unwrap())
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "shop.example").body(Body::empty()).unwrap()
}

fn with(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(path);
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

#[tokio::test(start_paused = true)]
async fn a_response_is_kept_with_its_headers_and_its_age() {
    let clock = ManualClock::new();
    let tier = MemoryTier::with_clock(1_000, clock.clock());
    let (here, there) = (on(&tier, &clock, |pages| pages), on(&tier, &clock, |pages| pages));
    let handler = |call: usize, _| async move {
        let response = Response::builder().status(404).header("x-call", call).header("etag", "\"7\"");
        response.header("x-many", "a").header("x-many", "b").body(Body::from("body")).unwrap()
    };
    let (headers, body) = read(here.ask_of(request("/a"), handler).await).await;
    assert_eq!((&headers["x-call"], &*body, headers.get("age")), (&"0".parse().unwrap(), "body", None));
    assert!(headers["cache-status"].to_str().unwrap().starts_with("pages; fwd=miss; ttl="), "{headers:?}");
    for (node, later, age, tier) in [(&here, 7, "7", "L1"), (&there, 2, "9", "L2")] {
        tokio::time::sleep(Duration::from_secs(later)).await;
        let response = node.ask_of(request("/a"), handler).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let (headers, body) = read(response).await;
        assert_eq!(
            (&headers["x-call"], &headers["age"], &*body),
            (&"0".parse().unwrap(), &age.parse().unwrap(), "body")
        );
        assert_eq!(headers.get_all("x-many").iter().collect::<Vec<_>>(), ["a", "b"]);
        let status = headers["cache-status"].to_str().unwrap();
        assert!(status.starts_with("pages; hit; ttl=") && status.ends_with(tier), "{status}");
    }
    assert_eq!((here.layer.stats().loads, there.layer.stats().loads), (1, 0));
}

#[tokio::test]
async fn only_whole_gets_of_nobody_are_for_the_cache() {
    let pages = pages(|pages| pages);
    let token = WriteToken::must_load().to_string();
    assert_eq!(pages.twice(|| request("/a")).await, 1);
    for headers in [
        &[("authorization", "Bearer x")][..],
        &[("cookie", "session=x")],
        &[("proxy-authorization", "Basic x")],
        &[(WRITE_TOKEN.as_str(), &*token)],
        &[("range", "bytes=0-1")],
        &[("if-range", "\"7\"")],
        &[("if-none-match", "\"7\"")],
        &[("if-match", "\"7\"")],
        &[("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")],
        &[("if-unmodified-since", "Mon, 01 Jan 2024 00:00:00 GMT")],
        &[("upgrade", "websocket")],
    ] {
        assert_eq!(pages.twice(|| with("/a", headers)).await, 2, "{headers:?}");
        assert!(!pages.ask(with("/a", headers)).await.0.contains_key("cache-status"));
    }
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let request = || Request::builder().method(method).uri("/a").body(Body::empty()).unwrap();
        assert_eq!(pages.twice(request).await, 2, "{method}");
    }
    let echo = |_, request: Request<Body>| async { Response::new(request.into_body()) };
    for text in ["one", "two"] {
        let request = Request::get("/a").body(Body::from(text)).unwrap();
        assert_eq!(read(pages.ask_of(request, echo).await).await.1, text);
    }
    // A key that no tier takes.
    let long = format!("/{}", "x".repeat(2_000));
    assert_eq!(pages.twice(|| request(&long)).await, 2);
    assert_eq!(pages.ask(request(&long)).await.0["cache-status"], "pages; fwd=bypass; detail=origin");
}

#[tokio::test]
async fn credentials_are_shared_if_the_application_says_so() {
    let pages = pages(ResponseCacheBuilder::ignore_credentials);
    assert_eq!(pages.twice(|| with("/a", &[("authorization", "Bearer x")])).await, 1);
    assert_eq!(pages.twice(|| with("/a", &[("cookie", "session=x")])).await, 0);
    // But not with who must see his own write.
    let cookie = format!("a=b; {WRITE_TOKEN}={}", WriteToken::must_load());
    assert_eq!(pages.twice(|| with("/a", &[("cookie", &cookie)])).await, 2);
    assert_eq!(pages.twice(|| with("/a", &[(WRITE_TOKEN.as_str(), "1o")])).await, 2);
    let shop = Namespace::builder("shop").build().unwrap();
    for name in [AUTHORIZATION, COOKIE] {
        let refused = ResponseCacheLayer::builder(&shop, "pages").header(name).build().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    for size in [0, 2 << 20] {
        let refused = ResponseCacheLayer::builder(&shop, "pages").max_body_bytes(size).build();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_key_is_the_address_and_what_was_chosen() {
    let all = pages(|pages| pages);
    for (path, calls) in
        [("/a?x=1&y=2", 1), ("/a?x=1&y=2", 0), ("/a?y=2&x=1", 1), ("/a", 1), ("/a?", 1), ("/a/", 1)]
    {
        let before = all.calls.load(Ordering::SeqCst);
        all.ask(request(path)).await;
        assert_eq!(all.calls.load(Ordering::SeqCst) - before, calls, "{path}");
    }
    let before = all.ask(request("/a")).await.1;
    assert_ne!(
        before,
        all.ask(Request::get("/a").header("host", "other.example").body(Body::empty()).unwrap()).await.1
    );
    assert_ne!(before, all.ask(Request::get("http://x.example/a").body(Body::empty()).unwrap()).await.1);
    assert_eq!(
        before,
        all.ask(Request::get("/a").header("host", "SHOP.example").body(Body::empty()).unwrap()).await.1
    );

    let chosen = pages(|pages| pages.query(["page", "sort"]).header(ACCEPT_LANGUAGE).any_host());
    let first = chosen.ask(with("/a?page=2&sort=x&utm=1", &[("accept-language", "de")])).await.1;
    for (path, languages, is_same) in [
        ("/a?sort=x&page=2", &["de"][..], true),
        ("http://other.example/a?sort=x&page=2&utm=9", &["de"], true),
        ("/a?sort=x&page=3", &["de"], false),
        ("/a?sort=x&page=2&%70age=3", &["de"], false),
        ("/a?sort=x", &["de"], false),
        ("/a?sort=x&page=2", &["en"], false),
        ("/a?sort=x&page=2", &[], false),
        ("/a?sort=x&page=2", &["de", "en"], false),
        ("/a?sort=x&page=2", &["de,en"], false),
    ] {
        let languages: Vec<(&str, &str)> =
            languages.iter().map(|language| ("accept-language", *language)).collect();
        let is_told = chosen.ask(with(path, &languages)).await.1;
        assert_eq!(is_told == first, is_same, "{path} {languages:?}");
    }
}

#[tokio::test]
async fn routers_that_are_nested_are_told_apart() {
    let pages = pages(|pages| pages);
    let part =
        |text: &'static str| Router::new().route("/same", get(async move || text)).layer(pages.layer.clone());
    let app = Router::new().nest("/a", part("a")).nest("/b", part("b"));
    for _ in 0..2 {
        for text in ["a", "b"] {
            let response = app.clone().oneshot(request(&format!("/{text}/same"))).await.unwrap();
            assert_eq!(read(response).await.1, text);
        }
    }
    assert_eq!(pages.layer.stats().loads, 2);
}

#[tokio::test]
async fn a_response_is_kept_unless_it_says_otherwise() {
    for (status, headers, is_kept) in [
        (200_u16, &[][..], true),
        (203, &[], true),
        (204, &[], true),
        (301, &[], true),
        (308, &[], true),
        (404, &[], true),
        (410, &[], true),
        (200, &[("cache-control", "public, max-age=60")], true),
        (200, &[("vary", "accept-language")], true),
        (200, &[("vary", "Accept-Language, HOST")], true),
        (200, &[("vary", "")], true),
        (201, &[], false),
        (206, &[], false),
        (302, &[], false),
        (304, &[], false),
        (400, &[], false),
        (401, &[], false),
        (429, &[], false),
        (500, &[], false),
        (503, &[], false),
        (200, &[("cache-control", "no-store")], false),
        (200, &[("cache-control", "max-age=60, Private")], false),
        (200, &[("cache-control", "private=\"x-a\"")], false),
        (200, &[("cache-control", "no-cache")], false),
        (200, &[("cache-control", "max-age=0")], false),
        (200, &[("cache-control", "s-maxage=0")], false),
        (200, &[("cache-control", "public"), ("cache-control", "no-store")], false),
        (200, &[("set-cookie", "session=x")], false),
        (200, &[("tierstack-write-token", "1o")], false),
        (200, &[("content-range", "bytes 0-1/2")], false),
        (200, &[("vary", "*")], false),
        (200, &[("vary", "accept-encoding")], false),
        (200, &[("vary", "accept-language, origin")], false),
        (200, &[("vary", "accept-language"), ("vary", "cookie")], false),
    ] {
        let pages = pages(|pages| pages.header(ACCEPT_LANGUAGE));
        let handler = move |call: usize, _| async move {
            let mut response = Response::builder().status(status).header("x-call", call);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            response.body(Body::from(format!("call {call}"))).unwrap()
        };
        for call in 0..2 {
            let response = pages.ask_of(request("/a"), handler).await;
            assert_eq!(response.status(), status);
            let (told, body) = read(response).await;
            let expected = if is_kept { 0 } else { call };
            assert_eq!(body, format!("call {expected}"), "{status} {headers:?}");
            for (name, _) in headers {
                assert!(told.contains_key(*name), "{name} is lost");
            }
            assert_eq!(told["cache-status"].to_str().unwrap().contains("; stored"), is_kept && call == 0);
        }
    }
}

#[tokio::test]
async fn what_is_not_kept_is_told_to_nobody_else() {
    let pages = pages(|pages| pages);
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move |call: usize, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                let session = format!("session={call}");
                Response::builder().header("set-cookie", session).body(Body::from(format!("{call}"))).unwrap()
            }
        }
    };
    let asks: Vec<_> = (0..5).map(|_| pages.ask_of(request("/a"), handler.clone())).collect();
    let open = async {
        // All of them wait for the first before it is answered.
        while pages.layer.stats().followed < 4 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(5);
    };
    let (responses, ()) = futures_util::future::join(futures_util::future::join_all(asks), open).await;
    let mut sessions = Vec::new();
    for response in responses {
        let (headers, body) = read(response).await;
        assert_eq!(headers["set-cookie"], format!("session={body}"));
        sessions.push(body);
    }
    sessions.sort();
    assert_eq!(sessions, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_stampede_is_one_call() {
    let pages = pages(|pages| pages);
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move |call: usize, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Response::new(Body::from(format!("{call}")))
            }
        }
    };
    let asks: Vec<_> = (0..5).map(|_| pages.ask_of(request("/a"), handler.clone())).collect();
    let open = async {
        while pages.layer.stats().followed < 4 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(5);
    };
    let (responses, ()) = futures_util::future::join(futures_util::future::join_all(asks), open).await;
    for response in responses {
        assert_eq!(read(response).await.1, "0");
    }
    assert_eq!(pages.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_over_the_bound_passes_whole() {
    for (parts, size, is_kept) in
        [(1, 1_000, true), (10, 100, true), (1, 1_001, false), (11, 100, false), (3, 100_000, false)]
    {
        for is_stream in [false, true] {
            let pages = pages(|pages| pages.max_body_bytes(1_000));
            let handler = move |call: usize, _| async move {
                let letter = char::from(b'a' + u8::try_from(call).unwrap());
                let part = letter.to_string().repeat(size);
                if is_stream {
                    let parts = stream::iter(0..parts).map(move |_| Ok::<_, Infallible>(part.clone()));
                    Response::new(Body::from_stream(parts))
                } else {
                    Response::new(Body::from(part.repeat(parts)))
                }
            };
            let first = read(pages.ask_of(request("/a"), handler).await).await.1;
            assert_eq!(first, "a".repeat(parts * size));
            let second = read(pages.ask_of(request("/a"), handler).await).await.1;
            let letter = if is_kept { "a" } else { "b" };
            assert_eq!(second, letter.repeat(parts * size), "{parts} × {size}, streamed: {is_stream}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_its_caller_alone() {
    let pages = pages(|pages| pages);
    let handler = |call: usize, _| async move {
        if call > 0 {
            return Response::new(Body::from("well"));
        }
        let parts = [Ok("begun"), Err(std::io::Error::other("broken"))];
        Response::new(Body::from_stream(stream::iter(parts)))
    };
    let mut broken = pages.ask_of(request("/a"), handler).await.into_body().into_data_stream();
    assert_eq!(broken.next().await.unwrap().unwrap(), "begun");
    assert!(broken.next().await.unwrap().unwrap_err().to_string().contains("broken"));
    assert_eq!(read(pages.ask_of(request("/a"), handler).await).await.1, "well");
}

#[tokio::test]
async fn headers_of_the_connection_are_not_kept() {
    let pages = pages(|pages| pages);
    let handler = |_, _| async {
        let response = Response::builder().header("connection", "x-hop, close").header("x-hop", "1");
        let response =
            response.header("keep-alive", "timeout=5").header("te", "trailers").header("x-end", "1");
        response.body(Body::empty()).unwrap()
    };
    for _ in 0..2 {
        let (headers, _) = read(pages.ask_of(request("/a"), handler).await).await;
        assert!(["connection", "x-hop", "keep-alive", "te"].iter().all(|name| !headers.contains_key(*name)));
        assert_eq!(headers["x-end"], "1");
    }
}

#[tokio::test]
async fn a_clients_wishes_count_where_they_are_granted() {
    let (no_cache, no_store) = ([("cache-control", "no-cache")], [("cache-control", "no-store")]);
    let plain = pages(|pages| pages);
    plain.ask(request("/a")).await;
    assert_eq!(
        (plain.twice(|| with("/a", &no_cache)).await, plain.twice(|| with("/a", &no_store)).await),
        (0, 0)
    );
    let granted = pages(|pages| pages.grant(Wishes::none().refresh().bypass()));
    granted.ask(request("/a")).await;
    assert!(
        granted.ask(with("/a", &no_cache)).await.0["cache-status"].to_str().unwrap().contains("fwd=request")
    );
    assert_eq!(granted.ask(request("/a")).await.1, "call 1");
    assert!(
        granted.ask(with("/a", &no_store)).await.0["cache-status"].to_str().unwrap().contains("fwd=bypass")
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_hangs_is_a_problem() {
    let pages = pages(|pages| pages);
    let panics = |_, _| async { panic!("as a test wants") };
    let hangs = |_, _| std::future::pending();
    assert_eq!(pages.ask_of(request("/a"), panics).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let late = pages.ask_of(request("/a"), hangs).await;
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(late.headers()["content-type"], "application/problem+json");
    assert_eq!(pages.ask(request("/a")).await.1, "call 2");
}

#[tokio::test]
async fn too_many_calls_at_once_are_refused() {
    let mut settings = Settings::default();
    (settings.loads_in_flight, settings.loads_waiting) = (1, 1);
    let pages = pages(|pages| pages.settings(settings));
    let gate = Arc::new(Semaphore::new(0));
    let waits = {
        let gate = gate.clone();
        move |_, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Response::new(Body::empty())
            }
        }
    };
    let (first, second) =
        (pages.ask_of(request("/a"), waits.clone()), pages.ask_of(request("/b"), waits.clone()));
    let third = async {
        // The first is called, and the second waits for it.
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pages.calls.load(Ordering::SeqCst), 1);
        let refused = pages.ask_of(request("/c"), waits.clone()).await;
        gate.add_permits(2);
        refused
    };
    let (first, second, third) = futures_util::future::join3(first, second, third).await;
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(third.headers()["retry-after"], "1");
}

#[tokio::test]
async fn an_invalidation_is_of_one_address_or_of_all() {
    let pages = pages(|pages| pages);
    for path in ["/a?x=1", "/b"] {
        pages.ask(request(path)).await;
    }
    let (parts, _) = request("/a?x=1").into_parts();
    pages.layer.invalidate([Request::from_parts(parts, ())]).await.unwrap();
    assert_eq!(
        (pages.ask(request("/a?x=1")).await.1, pages.ask(request("/b")).await.1),
        ("call 2".into(), "call 1".into())
    );
    pages.layer.invalidate_all().await.unwrap();
    assert_eq!(
        (pages.ask(request("/a?x=1")).await.1, pages.ask(request("/b")).await.1),
        ("call 3".into(), "call 4".into())
    );
}

#[tokio::test]
async fn it_serves_over_a_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let pages = pages(|pages| pages);
    let calls = pages.calls.clone();
    let handler = async move || format!("call {}", calls.fetch_add(1, Ordering::SeqCst));
    let app = Router::new().route("/a", get(handler)).layer(pages.layer.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    for (method, reason, body) in [("GET", "fwd=miss", "call 0"), ("GET", "hit", "call 0"), ("HEAD", "", "")]
    {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("{method} /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, told) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("content-length: 6"), "{head}");
        assert!(head.contains(reason) && told == body, "{text}");
    }
    server.abort();
}
