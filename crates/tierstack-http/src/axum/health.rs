use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::get;
use tierstack_core::{Health, Namespace};

/// `GET /health` and `GET /ready`, which both answer with the namespace's [`Health`] as JSON.
///
/// | | 200 | 503 |
/// |---|---|---|
/// | `/health` | all that it is made of is there | L2 can't be reached, the node is deaf or has invalidations to deliver, or it is being shut down |
/// | `/ready` | it can answer, if slowly | it is being shut down |
///
/// Let what routes requests ask `/ready`: it would be of no use to stop all nodes, as they have lost the same Redis. Each
/// request asks L2 once, so put them where only the fleet's own can ask.
pub fn health_routes<S: Clone + Send + Sync + 'static>(namespace: Namespace) -> Router<S> {
    let ready = namespace.clone();
    let is_up = |health: &Health| health.state == tierstack_core::State::Up;
    Router::new()
        .route("/health", get(async move || answer(&namespace.health().await, is_up)))
        .route("/ready", get(async move || answer(&ready.health().await, Health::is_ready)))
}

fn answer(health: &Health, is_well: impl Fn(&Health) -> bool) -> Response<Body> {
    // Texts and numbers are always written.
    let mut response = Response::new(Body::from(serde_json::to_vec(health).unwrap_or_default()));
    *response.status_mut() = if is_well(health) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
