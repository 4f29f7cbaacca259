//! The check: asks every address over a connection of its own, and says what is wrong about the answers.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::addresses::{ADDRESSES, Address, Expect};
use crate::client::{self, Answer};
use crate::dashboard;
use crate::scrape::Scrape;
use crate::shop::Shop;

/// A known number of keys: so many batches of so many films.
const BATCHES: u32 = 12;
const FILMS: u32 = 100;
/// Of 1,024 hits of the handle on one thread, the age of one is measured.
const HITS: u32 = 1_024;

/// # Errors
/// At the first answer that is not right.
pub(crate) async fn run(server: SocketAddr, shop: &Shop) -> Result<()> {
    println!("{:<38} code  {:<68} {:>9}", "request", "Cache-Status", "ms");
    let check = Check { server };
    for address in ADDRESSES {
        check.twice(address).await.context(address.path)?;
    }
    check.lists().await?;
    check.rate().await?;
    check.scraped(shop).await?;
    check.origin_gone(shop).await?;
    println!("\nall as it should be");
    Ok(())
}

struct Check {
    server: SocketAddr,
}

impl Check {
    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let answer = client::ask(self.server, method, path, body).await.context(path.to_owned())?;
        let Answer { code, cache_status, took, .. } = &answer;
        println!(
            "{:<38} {code:<5} {:<68} {:>9.3}",
            format!("{method} {path}"),
            cache_status.as_deref().unwrap_or("-"),
            took.as_secs_f64() * 1e3
        );
        Ok(answer)
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.ask("GET", path, "").await
    }

    async fn twice(&self, address: &Address) -> Result<()> {
        let first = self.get(address.path).await?;
        let second = self.get(address.path).await?;
        let expected = match address.expect {
            Expect::Rows | Expect::Stats => 200,
            Expect::Absent | Expect::Unknown => 404,
            Expect::Refused => 400,
        };
        ensure!(first.code == expected && second.code == expected, "expected {expected}");
        match address.expect {
            Expect::Rows | Expect::Absent => {
                ensure!(first.body == second.body, "two answers: {} and {}", first.body, second.body);
                ensure!(first.cache_status.is_some(), "no Cache-Status");
                ensure!(is_hit(&second), "the second answer is no hit");
            }
            Expect::Refused | Expect::Unknown | Expect::Stats => {
                ensure!(second.cache_status.is_none(), "no tier was asked: {:?}", second.cache_status);
            }
        }
        let is_error = second.body["detail"].as_str().is_some_and(|text| !text.is_empty());
        ensure!(is_error == (expected >= 400), "its body is {}", second.body);
        Ok(())
    }

    /// Order, duplicates, holes; and a list is one of its rating.
    async fn lists(&self) -> Result<()> {
        let asked = self.get("/films?ids=3,99999,1,3").await?;
        let ids: Vec<&Value> = rows(&asked)?.iter().map(|film| &film["film_id"]).collect();
        ensure!(ids == [&json!(3), &Value::Null, &json!(1), &json!(3)], "its ids are {ids:?}");
        let listed = self.get("/films?rating=NC-17").await?;
        let films = rows(&listed)?;
        ensure!(!films.is_empty() && films.iter().all(|film| film["rating"] == "NC-17"), "another rating");
        for path in ["/films/7/actors", "/customers/1/rentals"] {
            ensure!(
                rows(&self.get(path).await?)?.iter().all(Value::is_object),
                "{path}: empty or with holes"
            );
        }
        Ok(())
    }

    /// A new rate is read as soon as it is confirmed, as a row and in lists.
    async fn rate(&self) -> Result<()> {
        let before = self.get("/films/7").await?.body;
        let rating = before["rating"].as_str().context("film 7 has no rating")?;
        let list = format!("/films?rating={rating}");
        self.get(&list).await?;
        let old = before["rental_rate"].as_f64().context("film 7 has no rate")?;
        let new = if old == 3.5 { 4.25 } else { 3.5 };
        // The second puts back what was there.
        for rate in [new, old] {
            let put = self.ask("PUT", "/films/7/rate", &json!({ "rental_rate": rate }).to_string()).await?;
            ensure!(put.code == 200, "PUT: {}", put.body);
            let loaded = self.get("/films/7").await?;
            ensure!(
                loaded.body["rental_rate"] == rate,
                "the rate is {rate}, not {}",
                loaded.body["rental_rate"]
            );
            ensure!(!is_hit(&loaded), "the film was not forgotten");
            ensure!(is_hit(&self.get("/films/7").await?), "the film was not kept");
            let listed = self.get(&list).await?;
            let film =
                rows(&listed)?.iter().find(|film| film["film_id"] == 7).context("film 7 isn't listed")?;
            ensure!(film["rental_rate"] == rate, "{list} has the rate {}", film["rental_rate"]);
        }
        for (path, body, code) in [
            ("/films/99999/rate", r#"{"rental_rate": 1}"#, 404),
            ("/films/7/rate", r#"{"rental_rate": 100}"#, 400),
            ("/films/7/rate", r#"{"rental_rate": -1}"#, 400),
            ("/films/7/rate", r#"{"rental_rate": 1.005}"#, 400),
            ("/films/7/rate", r#"{"rental_rate": "1"}"#, 400),
            ("/films/7/rate", r#"{"rate": 1}"#, 400),
            ("/films/7/rate", "{", 400),
            ("/films/x/rate", r#"{"rental_rate": 1}"#, 400),
        ] {
            let answer = self.ask("PUT", path, body).await?;
            ensure!(answer.code == code && answer.body["detail"].is_string(), "{body}: expected {code}");
        }
        Ok(())
    }

    /// What is scraped is what was done, and whatever the dashboard shows is scraped.
    async fn scraped(&self, shop: &Shop) -> Result<()> {
        let ids: Vec<String> = (1..=FILMS).map(|id| id.to_string()).collect();
        let films = format!("/films?ids={}", ids.join(","));
        ensure!(client::ask(self.server, "GET", &films, "").await?.code == 200, "{films}");
        // Handlers ask on their requests' terms, and not by the handle alone.
        for _ in 0..HITS {
            shop.films.get(7).await?;
        }
        let before = self.scrape().await?;
        for _ in 0..BATCHES {
            ensure!(client::ask(self.server, "GET", &films, "").await?.code == 200, "{films}");
        }
        let hit = self.scrape().await?;
        let grown = |name, labels: &[(&str, &str)]| hit.sum(name, labels) - before.sum(name, labels);
        let (film, keys) = (("cache_entity", "film"), f64::from(BATCHES * FILMS));
        for (name, labels, expected) in [
            ("cache_lookups_total", &[film][..], keys),
            ("cache_lookups_total", &[film, ("cache_outcome", "hit")], keys),
            ("cache_lookups_total", &[("cache_entity", "actor")], 0.0),
            ("cache_loads_total", &[film], 0.0),
        ] {
            let grown = grown(name, labels);
            ensure!(grown == expected, "{name} {labels:?} has grown by {grown}, not by {expected}");
        }

        let rate = self.get("/films/7").await?.body["rental_rate"].clone();
        self.ask("PUT", "/films/7/rate", &json!({ "rental_rate": rate }).to_string()).await?;
        self.get("/films/7").await?;
        let after = self.scrape().await?;
        for (name, labels, expected) in [
            ("cache_lookups_total", &[film][..], 2.0),
            ("cache_lookups_total", &[film, ("cache_tier", "origin")], 1.0),
            ("cache_invalidations_total", &[film], 1.0),
            ("cache_loads_total", &[film], 1.0),
            ("cache_load_duration_seconds_count", &[film], 1.0),
            ("cache_load_batch_size_sum", &[film], 1.0),
        ] {
            let grown = after.sum(name, labels) - hit.sum(name, labels);
            ensure!(grown == expected, "{name} {labels:?} has grown by {grown}, not by {expected}");
        }

        let stats = self.get("/stats").await?.body;
        for (entity, stats) in stats.as_object().context("no stats")? {
            let keys = after.sum("cache_lookups_total", &[("cache_entity", entity)]);
            ensure!(stats["keys"].as_f64() == Some(keys), "{entity}: {keys} keys, and {}", stats["keys"]);
        }
        dashboard::check(&after)
    }

    async fn scrape(&self) -> Result<Scrape> {
        let answer = self.get("/metrics").await?;
        let format = answer.content_type.as_deref();
        ensure!(format == Some("text/plain; version=0.0.4"), "its format is {format:?}");
        Scrape::read(answer.body.as_str().context("no text")?)
    }

    /// Without a way to the database, what is cached is answered, and the rest is an error, not an absence. Comes last.
    async fn origin_gone(&self, shop: &Shop) -> Result<()> {
        println!("the connections to Postgres are closed; what isn't cached is an error from here");
        shop.pool.close();
        let cached = self.get("/films/7").await?;
        ensure!(cached.code == 200 && is_hit(&cached), "it was cached");
        for path in ["/films/77777", "/films?ids=7,77777"] {
            let answer = self.get(path).await?;
            ensure!(answer.code == 503 && answer.body["detail"].is_string(), "expected 503: {}", answer.body);
        }
        let put = self.ask("PUT", "/films/7/rate", r#"{"rental_rate": 1}"#).await?;
        ensure!(put.code == 503, "it can't have been saved: {}", put.body);
        Ok(())
    }
}

fn is_hit(answer: &Answer) -> bool {
    let mut parameters = answer.cache_status.iter().flat_map(|status| status.split("; "));
    parameters.any(|parameter| parameter == "hit")
}

fn rows(answer: &Answer) -> Result<&Vec<Value>> {
    answer.body.as_array().context("no list")
}
