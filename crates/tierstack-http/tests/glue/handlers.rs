//! The glue for axum: typed keys, problems, health.

use std::sync::Arc;

use crate::films::{Film, Shop};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::{Request, StatusCode};
use tierstack_core::{Cache, Error, ErrorKind};
use tierstack_http::axum::{Pk, Problem, health_routes};
use tierstack_http::{Lookups, LookupsLayer, WRITE_TOKEN};
use tower::ServiceExt;

async fn film(
    State(films): State<Cache<Film>>,
    lookups: Lookups,
    Pk(film_id): Pk<i32>,
) -> Result<Json<Film>, Problem> {
    let film = lookups.get(&films, film_id).await?;
    film.map(|film| Json((*film).clone())).ok_or_else(|| Problem::not_found("there is no such film"))
}

async fn both(Pk((actor, film)): Pk<(i32, i32)>) -> String {
    format!("{actor} {film}")
}

fn app(shop: &Shop) -> Router {
    Router::new()
        .route("/films/{film_id}", get(film))
        .route("/cast/{actor_id}/{film_id}", get(both))
        .route("/cast/{both}", get(both))
        .route("/wrong/{a}/{b}", get(film))
        .layer(LookupsLayer::new().write_token_header())
        .merge(health_routes(shop.namespace.clone()))
        .with_state(shop.films.clone())
}

async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, http::HeaderMap, String) {
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_path(app: &Router, path: &str) -> (StatusCode, http::HeaderMap, String) {
    ask(app, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_key_in_a_path_is_typed() {
    let app = app(&Shop::open());
    for (path, status, text) in [
        ("/films/7", 200, r#""film_id":7"#),
        ("/films/400", 404, "there is no such film"),
        ("/films/x", 400, "x"),
        ("/films/07", 400, "07"),
        ("/films/7%20", 400, "7 "),
        ("/films/99999999999", 400, "99999999999"),
        ("/films/%ff", 400, "film_id"),
        ("/cast/1/7", 200, "1 7"),
        ("/cast/1,7", 200, "1 7"),
        ("/cast/1,7,9", 400, "3 fields"),
        ("/cast/1,7/9", 400, "1,7"),
        ("/cast/1/x", 400, "x"),
        ("/wrong/1/2", 500, "2 parameters"),
        ("/films/-1", 503, "origin failed"),
    ] {
        let (code, headers, body) = get_path(&app, path).await;
        assert_eq!(code.as_u16(), status, "{path}: {body}");
        assert!(body.contains(text), "{path}: {body}");
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json");
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["status"], status);
            assert!(problem["detail"].is_string() && problem["title"].is_string(), "{body}");
            assert_eq!(headers.contains_key("retry-after"), status == 503);
        }
        assert!(!body.contains("secret"), "{body}");
    }
    assert_eq!(
        get_path(&app, "/films/7").await.1["cache-status"].to_str().unwrap().split(';').nth(1),
        Some(" hit")
    );
}

#[tokio::test]
async fn a_token_that_is_none_is_a_400() {
    let app = app(&Shop::open());
    let request = Request::get("/films/7").header(WRITE_TOKEN, "x").body(Body::empty()).unwrap();
    let (code, _, body) = ask(&app, request).await;
    assert!(code == 400 && body.contains("no write token"), "{code} {body}");
}

#[test]
fn an_error_is_a_problem_by_its_kind() {
    for (kind, status) in [
        (ErrorKind::Invalid, 400),
        (ErrorKind::NotFound, 404),
        (ErrorKind::Loader, 500),
        (ErrorKind::Origin, 503),
        (ErrorKind::Overloaded, 503),
        (ErrorKind::Unavailable, 503),
        (ErrorKind::Undelivered, 503),
        (ErrorKind::Timeout, 504),
    ] {
        assert_eq!(Problem::from(Error::new(kind, "why")).status().as_u16(), status, "{kind:?}");
    }
}

#[tokio::test]
async fn health_says_what_is_there_and_ready_who_can_answer() {
    let shop = Arc::new(Shop::open());
    let app = app(&shop);
    let both = async |health: u16, ready: u16| {
        let mut found = serde_json::Value::Null;
        for (path, status) in [("/ready", ready), ("/health", health)] {
            let (code, headers, body) = get_path(&app, path).await;
            assert_eq!(code.as_u16(), status, "{path}: {body}");
            assert_eq!(headers["cache-control"], "no-store");
            assert_eq!(headers["content-type"], "application/json");
            found = serde_json::from_str(&body).unwrap();
        }
        found
    };
    let up = serde_json::json!({
        "state": "up",
        "namespace": "shop",
        "l2": { "reachable": true, "last_error": null },
        "bus": { "state": "idle" },
        "undelivered": 0,
        "undelivered_for_ms": null,
        "caches": [{ "name": "film", "l1_entries": 0, "last_load_error": null }],
    });
    assert_eq!(both(200, 200).await, up);
    // A loader's own error stays behind the text: it may name a key, or bear a value.
    shop.tier.set_outage(true);
    get_path(&app, "/films/-1").await;
    let degraded = both(503, 200).await;
    assert_eq!((&degraded["state"], &degraded["l2"]["reachable"]), (&"degraded".into(), &false.into()));
    assert_eq!(degraded["bus"]["state"], "deaf");
    assert!(degraded["bus"]["for_ms"].is_u64(), "{degraded}");
    assert!(degraded["l2"]["last_error"]["text"].is_string(), "{degraded}");
    assert!(degraded["caches"][0]["last_load_error"]["ago_ms"].is_u64(), "{degraded}");
    assert!(!degraded.to_string().contains("secret"));
    shop.tier.set_outage(false);
    shop.namespace.shutdown().await;
    assert_eq!(both(503, 503).await["state"], "ending");
}
