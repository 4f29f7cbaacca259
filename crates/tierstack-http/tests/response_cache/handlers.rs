//! How handlers are called: once for many, in their time, and anew after a write.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use tierstack_core::Settings;
use tokio::sync::Semaphore;

use crate::pages::{pages, read, request};

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

/// A client that hangs up takes its handler away from nobody: it goes on, for those who wait and for the tiers.
#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_response() {
    for has_follower in [false, true] {
        let pages = pages(|pages| pages);
        let gate = Arc::new(Semaphore::new(0));
        let handler = {
            let gate = gate.clone();
            move |call: usize, _| {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    Response::new(Body::from(format!("call {call}")))
                }
            }
        };
        let mut follower = std::pin::pin!(pages.ask_of(request("/a"), handler.clone()));
        {
            let mut left = std::pin::pin!(pages.ask_of(request("/a"), handler.clone()));
            while pages.calls.load(Ordering::SeqCst) == 0 {
                assert!(left.as_mut().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            if has_follower {
                assert!(follower.as_mut().now_or_never().is_none());
                assert_eq!(pages.layer.stats().followed, 1);
            }
        }
        gate.add_permits(1);
        if has_follower {
            assert_eq!(read(follower.await).await.1, "call 0");
        }
        assert_eq!(pages.ask(request("/a")).await.1, "call 0");
        assert_eq!(pages.calls.load(Ordering::SeqCst), 1);
    }
}

/// A panic is told to all who waited for it, and to nobody who comes later.
#[tokio::test]
async fn a_panic_is_told_to_all_who_waited() {
    let pages = pages(|pages| pages);
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move |call: usize, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                assert!(call > 0, "as a test wants");
                Response::new(Body::from(format!("call {call}")))
            }
        }
    };
    let asks: Vec<_> = (0..3).map(|_| pages.ask_of(request("/a"), handler.clone())).collect();
    let open = async {
        while pages.layer.stats().followed < 2 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
    };
    let (responses, ()) = futures_util::future::join(futures_util::future::join_all(asks), open).await;
    for response in responses {
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!read(response).await.1.contains("as a test wants"));
    }
    assert_eq!(read(pages.ask_of(request("/a"), handler).await).await.1, "call 1");
}
