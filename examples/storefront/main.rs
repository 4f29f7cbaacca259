//! A film rental shop over HTTP: every row it answers is read through memory, Redis and Postgres.
//!
//! ```text
//! cargo run --example storefront                  # serves until Ctrl-C, and prints what to ask
//! cargo run --example storefront -- --check       # asks all of it itself, and ends with 0 if every answer was right
//! cargo run --example storefront -- --check-page  # looks at the live page in headless Chromium while it asks
//!                                                 # (--screenshots DIRECTORY: and keeps pictures of it)
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
mod limits;
mod live;
mod metrics;
mod people;
mod rental;
mod reply;
mod scrape;
mod servers;
mod serving;
mod shop;
mod stats;
mod traces;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use limits::Limits;
use servers::Servers;
use serving::Serving;
use shop::Shop;

enum Mode {
    Serve,
    Check,
    CheckPage { screenshots: Option<PathBuf> },
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mode = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Mode::Serve,
        ["--check"] => Mode::Check,
        ["--check-page"] => Mode::CheckPage { screenshots: None },
        ["--check-page", "--screenshots", directory] => {
            Mode::CheckPage { screenshots: Some(directory.into()) }
        }
        _ => bail!("unknown arguments {arguments:?}: give none, --check, or --check-page"),
    };
    // Starting servers blocks, so it comes before the runtime.
    let servers = Servers::start()?;
    tokio::runtime::Runtime::new()?.block_on(run(&servers, mode))
}

async fn run(servers: &Servers, mode: Mode) -> Result<()> {
    let limits = match mode {
        Mode::Serve => Limits::default(),
        Mode::Check | Mode::CheckPage { .. } => Limits::patient(),
    };
    let shop = Arc::new(Shop::open(servers, &limits).await?);
    let port = std::env::var("PORT").map_or(Ok(0), |port| port.parse()).context("PORT is no port number")?;
    let serving = Serving::begin(port, &shop).await?;
    println!(
        "redis    {}\npostgres {}\nnamespace {}\n",
        servers.redis(),
        servers.postgres(),
        servers.namespace()
    );
    let outcome = match mode {
        Mode::Serve => {
            addresses::print(serving.address);
            let outcome = tokio::signal::ctrl_c().await.context("can't listen for Ctrl-C");
            serving.end().await?;
            outcome
        }
        Mode::Check => {
            let outcome = check::run(serving.address, &shop).await;
            serving.end().await?;
            outcome
        }
        Mode::CheckPage { screenshots } => {
            live::check(serving, &shop, servers.private_redis()?, screenshots.as_deref()).await
        }
    };
    shop.close().await;
    outcome
}
