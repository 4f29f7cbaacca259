//! Which requests are for the cache, and which of them are the same.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
use http::{Request, Response};
use tierstack_core::{ErrorKind, Namespace, WriteToken};
use tierstack_http::axum::ResponseCacheLayer;
use tierstack_http::axum::response_cache::ResponseCacheBuilder;
use tierstack_http::{WRITE_TOKEN, Wishes};
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
