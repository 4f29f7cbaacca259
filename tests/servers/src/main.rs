//! Runs private servers by hand: prints each one's name, address, pid and directory, and keeps them until this process
//! ends, by Ctrl-C or otherwise.
//!
//! ```text
//! cargo run --package tierstack-servers -- redis postgres
//! ```

use anyhow::{Result, bail};
use tierstack_servers::{Chromium, Postgres, Redis};

const KNOWN: &str = "name any of `redis`, `postgres` and `chromium`";

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let (mut redis, mut postgres, mut chromium) = (None, None, None);
    for name in &names {
        match name.as_str() {
            "redis" => {
                let server = redis.insert(Redis::start()?);
                println!("redis {} {} {}", server.url(), server.pid()?, server.dir()?.display());
            }
            "postgres" => {
                let server = postgres.insert(Postgres::start()?);
                println!("postgres {} {} {}", server.url(), server.pid()?, server.dir()?.display());
            }
            "chromium" => {
                let driver = chromium.insert(Chromium::start()?);
                println!("chromium {} {} {}", driver.url(), driver.pid()?, driver.dir().display());
            }
            other => bail!("no server called `{other}`: {KNOWN}"),
        }
    }
    if names.is_empty() {
        bail!(KNOWN);
    }
    loop {
        std::thread::park();
    }
}
