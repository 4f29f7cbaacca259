//! A service that an application has already, and the same service cached: no server, no network.
//!
//! `Search` is a `tower::Service<FindFilms, Response = Vec<Film>>`. With a `CacheLayer` round it, it is still one: it stands
//! between a timeout and a limit, and in the state of an axum router. After each step the program prints what the search
//! was asked, and fails if that is anything else than it should be.
//!
//! ```text
//! cargo run --example drop_in
//! ```

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tierstack::{BoxFuture, CacheKey, CacheLayer, CacheService, L1, MemoryTier, Namespace};
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

/// What is searched for. Two requests with the same rating and page have one response.
#[derive(Clone, Debug, Deserialize, CacheKey)]
struct FindFilms {
    rating: String,
    page: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Film {
    film_id: u32,
    title: String,
}

/// The service there was before: a search of two films a page, which notes what it is asked.
#[derive(Clone, Default)]
struct Search {
    /// How often the films were written.
    edition: Arc<AtomicU32>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service<FindFilms> for Search {
    type Response = Vec<Film>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Vec<Film>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: FindFilms) -> Self::Future {
        let FindFilms { rating, page } = request;
        if let Ok(mut asked) = self.asked.lock() {
            asked.push(format!("{rating} {page}"));
        }
        let edition = self.edition.load(Ordering::SeqCst);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let film =
                |film_id| Film { film_id, title: format!("{rating} film {film_id}, edition {edition}") };
            Ok((2 * page..2 * page + 2).map(film).collect())
        })
    }
}

impl Search {
    /// Prints a step with what the search was asked since the last, and holds that to what it should be.
    fn told(&self, step: &str, expected: &[&str]) -> Result<()> {
        let asked = std::mem::take(&mut *self.asked.lock().map_err(|_| anyhow!("a search panicked"))?);
        println!("{step:<58} {}", if asked.is_empty() { "-".to_owned() } else { asked.join(", ") });
        ensure!(asked == expected, "the search was asked {asked:?}, and should have been asked {expected:?}");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let search = Search::default();
    let tier = Arc::new(MemoryTier::new(10_000));
    let [here, there] = [layer(&tier)?, layer(&tier)?];
    println!("{:<58} the search was asked\n", "step");
    between_towers_layers(&search, &here).await?;
    on_another_node(&search, &there).await?;
    in_a_router(&search, &here).await?;
    println!("\nall as it should be: {} of {} calls were searches", here.stats().loads, here.stats().keys());
    Ok(())
}

/// One node's layer, over a shared tier that stands for Redis.
fn layer(tier: &Arc<MemoryTier>) -> Result<CacheLayer<FindFilms, Vec<Film>>> {
    let shop = Namespace::builder("shop").l2_shared(tier.clone()).build()?;
    Ok(shop.cache_layer("find_films").l1(L1::capacity(10_000)).build()?)
}

fn pg(page: u32) -> FindFilms {
    FindFilms { rating: "PG".into(), page }
}

/// The timeout bounds every call, the limit those that search.
async fn between_towers_layers(search: &Search, cached: &CacheLayer<FindFilms, Vec<Film>>) -> Result<()> {
    let find_films = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(cached.clone())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(search.clone());
    let ask = |request| find_films.clone().oneshot(request);
    let first = ask(pg(1)).await.map_err(anyhow::Error::from_boxed)?;
    search.told("PG page 1, for the first time", &["PG 1"])?;
    for _ in 0..100 {
        ensure!(ask(pg(1)).await.map_err(anyhow::Error::from_boxed)? == first);
    }
    search.told("a hundred times more", &[])?;
    ask(pg(2)).await.map_err(anyhow::Error::from_boxed)?;
    search.told("PG page 2", &["PG 2"])
}

/// Another process finds in L2 what this one searched for.
async fn on_another_node(search: &Search, cached: &CacheLayer<FindFilms, Vec<Film>>) -> Result<()> {
    let find_films = cached.layer(search.clone());
    for page in [1, 2] {
        find_films.clone().oneshot(pg(page)).await?;
    }
    search.told("pages 1 and 2 on another node", &[])
}

/// What the handlers of the router share.
#[derive(Clone)]
struct App {
    find_films: CacheService<FindFilms, Vec<Film>>,
    cached: CacheLayer<FindFilms, Vec<Film>>,
    search: Search,
}

async fn films(
    State(app): State<App>,
    Query(request): Query<FindFilms>,
) -> Result<Json<Vec<Film>>, StatusCode> {
    app.find_films.oneshot(request).await.map(Json).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

/// Which searches a write concerns can't be told, so all responses are forgotten after it.
async fn write(State(app): State<App>) -> StatusCode {
    app.search.edition.fetch_add(1, Ordering::SeqCst);
    match app.cached.invalidate_all().await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn in_a_router(search: &Search, cached: &CacheLayer<FindFilms, Vec<Film>>) -> Result<()> {
    let app =
        App { find_films: cached.layer(search.clone()), cached: cached.clone(), search: search.clone() };
    let router = Router::new().route("/films", get(films).post(write)).with_state(app);
    let ask = |request: axum::http::request::Builder| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.body(Body::empty())?).await?;
            ensure!(response.status().is_success(), "{}", response.status());
            Ok(to_bytes(response.into_body(), 1 << 20).await?)
        }
    };
    let before = ask(Request::get("/films?rating=PG&page=1")).await?;
    search.told("GET /films?rating=PG&page=1 of a router on the first node", &[])?;
    ask(Request::get("/films?rating=R&page=1")).await?;
    ask(Request::get("/films?rating=R&page=1")).await?;
    search.told("GET /films?rating=R&page=1, twice", &["R 1"])?;
    ask(Request::post("/films")).await?;
    let after = ask(Request::get("/films?rating=PG&page=1")).await?;
    search.told("a write, and PG page 1 again", &["PG 1"])?;
    ensure!(before != after, "an old edition was answered after the write");
    Ok(())
}
