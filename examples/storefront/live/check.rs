//! The check of the page: a real browser looks at it while a known number of requests runs, and must show just that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tierstack::{Cache, Entity};
use tierstack_servers::Redis;

use super::browser::Browser;
use super::looks::Looks;
use crate::client;
use crate::serving::Serving;
use crate::shop::Shop;

/// Figures of the page that are sums over the caches.
const SUMS: [&str; 10] =
    ["keys", "l1", "l2", "origin", "unknown", "errors", "absent", "loads", "invalidations", "l1_entries"];

/// # Errors
/// At the first thing that the page shows otherwise than it is.
pub(crate) async fn run(
    serving: Serving,
    shop: &Arc<Shop>,
    redis: &Redis,
    pictures: Option<&Path>,
) -> Result<()> {
    let looks = Looks::new(pictures)?;
    let address = format!("http://{}/", serving.address);
    let browser = Browser::open(&address).await?;
    let mut check = Check { serving, shop, browser, looks, expected: BTreeMap::new() };
    check.at_rest().await.context("before any request")?;
    check.requests().await?;
    check.equal_stats().await?;
    check.chart().await.context("the chart")?;
    check.hanging_load().await.context("a load that hangs")?;
    check.deaf(redis).await.context("Redis stands still")?;
    check.buttons().await.context("the buttons")?;
    check.viewers().await.context("many viewers")?;
    check.silence().await.context("a stream that stands still")?;
    check.looks.check(&check.browser, "traffic").await?;
    check.browser.nothing_logged().await?;
    check.server_gone().await.context("the server is gone")
}

pub(super) struct Check<'a> {
    pub(super) serving: Serving,
    pub(super) shop: &'a Arc<Shop>,
    pub(super) browser: Browser,
    pub(super) looks: Looks<'a>,
    /// What figures must be shown as by now.
    expected: BTreeMap<&'static str, i64>,
}

impl Check<'_> {
    async fn ask(&self, method: &str, path: &str, body: &str, code: u16) -> Result<()> {
        let answer = client::ask(self.serving.address, method, path, body).await?;
        ensure!(answer.code == code, "{method} {path}: {}, not {code}: {}", answer.code, answer.body);
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<()> {
        self.ask("GET", path, "", 200).await
    }

    /// After requests: the figures must have grown by just so much.
    async fn shows(&mut self, what: &str, grown: &[(&'static str, i64)]) -> Result<()> {
        for (name, by) in grown {
            *self.expected.entry(name).or_default() += by;
        }
        let all = self.expected.iter().map(|(name, is)| format!("shown({name:?}) === {is}"));
        let all = all.collect::<Vec<_>>().join(" && ");
        let condition = format!("(shown => {all})({SHOWN})");
        self.browser.until(&condition).await.context(what.to_owned())?;
        println!("{what}: as expected");
        Ok(())
    }

    async fn at_rest(&mut self) -> Result<()> {
        self.browser.until("document.documentElement.dataset.state === 'live'").await?;
        self.shows("nothing asked", &SUMS.map(|name| (name, 0))).await?;
        self.shows("nothing under way", &[("flights", 0), ("undelivered", 0)]).await?;
        self.browser.until("document.getElementById('bus').textContent === 'idle'").await?;
        self.looks.check(&self.browser, "empty").await
    }

    async fn requests(&mut self) -> Result<()> {
        // A node hears from its first lookup on. What is loaded before lives in L1 for a moment only: it is no film of those below.
        self.get("/films/1000").await?;
        self.shop.films.evict_l1(1000);
        self.shows("the first film of all", &[("keys", 1), ("origin", 1), ("loads", 1)]).await?;
        self.browser.until("document.getElementById('bus').textContent === 'alive'").await?;
        for id in 1..=20 {
            self.get(&format!("/films/{id}")).await?;
        }
        self.shows("20 films, cold", &[("keys", 20), ("origin", 20), ("loads", 20), ("l1_entries", 20)])
            .await?;
        let loaded = ["l1 miss", "read", "lease", "load", "fill"];
        self.last("GET /films/20", 200, "film", "miss", &loaded).await?;

        for id in 1..=20 {
            self.get(&format!("/films/{id}")).await?;
        }
        self.shows("20 films, warm", &[("keys", 20), ("l1", 20)]).await?;
        self.last("GET /films/20", 200, "film", "hit", &["l1 hit"]).await?;

        let ids = (1..=100).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        self.get(&format!("/films?ids={ids}")).await?;
        self.shows(
            "100 films, 20 of them warm",
            &[("keys", 100), ("l1", 20), ("origin", 80), ("loads", 1), ("l1_entries", 80)],
        )
        .await?;

        self.ask("GET", "/films/99999", "", 404).await?;
        self.shows(
            "an absent film, cold",
            &[("keys", 1), ("origin", 1), ("absent", 1), ("loads", 1), ("l1_entries", 1)],
        )
        .await?;
        self.ask("GET", "/films/99999", "", 404).await?;
        self.shows("an absent film, warm", &[("keys", 1), ("l1", 1), ("absent", 1)]).await?;
        self.last("GET /films/99999", 404, "film", "absent", &["l1 hit"]).await?;
        // It would leave L1 by itself, in half a minute.
        self.shop.films.evict_l1(99_999);
        self.shows("an absent film, forgotten", &[("l1_entries", -1)]).await?;

        for id in 1..=5 {
            self.shop.films.evict_l1(id);
            self.get(&format!("/films/{id}")).await?;
        }
        self.shows("5 films that L1 has lost", &[("keys", 5), ("l2", 5)]).await?;
        self.last("GET /films/5", 200, "film", "hit", &["l1 miss", "read"]).await?;

        self.ask("PUT", "/films/7/rate", r#"{"rental_rate": 3.5}"#, 200).await?;
        // What it forgets leaves L1, and the next lookup brings it back.
        self.last("PUT /films/7/rate", 200, "", "", &["invalidate"]).await?;
        self.get("/films/7").await?;
        self.shows("a write", &[("invalidations", 1), ("keys", 1), ("origin", 1), ("loads", 1)]).await?;
        self.last("GET /films/7", 200, "film", "miss", &loaded).await?;

        self.sql("ALTER TABLE customer RENAME TO customer_away").await?;
        self.ask("GET", "/customers/2", "", 503).await?;
        self.sql("ALTER TABLE customer_away RENAME TO customer").await?;
        self.shows("an error", &[("keys", 1), ("errors", 1), ("loads", 1)]).await?;
        let failed = ["l1 miss", "read", "lease", "load", "fill"];
        self.last("GET /customers/2", 503, "customer", "origin", &failed).await
    }

    /// The newest request that is shown, its last lookup, and what that asked.
    async fn last(
        &self,
        request: &str,
        status: u16,
        entity: &str,
        outcome: &str,
        steps: &[&str],
    ) -> Result<()> {
        let expected = json!([request, status.to_string(), entity, outcome, steps]);
        // The keys of a request may be counted an event before it ends: an earlier one of that name isn't it.
        let is_shown = format!("JSON.stringify({NEWEST}) === {:?}", expected.to_string());
        if let Err(error) = self.browser.until(&is_shown).await {
            let shown = self.browser.value(NEWEST).await?;
            return Err(error.context(format!("the newest request is {shown}, not {expected}")));
        }
        Ok(())
    }

    async fn sql(&self, sql: &str) -> Result<()> {
        Ok(self.shop.pool.get().await?.batch_execute(sql).await?)
    }

    /// The page, the table of entities and the handles say the same.
    async fn equal_stats(&self) -> Result<()> {
        let shop = self.shop;
        let entities = [
            ("film", of(&shop.films)),
            ("actor", of(&shop.actors)),
            ("film_actor", of(&shop.cast)),
            ("customer", of(&shop.customers)),
            ("rental", of(&shop.rentals)),
        ];
        let shown = self.numbers("[data-figure]", "figure").await?;
        for (name, expected) in &self.expected {
            ensure!(shown[*name] == *expected, "{name} is {}, not {expected}", shown[*name]);
        }
        for (at, name) in SUMS.into_iter().enumerate() {
            let sum: i64 = entities.iter().map(|(_, counts)| counts[at]).sum();
            ensure!(shown[name] == sum, "{name}: the page says {}, the caches {sum}", shown[name]);
        }
        for (entity, counts) in entities {
            let row = self.numbers(&format!("tr[data-entity={entity}] td"), "column").await?;
            let columns = row.as_object().context("no row")?;
            ensure!(columns.len() == 7, "{entity} has the columns {columns:?}");
            for (column, is) in columns {
                let at = SUMS.iter().position(|name| name == column).context("a column of another name")?;
                ensure!(*is == counts[at], "{entity}: {column} is {is}, not {}", counts[at]);
            }
        }
        println!("the page, its table and the caches' own counts: equal");
        Ok(())
    }

    /// The numbers that elements show, by their names.
    async fn numbers(&self, selector: &str, name: &str) -> Result<Value> {
        let each = format!("each => [each.dataset.{name}, Number(each.textContent.replaceAll(',', ''))]");
        let all = format!("[...document.querySelectorAll({selector:?})].map({each})");
        self.browser.value(&format!("Object.fromEntries({all})")).await
    }

    /// The page was there from the first request on, so its chart has all of them; the newest bar is what came last.
    async fn chart(&mut self) -> Result<()> {
        let chart = "document.getElementById('share-chart').dataset";
        for name in ["keys", "l1", "l2", "origin", "unknown", "errors", "loads"] {
            let drawn = self.browser.value(&format!("Number({chart}.{name})")).await?;
            ensure!(drawn == self.expected[name], "{name}: {drawn} drawn, of {}", self.expected[name]);
        }
        let said = self.browser.value("document.getElementById('share-chart').ariaLabel").await?;
        let [l1, l2, origin] = ["l1", "l2", "origin"].map(|name| self.expected[name]);
        let all = format!("L1 {l1}, L2 {l2}, Origin {origin}, Error 1");
        ensure!(said.as_str().is_some_and(|said| said.contains(&all)), "it says {said}, without {all}");

        // A step of its own: the one before is over when the newest bar that is drawn is another.
        let newest = "[...document.querySelectorAll('#share-chart g')].at(-1)?.dataset";
        let before = self.browser.value(&format!("{newest}.step")).await?;
        let now = "Math.floor(Number(document.getElementById('share-chart').dataset.at) / 2000)";
        self.browser.until(&format!("{now} > Number({before})")).await?;
        let ids = (1..=100).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        self.get(&format!("/films?ids={ids}")).await?;
        self.shows("100 films, warm", &[("keys", 100), ("l1", 100)]).await?;
        let bars = "[...document.querySelectorAll('#share-chart g')].map(bar => bar.dataset)";
        let newer = format!("{bars}.filter(bar => Number(bar.step) > Number({before}))");
        for (tier, keys) in [("l1", 100), ("origin", 0)] {
            let sum = format!("{newer}.reduce((sum, bar) => sum + Number(bar.{tier}), 0)");
            let drawn = self.browser.value(&sum).await?;
            ensure!(drawn == keys, "the newest bar has {drawn} of {tier}, not {keys}");
        }
        Ok(())
    }

    async fn hanging_load(&mut self) -> Result<()> {
        let holder = self.shop.pool.get().await?;
        holder.batch_execute("BEGIN; LOCK TABLE film IN ACCESS EXCLUSIVE MODE").await?;
        let server = self.serving.address;
        let asked = tokio::spawn(async move { client::ask(server, "GET", "/films/500", "").await });
        self.browser.until("document.querySelector('[data-figure=flights]').textContent === '1'").await?;
        holder.batch_execute("ROLLBACK").await?;
        ensure!(asked.await??.code == 200, "it was loaded at last");
        self.shows("a load that hung", &[("keys", 1), ("origin", 1), ("loads", 1), ("l1_entries", 1)]).await
    }

    /// With a Redis that stands still the page says that the node is deaf; then, that it hears again.
    async fn deaf(&mut self, redis: &Redis) -> Result<()> {
        let bus = "document.getElementById('bus').textContent";
        redis.stop()?;
        self.browser.until(&format!("{bus} === 'deaf'")).await?;
        self.get("/films/1").await?;
        // What it brings lives in L1 for a moment only.
        self.shop.films.evict_l1(1);
        let past = [("keys", 1), ("origin", 1), ("loads", 1), ("l1_entries", -1)];
        self.shows("a lookup past Redis", &past).await?;
        self.looks.check(&self.browser, "deaf").await?;
        redis.cont()?;
        self.browser.until(&format!("{bus} === 'alive'")).await?;
        println!("deaf, and alive again: told");
        Ok(())
    }

    async fn buttons(&mut self) -> Result<()> {
        let answered =
            |start: &str| format!("document.getElementById('answer').textContent.startsWith({start:?})");
        self.browser.click("one").await?;
        self.browser.until(&answered("GET /films/")).await?;
        self.browser.click("hundred").await?;
        self.browser.until(&answered("GET /films?ids=")).await?;
        self.browser.click("rate").await?;
        self.browser.until(&answered("PUT /films/")).await?;
        // Which films they ask for is chance, and so is which tier has them.
        self.expected.retain(|name, _| ["keys", "invalidations"].contains(name));
        self.shows("one film, 100 films, a rate", &[("keys", 102), ("invalidations", 1)]).await?;

        let keys = self.expected["keys"];
        self.browser.click("steady").await?;
        let steady = "document.getElementById('steady').getAttribute('aria-pressed')";
        self.browser.until(&format!("{steady} === 'true' && ({SHOWN})('keys') >= {}", keys + 20)).await?;
        if self.looks.keeps_pictures() {
            // The charts look as they do after a while.
            for hundreds in 1..=10 {
                self.browser.until(&format!("({SHOWN})('keys') >= {}", keys + 100 * hundreds)).await?;
            }
        }
        self.browser.click("steady").await?;
        self.browser.until(&format!("{steady} === 'false'")).await?;
        println!("the buttons: as expected");
        Ok(())
    }
}

/// A function of JavaScript: the number that a figure shows.
pub(super) const SHOWN: &str =
    "name => Number(document.querySelector(`[data-figure=${name}]`).textContent.replaceAll(',', ''))";

/// In JavaScript: the newest request that is shown, its last lookup, and what that asked.
const NEWEST: &str = "(() => {
    const request = document.querySelector('#requests > .request');
    const lookup = [...request?.querySelectorAll('.lookup') ?? []].at(-1);
    const steps = [...lookup?.querySelectorAll('.steps > li') ?? []].map(step => step.dataset.step);
    return [request?.dataset.request, request?.dataset.status, lookup?.dataset.entity, lookup?.dataset.outcome, steps];
})()";

/// In the order of [`SUMS`].
fn of<E: Entity>(cache: &Cache<E>) -> [i64; SUMS.len()] {
    let stats = cache.stats();
    let absent = stats.l1.absent + stats.l2.absent + stats.origin.absent;
    [
        stats.keys(),
        stats.l1.total(),
        stats.l2.total(),
        stats.origin.total(),
        stats.unknown,
        stats.errors,
        absent,
        stats.loads,
        stats.invalidations,
        cache.l1_len(),
    ]
    .map(u64::cast_signed)
}
