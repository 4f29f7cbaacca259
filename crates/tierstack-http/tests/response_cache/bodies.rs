//! How bodies are read: up to the bound, and no byte of them is lost.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Response, StatusCode};
use tierstack_core::Settings;
use tokio::sync::Semaphore;

use crate::pages::{pages, read, request};

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

/// A stream that goes beyond the bound is given on as it comes, though it never ends.
#[tokio::test]
async fn a_stream_over_the_bound_is_given_on_as_it_comes() {
    let pages = pages(|pages| pages.max_body_bytes(4));
    let handler = |_, _| async {
        let parts = stream::iter(["one ", "two "]).map(Ok::<_, Infallible>).chain(stream::pending());
        Response::new(Body::from_stream(parts))
    };
    let mut parts = pages.ask_of(request("/a"), handler).await.into_body().into_data_stream();
    for part in ["one ", "two "] {
        assert_eq!(parts.next().await.unwrap().unwrap(), part);
    }
    assert!(parts.next().now_or_never().is_none());
}

/// One that stays below it and never ends is waited for as a handler is, and dropped.
#[tokio::test(start_paused = true)]
async fn a_stream_that_stands_still_is_a_problem() {
    let pages = pages(|pages| pages);
    let dropped = Arc::new(());
    let handler = {
        let dropped = dropped.clone();
        move |call: usize, _| {
            let held = dropped.clone();
            async move {
                if call > 0 {
                    return Response::new(Body::from("well"));
                }
                let parts = stream::iter(["begun"]).map(Ok::<_, Infallible>).chain(stream::pending());
                Response::new(Body::from_stream(parts.inspect(move |_| drop(held.clone()))))
            }
        }
    };
    let began = tokio::time::Instant::now();
    let late = pages.ask_of(request("/a"), handler.clone()).await;
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(began.elapsed(), Settings::default().load_timeout);
    assert_eq!(read(pages.ask_of(request("/a"), handler.clone()).await).await.1, "well");
    drop(handler);
    assert_eq!(Arc::strong_count(&dropped), 1);
}

/// A body that panics is its handler's fault: nothing of it is kept, and the next is asked anew.
#[tokio::test]
async fn a_body_that_panics_is_a_problem() {
    let pages = pages(|pages| pages);
    let handler = |call: usize, _| async move {
        let parts = stream::iter(0..2).map(move |part| match (call, part) {
            (0, 1) => panic!("as a test wants"),
            _ => Ok::<_, Infallible>("part "),
        });
        Response::new(Body::from_stream(parts))
    };
    let broken = pages.ask_of(request("/a"), handler).await;
    assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
    for _ in 0..2 {
        assert_eq!(read(pages.ask_of(request("/a"), handler).await).await.1, "part part ");
    }
    assert_eq!(pages.calls.load(Ordering::SeqCst), 2);
}

/// A response that isn't kept, and whose client has hung up, is nobody's: it is dropped, and the next client has his own.
#[tokio::test]
async fn a_body_that_nobody_waits_for_is_dropped() {
    let pages = pages(|pages| pages);
    let (gate, held) = (Arc::new(Semaphore::new(0)), Arc::new(()));
    let handler = {
        let (gate, held) = (gate.clone(), held.clone());
        move |call: usize, _| {
            let (gate, held) = (gate.clone(), held.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                let parts = stream::iter([format!("call {call}")]).map(move |part| {
                    let _held = &held;
                    Ok::<_, Infallible>(part)
                });
                Response::builder().header("set-cookie", "a=b").body(Body::from_stream(parts)).unwrap()
            }
        }
    };
    {
        let mut left = std::pin::pin!(pages.ask_of(request("/a"), handler.clone()));
        while pages.calls.load(Ordering::SeqCst) == 0 {
            assert!(left.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    }
    gate.add_permits(2);
    assert_eq!(read(pages.ask_of(request("/a"), handler.clone()).await).await.1, "call 1");
    drop(handler);
    while Arc::strong_count(&held) > 1 {
        tokio::task::yield_now().await;
    }
}
