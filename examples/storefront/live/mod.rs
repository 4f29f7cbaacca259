//! The live page: what the caches do, while somebody looks.
//!
//! 1. `GET /` is the page, of three files more; nothing else is fetched but `GET /live`, a stream of server-sent events.
//! 2. An event is all [`Figures`], as totals: one that is missed is no loss. The first comes at once, then two a second.
//! 3. All viewers share one sampler, which reads only while there is one. A slow viewer skips events, and queues none.
//! 4. There are [`VIEWERS`] at most; the next is told 503. Whoever goes leaves nothing behind.
//! 5. Streams end when the server does: [`Live::end`].

mod browser;
mod check;
mod connection;
mod figures;
mod latency;
mod looks;
mod paths;
mod request;
mod sampler;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures_util::StreamExt;

pub(crate) use check::run as check;
pub(crate) use paths::Paths;
pub(crate) use sampler::{Live, VIEWERS};

use crate::failure::Failure;

/// Whatever the page does not need is forbidden to it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its stream.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(live: Arc<Live>) -> Router<S> {
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page.html")))
        .route("/live/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
        .route("/live/page.js", file("text/javascript; charset=utf-8", include_str!("page.js")))
        .route("/live/chart.js", file("text/javascript; charset=utf-8", include_str!("chart.js")))
        .route("/live/lookups.js", file("text/javascript; charset=utf-8", include_str!("lookups.js")))
        .route("/live", get(stream))
        .with_state(live)
}

fn file<S: Clone + Send + Sync + 'static>(kind: &'static str, text: &'static str) -> MethodRouter<S> {
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Another build has another page.
        (CACHE_CONTROL, "no-cache"),
    ];
    get(async move || (headers, text))
}

/// `GET /live`
async fn stream(State(live): State<Arc<Live>>) -> Result<Response, Failure> {
    let events = live.view().ok_or_else(|| {
        Failure::unavailable(format!(
            "{VIEWERS} look at the live page already, or it has ended: try again later"
        ))
    })?;
    let events = events.map(|text| Ok::<_, Infallible>(Event::default().data(&*text)));
    Ok(Sse::new(events).into_response())
}
