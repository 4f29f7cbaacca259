//! Which requests are for the cache, and which of them are the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
use http::{Method, Request, Response, StatusCode};
use tierstack_core::{ErrorKind, Freshness, Namespace, WriteToken};
use tierstack_http::axum::ResponseCacheLayer;
use tierstack_http::axum::response_cache::ResponseCacheBuilder;
use tierstack_http::{WRITE_TOKEN, Wishes};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::pages::{pages, read, request, with};

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

/// HEAD is the handler's to answer: it fills nothing, and what is kept for GET stays.
#[tokio::test]
async fn head_leaves_alone_what_is_kept() {
    let pages = pages(|pages| pages);
    let head = || {
        let mut request = request("/a");
        *request.method_mut() = Method::HEAD;
        request
    };
    assert_eq!(pages.ask(head()).await.1, "call 0");
    assert_eq!(pages.ask(request("/a")).await.1, "call 1");
    assert_eq!(pages.ask(head()).await.1, "call 2");
    assert_eq!(pages.ask(request("/a")).await.1, "call 1");
}

/// A part of a response, and that there is no newer one, are said to one client alone.
#[tokio::test]
async fn a_part_or_a_condition_is_the_handlers_to_answer() {
    let pages = pages(|pages| pages);
    let handler = |_, request: Request<Body>| async move {
        let has = |name: &str| request.headers().contains_key(name);
        let (status, body) = match (has("range"), has("if-none-match"), has("if-modified-since")) {
            (true, ..) => (206, "part"),
            (_, true, _) | (.., true) => (304, ""),
            _ => (200, "whole"),
        };
        Response::builder().status(status).header("etag", "\"7\"").body(Body::from(body)).unwrap()
    };
    let date = "Mon, 01 Jan 2024 00:00:00 GMT";
    let asked = [("range", "bytes=0-3"), ("if-none-match", "\"7\""), ("if-modified-since", date)];
    // Before there is anything, and beside what is kept.
    for _ in 0..2 {
        for (header, status) in asked.into_iter().zip([206, 304, 304]) {
            let response = pages.ask_of(with("/a", &[header]), handler).await;
            assert_eq!(response.status(), status, "{header:?}");
        }
        let response = pages.ask_of(request("/a"), handler).await;
        assert_eq!((response.status().as_u16(), &*read(response).await.1), (200, "whole"));
    }
    assert_eq!(pages.layer.stats().loads, 1);
}

/// RFC 9111, section 5.2.1.7: what a tier holds, stale or not, or a 504; and the handler is not called.
#[tokio::test(start_paused = true)]
async fn only_if_cached_calls_no_handler() {
    let only = || with("/a", &[("cache-control", "only-if-cached")]);
    let plain = pages(|pages| pages);
    assert_eq!(plain.ask(only()).await.1, "call 0", "it isn't granted");

    let minute = Duration::from_secs(60);
    let freshness = Freshness::default().jitter(0.0).fresh_for(minute).stale_for(minute);
    let wishes = Wishes::none().refresh().bypass().only_if_cached();
    let pages = pages(|pages| pages.grant(wishes).freshness(freshness));
    let refused = async |request| {
        let response = pages.ask_of(request, |_, _| async { Response::new(Body::empty()) }).await;
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    };
    refused(only()).await;
    // Nor has a tier one whose key none takes.
    refused(with(&format!("/{}", "x".repeat(2_000)), &[("cache-control", "only-if-cached")])).await;
    // Nor does it wait for another's response.
    let gate = Arc::new(Semaphore::new(0));
    let held = {
        let gate = gate.clone();
        move |call: usize, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Response::new(Body::from(format!("held call {call}")))
            }
        }
    };
    let beside = async {
        while pages.calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        refused(only()).await;
        gate.add_permits(1);
    };
    let (first, ()) = futures_util::future::join(pages.ask_of(request("/a"), held), beside).await;
    assert_eq!(read(first).await.1, "held call 0");
    for later in [Duration::ZERO, minute + Duration::from_secs(1)] {
        tokio::time::sleep(later).await;
        assert_eq!(pages.ask(only()).await.1, "held call 0");
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pages.calls.load(Ordering::SeqCst), 1, "nor is it called behind a stale answer");
    // What must be new and must not be asked for can't be.
    for contradiction in ["no-cache, only-if-cached", "no-store, only-if-cached"] {
        refused(with("/a", &[("cache-control", contradiction)])).await;
    }
    tokio::time::sleep(minute).await;
    refused(only()).await;
}

/// RFC 9111, section 5.2.1.5: what such a request is answered is for its client alone.
#[tokio::test]
async fn what_no_store_is_answered_is_not_kept() {
    let pages = pages(|pages| pages.grant(Wishes::none().bypass()));
    let private = || with("/a", &[("cache-control", "no-store")]);
    assert_eq!(pages.ask(private()).await.1, "call 0");
    assert_eq!(pages.ask(request("/a")).await.1, "call 1");
    assert_eq!(pages.ask(private()).await.1, "call 2");
    assert_eq!(pages.ask(request("/a")).await.1, "call 1");
}

/// Of two requests at once, one of somebody and one of anybody, neither is answered with the other's response.
#[tokio::test]
async fn who_says_who_he_is_waits_for_nobody() {
    for is_somebody_first in [false, true] {
        let pages = pages(|pages| pages);
        let gate = Arc::new(Semaphore::new(0));
        let handler = {
            let gate = gate.clone();
            move |_, request: Request<Body>| {
                let gate = gate.clone();
                let who = if request.headers().contains_key(AUTHORIZATION) { "somebody" } else { "anybody" };
                async move {
                    gate.acquire().await.unwrap().forget();
                    Response::new(Body::from(who))
                }
            }
        };
        let ask = |is_somebody: bool| {
            let headers: &[_] = if is_somebody { &[("authorization", "Bearer x")] } else { &[] };
            pages.ask_of(with("/a", headers), handler.clone())
        };
        let both = futures_util::future::join(ask(is_somebody_first), ask(!is_somebody_first));
        let open = async {
            // Both are under way, whatever they wait for.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            gate.add_permits(2);
        };
        let ((first, second), ()) = futures_util::future::join(both, open).await;
        let told = (read(first).await.1, read(second).await.1);
        let (first, second) =
            if is_somebody_first { ("somebody", "anybody") } else { ("anybody", "somebody") };
        assert_eq!(told, (first.to_owned(), second.to_owned()));
        assert_eq!(read(ask(false).await).await.1, "anybody");
    }
}
