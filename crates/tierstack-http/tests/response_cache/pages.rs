//! A layer over a handler that is called by its number.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response};
use tierstack_core::{ManualClock, MemoryTier, Namespace};
use tierstack_http::axum::ResponseCacheLayer;
use tierstack_http::axum::response_cache::ResponseCacheBuilder;
use tower::{Layer, ServiceExt, service_fn};

pub(crate) struct Pages {
    pub(crate) layer: ResponseCacheLayer,
    pub(crate) calls: Arc<AtomicUsize>,
}

/// A node over that tier. Its clock is tokio's, which a test may pause.
pub(crate) fn on(
    tier: &MemoryTier,
    clock: &ManualClock,
    build: impl FnOnce(ResponseCacheBuilder) -> ResponseCacheBuilder,
) -> Pages {
    let shop = Namespace::builder("shop").l2(tier.clone()).clock(clock.clock()).build().unwrap();
    let layer = build(ResponseCacheLayer::builder(&shop, "pages")).build().unwrap();
    Pages { layer, calls: Arc::default() }
}

pub(crate) fn pages(build: impl FnOnce(ResponseCacheBuilder) -> ResponseCacheBuilder) -> Pages {
    let clock = ManualClock::new();
    on(&MemoryTier::with_clock(1_000, clock.clock()), &clock, build)
}

impl Pages {
    /// Asks a handler that is given the number of its call.
    pub(crate) async fn ask_of<F, Fut>(&self, request: Request<Body>, handler: F) -> Response<Body>
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
    pub(crate) async fn ask(&self, request: Request<Body>) -> (HeaderMap, String) {
        read(
            self.ask_of(request, |call, _| async move { Response::new(Body::from(format!("call {call}"))) })
                .await,
        )
        .await
    }

    /// How many calls two equal requests make, and what the second is told.
    pub(crate) async fn twice(&self, request: impl Fn() -> Request<Body>) -> usize {
        let before = self.calls.load(Ordering::SeqCst);
        self.ask(request()).await;
        self.ask(request()).await;
        self.calls.load(Ordering::SeqCst) - before
    }
}

pub(crate) async fn read(response: Response<Body>) -> (HeaderMap, String) {
    let (head, body) = response.into_parts();
    (head.headers, String::from_utf8(to_bytes(body, 1 << 24).await.unwrap().to_vec()).unwrap())
}

pub(crate) fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "shop.example").body(Body::empty()).unwrap()
}

pub(crate) fn with(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(path);
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}
