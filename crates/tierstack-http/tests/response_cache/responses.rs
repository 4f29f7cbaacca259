//! Which responses are kept, with what of them, and for whom.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::ACCEPT_LANGUAGE;
use http::{Response, StatusCode};
use tierstack_core::{ManualClock, MemoryTier};
use tokio::sync::Semaphore;

use crate::pages::{on, pages, read, request};

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

/// RFC 9111, section 4.2.3: what had an age when it came is that much older.
#[tokio::test(start_paused = true)]
async fn an_age_that_a_handler_says_is_counted_in() {
    let pages = pages(|pages| pages);
    let handler = |_, _| async { Response::builder().header("age", "5").body(Body::empty()).unwrap() };
    for (later, age) in [(0, "5"), (7, "12")] {
        tokio::time::sleep(Duration::from_secs(later)).await;
        assert_eq!(read(pages.ask_of(request("/a"), handler).await).await.0["age"], age);
    }
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
        (200, &[("cache-control", "max-age=60, must-revalidate")], false),
        (200, &[("cache-control", "max-age=60, proxy-revalidate")], false),
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
