//! The lookups of a request: on the terms that its headers ask for and the application grants, told in its response's.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::films::Shop;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tierstack_core::{ErrorKind, WriteToken, Xid};
use tierstack_http::{Lookups, LookupsLayer, WRITE_TOKEN, Wishes, WriteCookie};
use tower::{Layer, ServiceExt, service_fn};

/// A handler that looks film 7 up: 400 for a token that is none, else how often it has been loaded.
async fn ask(
    shop: &Arc<Shop>,
    layer: &LookupsLayer,
    headers: &[(&str, &str)],
) -> (StatusCode, usize, HeaderMap) {
    let handler = |request: Request<()>| {
        let shop = shop.clone();
        async move {
            let lookups = Lookups::of(request.extensions());
            let (status, edition) = match lookups.get(&shop.films, 7).await {
                Ok(film) => (StatusCode::OK, film.map_or(0, |film| film.edition)),
                Err(error) if error.kind() == ErrorKind::Invalid => (StatusCode::BAD_REQUEST, 0),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, 0),
            };
            Ok::<_, Infallible>(Response::builder().status(status).body(edition).unwrap())
        }
    };
    let mut request = Request::new(());
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let (head, edition) = layer.layer(service_fn(handler)).oneshot(request).await.unwrap().into_parts();
    (head.status, edition, head.headers)
}

fn status(headers: &HeaderMap) -> &str {
    headers.get("cache-status").map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_clients_wishes_count_where_they_are_granted() {
    let shop = Arc::new(Shop::open());
    let (none, refresh) = (LookupsLayer::new(), LookupsLayer::new().grant(Wishes::none().refresh()));
    let bypass = LookupsLayer::new().grant(Wishes::none().bypass());
    let (no_cache, no_store, reload) =
        (("cache-control", "no-cache"), ("cache-control", "no-store"), ("cache-control", "max-age=0"));
    let only_kept = LookupsLayer::new().grant(Wishes::none().only_if_cached());
    // A row that no tier has is not one that isn't there.
    ask(&shop, &only_kept, &[("cache-control", "only-if-cached")]).await;
    assert_eq!(shop.loads.load(Ordering::SeqCst), 1);
    for (layer, header, loads, reason) in [
        (&none, no_cache, 1, "; hit"),
        (&none, no_store, 1, "; hit"),
        (&none, reload, 1, "; hit"),
        (&refresh, no_store, 1, "; hit"),
        (&refresh, no_cache, 2, "; fwd=request"),
        (&refresh, reload, 3, "; fwd=request"),
        (&bypass, no_cache, 3, "; hit"),
        (&bypass, no_store, 4, "; fwd=bypass"),
    ] {
        let (code, _, headers) = ask(&shop, layer, &[header]).await;
        assert_eq!((code, shop.loads.load(Ordering::SeqCst)), (StatusCode::OK, loads), "{header:?}");
        assert!(status(&headers).contains(reason), "{header:?}: {}", status(&headers));
    }
}

#[tokio::test]
async fn one_member_tells_of_all_lookups() {
    let shop = Arc::new(Shop::open());
    let layer = LookupsLayer::new().named("film shop");
    let handler = |request: Request<()>| {
        let shop = shop.clone();
        async move {
            let lookups = Lookups::of(request.extensions());
            assert_eq!(lookups.list(&shop.films, &shop.list()).await.unwrap().len(), 2);
            let films = lookups.objects_by_pks(&shop.films, [3, 400, 3]).await.unwrap();
            assert_eq!(films.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
            Ok::<_, Infallible>(Response::new(()))
        }
    };
    let response = layer.layer(service_fn(handler)).oneshot(Request::new(())).await.unwrap();
    let all: Vec<&HeaderValue> = response.headers().get_all("cache-status").iter().collect();
    assert_eq!(all.len(), 1);
    let text = all[0].to_str().unwrap();
    assert!(
        text.starts_with(r#""film shop"; fwd=partial; ttl="#)
            && text.ends_with(r#"detail="L1=1 L2=0 origin=4""#),
        "{text}"
    );
    // Who looks nothing up says nothing.
    let silent = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let response = layer.layer(silent).oneshot(Request::new(())).await.unwrap();
    assert!(response.headers().is_empty());
}

fn token(id: u64) -> WriteToken {
    WriteToken::of([Xid { system: 7, timeline: 1, id }])
}

#[tokio::test]
async fn a_token_makes_lookups_see_a_write_where_it_is_taken() {
    let shop = Arc::new(Shop::open());
    let (none, header) = (LookupsLayer::new(), LookupsLayer::new().write_token_header());
    let cookie = LookupsLayer::new().write_token_cookie(WriteCookie::new());
    ask(&shop, &none, &[]).await;
    let must_load = WriteToken::must_load().to_string();
    let name = WRITE_TOKEN;
    let in_header = [(name.as_str(), &*must_load)];
    let text = format!("a=b; {name}={must_load}");
    let in_cookie = [("cookie", &*text)];
    for (layer, headers, loads) in [
        (&none, &in_header[..], 1),
        (&none, &in_cookie, 1),
        (&cookie, &in_header, 1),
        (&header, &in_cookie, 1),
        (&header, &in_header, 2),
        (&cookie, &in_cookie, 3),
    ] {
        assert_eq!(ask(&shop, layer, headers).await.0, StatusCode::OK);
        assert_eq!(shop.loads.load(Ordering::SeqCst), loads, "{headers:?}");
    }
    // A header that is none is the client's fault; a cookie may be of another release.
    assert_eq!(ask(&shop, &header, &[(WRITE_TOKEN.as_str(), "nonsense")]).await.0, StatusCode::BAD_REQUEST);
    let text = format!("{WRITE_TOKEN}=nonsense");
    assert_eq!(ask(&shop, &cookie, &[("cookie", &text)]).await.0, StatusCode::OK);
    assert_eq!(shop.loads.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_write_goes_back_to_the_client_with_what_it_brought() {
    let layer = LookupsLayer::new()
        .write_token_header()
        .write_token_cookie(WriteCookie::new().max_age(Duration::from_secs(5)).path("/shop").unwrap());
    let writer = service_fn(|request: Request<()>| async move {
        let lookups = Lookups::of(request.extensions());
        lookups.wrote(&token(20));
        lookups.wrote(&token(30));
        Ok::<_, Infallible>(Response::new(()))
    });
    let request = Request::builder().header(WRITE_TOKEN, token(10).to_string()).body(()).unwrap();
    let response = layer.layer(writer).oneshot(request).await.unwrap();
    let all = "1s.7-1-a.7-1-14.7-1-1e";
    assert_eq!(response.headers()[WRITE_TOKEN], all);
    assert_eq!(
        response.headers()["set-cookie"],
        format!("tierstack-write-token={all}; Path=/shop; Max-Age=5; HttpOnly; Secure; SameSite=Lax")
    );
    // Without a way to carry it, it isn't told.
    let response = LookupsLayer::new().layer(writer).oneshot(Request::new(())).await.unwrap();
    assert!(response.headers().is_empty());
}

#[test]
fn a_cookie_is_bounded_and_can_be_read_back() {
    let (_, value) = WriteCookie::new().max_age(Duration::MAX).over_http().header(&token(1));
    assert_eq!(value, "tierstack-write-token=1s.7-1-1; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    for path in ["", "shop", "/a;b", "/a\n", "/ä"] {
        assert_eq!(WriteCookie::new().path(path).unwrap_err().kind(), ErrorKind::Invalid, "{path:?}");
    }
    let mut headers = HeaderMap::new();
    let name = WRITE_TOKEN;
    let text = format!("x=1; {name}={}; y; {name}=\"{}\"; {name}=bad; x{name}=1o", token(1), token(2));
    headers.append("cookie", text.parse().unwrap());
    assert_eq!(WriteCookie::token_of(&headers), token(1).and(&token(2)));
}
