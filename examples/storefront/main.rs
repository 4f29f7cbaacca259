//! A film rental shop over HTTP: every row it answers is read through memory, Redis and Postgres.
//!
//! ```text
//! cargo run --example storefront             # serves until Ctrl-C, and prints what to ask
//! cargo run --example storefront -- --check  # asks all of it itself, and ends with 0 if every answer was right
//! ```
//!
//! `REDIS_URL` and `DATABASE_URL` name the servers to use; without them it starts private ones, which end with it. A
//! private Postgres holds the Pagila sample if `TIERSTACK_DATA` names a directory with `pagila/pagila-schema.sql` and
//! `pagila/pagila-data.sql`, else a catalogue that is made up (`catalogue.sql`), as does a given one without a table
//! `film`. `PORT` is where it listens; a free port without it.

mod actor;
mod addresses;
mod check;
mod client;
mod customer;
mod dashboard;
mod failure;
mod film;
mod film_actor;
mod films;
mod metrics;
mod people;
mod rental;
mod reply;
mod scrape;
mod servers;
mod shop;
mod stats;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::routing::{get, put};
use tierstack::http::LookupsLayer;
use tierstack::http::axum::health_routes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use failure::Failure;
use servers::Servers;
use shop::Shop;

/// Requests under way at the end have so much time.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
enum Mode {
    Serve,
    Check,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mode = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Mode::Serve,
        ["--check"] => Mode::Check,
        _ => bail!("unknown arguments {arguments:?}: give none, or --check"),
    };
    // Starting servers blocks, so it comes before the runtime.
    let servers = Servers::start()?;
    tokio::runtime::Runtime::new()?.block_on(run(&servers, mode))
}

async fn run(servers: &Servers, mode: Mode) -> Result<()> {
    let shop = Arc::new(Shop::open(servers).await?);
    let port = std::env::var("PORT").map_or(Ok(0), |port| port.parse()).context("PORT is no port number")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("can't listen: see PORT")?;
    let address = listener.local_addr()?;
    println!(
        "redis    {}\npostgres {}\nnamespace {}\n",
        servers.redis(),
        servers.postgres(),
        servers.namespace()
    );

    let (stop, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(listener, router(shop.clone())).with_graceful_shutdown(async move {
        // A dropped sender stops it, too.
        let _ = stopped.await;
    });
    let served = tokio::spawn(serve.into_future());
    let outcome = match mode {
        Mode::Serve => {
            addresses::print(address);
            tokio::signal::ctrl_c().await.context("can't listen for Ctrl-C")
        }
        Mode::Check => check::run(address, &shop).await,
    };
    drop(stop);
    tokio::time::timeout(LAST_REQUESTS, served).await.context("a request doesn't end")???;
    shop.close().await;
    outcome
}

fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/films", get(films::many))
        .route("/films/{film_id}", get(films::one))
        .route("/films/{film_id}/actors", get(films::actors))
        .route("/films/{film_id}/rate", put(films::set_rate))
        .route("/actors/{actor_id}", get(people::actor))
        .route("/customers/{customer_id}", get(people::customer))
        .route("/customers/{customer_id}/rentals", get(people::rentals))
        .route("/stats", get(stats::all))
        .route("/metrics", get(metrics::scrape))
        .layer(LookupsLayer::new())
        .merge(health_routes(shop.namespace.clone()))
        .fallback(async || Failure::not_found("there is no such address"))
        .with_state(shop)
}
