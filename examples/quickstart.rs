//! All three tiers in one process: no server, no network.
//!
//! An in-process tier stands for Redis, a map that takes 3 ms to answer stands for Postgres. Every line of the tables is
//! printed from the answers and the counters of the cache.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tierstack::{
    Bound, Cache, Entity, Entry, L1, Level, Lookup, MemoryTier, Namespace, Origin, Query, Schema, Value,
    loader_fn, origin_fn,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Film {
    film_id: i32,
    title: String,
    rating: String,
    rental_rate: f64,
}

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "title", "rating", "rental_rate"])
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

/// Another node's write shows on this one when its L1 entry ends. Short, so that the end can be watched.
const L1_LIFE: Duration = Duration::from_millis(60);

#[tokio::main]
async fn main() -> Result<()> {
    let table = Table::new();
    let l2 = Arc::new(MemoryTier::new(10_000));
    let a = Node::new("A", &l2, &table)?;
    let b = Node::new("B", &l2, &table)?;

    println!(
        "tierstack: L1 in each node, an L2 that nodes A and B share, and a repository below that takes 3 ms\n"
    );

    title("One film: loaded once, then found nearer and nearer");
    a.get(7).await?;
    a.get(7).await?;
    b.get(7).await?;
    b.get(7).await?;
    b.cost_of(7).await?;

    title("A film that doesn't exist: the absence is a cached fact");
    a.get(4040).await?;
    a.get(4040).await?;
    b.get(4040).await?;

    title("A batch with duplicates and holes: one read of L2, one load, order kept");
    a.batch(&[3, 7, 1, 3, 4040, 2]).await?;
    b.batch(&[1, 2, 3, 5]).await?;

    title("A list: cached as primary keys, its films shared with everything above");
    let by_rating = Query::<Film>::list("by_rating").param::<String>("rating").build()?;
    a.list(&by_rating.bind(("PG".to_owned(),))).await?;
    a.list(&by_rating.bind(("PG".to_owned(),))).await?;
    b.list(&by_rating.bind(("PG".to_owned(),))).await?;

    title("A write on node A, then `invalidate`");
    a.get(7).await?;
    b.get(7).await?;
    table.set_rate(7, 4.99);
    a.films.invalidate([7]).await?;
    println!("  repository: rental_rate of film 7 is 4.99; node A: invalidate([7]) has returned");
    a.get(7).await?;
    b.get(7).await?;
    println!("  node B may answer from its own memory for {L1_LIFE:?}; that has now passed");
    tokio::time::sleep(L1_LIFE + Duration::from_millis(20)).await;
    b.get(7).await?;
    a.list(&by_rating.bind(("PG".to_owned(),))).await?;

    title("L2 goes away: lookups go round it");
    l2.set_outage(true);
    a.get(8).await?;
    a.get(8).await?;
    let told = a.films.invalidate([8]).await;
    println!(
        "  invalidate([8]) says: {}",
        told.err().context("an invalidation can't reach an L2 that is gone")?
    );
    l2.set_outage(false);

    println!("\nCounters                     node A   node B");
    let (a, b) = (a.films.stats(), b.films.stats());
    for (name, a, b) in [
        ("keys answered by L1", a.l1.total(), b.l1.total()),
        ("keys answered by L2", a.l2.total(), b.l2.total()),
        ("keys answered by the origin", a.origin.total(), b.origin.total()),
        ("loads", a.loads, b.loads),
        ("requests to L2", a.l2_requests, b.l2_requests),
        ("L2 failures, by key", a.l2_failures, b.l2_failures),
    ] {
        println!("  {name:<27}{a:>6}   {b:>6}");
    }
    Ok(())
}

fn title(text: &str) {
    println!(
        "\n{text}\n  node  lookup                        answered by                                 loads     time"
    );
}

/// One process of a fleet: its own L1, the shared L2, the same repository.
struct Node {
    name: &'static str,
    films: Cache<Film>,
}

impl Node {
    fn new(name: &'static str, l2: &Arc<MemoryTier>, table: &Table) -> Result<Self> {
        let shop = Namespace::builder("shop").l2_shared(l2.clone()).build()?;
        let films = shop.cache().l1(L1::capacity(10_000).life(L1_LIFE)).origin(table.origin()).build()?;
        Ok(Node { name, films })
    }

    async fn get(&self, film_id: i32) -> Result<()> {
        self.show(&format!("get({film_id})"), self.films.lookup(Lookup::one(film_id))).await
    }

    /// What the load of a film cost, which its entry tells on every node.
    async fn cost_of(&self, film_id: i32) -> Result<()> {
        let answers = self.films.lookup(Lookup::one(film_id).never_load()).await?;
        let outcome = answers.into_iter().next().context("one key was asked")?.1;
        let cost_us = outcome?.context("it is in L1")?.meta.cost_us;
        println!("        node {} knows what its load cost: {:.1} ms", self.name, f64::from(cost_us) / 1e3);
        Ok(())
    }

    async fn batch(&self, film_ids: &[i32]) -> Result<()> {
        let lookup = self.films.lookup(Lookup::batch(film_ids.iter().copied()));
        self.show(&format!("{film_ids:?}"), lookup).await?;
        let films = self.films.objects_by_pks(film_ids).await?;
        let shown: Vec<String> =
            films.iter().map(|film| film.as_ref().map_or("–".into(), |film| film.title.clone())).collect();
        println!("        objects_by_pks: {}", shown.join(", "));
        Ok(())
    }

    async fn list(&self, query: &Bound<Film>) -> Result<()> {
        let before = self.films.stats();
        let (films, time) = timed(self.films.list(query)).await;
        let (films, after) = (films?, self.films.stats());
        let tiers = [
            ("L1", after.l1.total() - before.l1.total()),
            ("L2", after.l2.total() - before.l2.total()),
            ("origin", after.origin.total() - before.origin.total()),
        ];
        let tiers: Vec<String> = tiers
            .iter()
            .filter(|(_, keys)| *keys > 0)
            .map(|(tier, keys)| format!("{tier} ×{keys}"))
            .collect();
        self.line(
            "list(rating = PG)",
            &format!("{}: the list and {} films", tiers.join(", "), films.len()),
            after.loads - before.loads,
            time,
        );
        Ok(())
    }

    async fn show(
        &self,
        asked: &str,
        lookup: impl Future<Output = Result<tierstack::Answers<i32, Film>, tierstack::Error>>,
    ) -> Result<()> {
        let loads = self.films.stats().loads;
        let (answers, time) = timed(lookup).await;
        // What each tier answered, in the order in which the tiers are asked.
        let mut tiers: BTreeMap<Level, Vec<String>> = BTreeMap::new();
        for (film_id, outcome) in answers? {
            let answer = outcome?.context("the origin was not excluded")?;
            tiers.entry(answer.source).or_default().push(match answer.entry {
                Entry::Present(film) if asked.starts_with("get") => {
                    format!("{}, {}", film.title, film.rental_rate)
                }
                Entry::Present(_) => film_id.to_string(),
                Entry::Absent if asked.starts_with("get") => "absent".into(),
                Entry::Absent => format!("{film_id} (absent)"),
            });
        }
        let tiers: Vec<String> = tiers
            .iter()
            .map(|(tier, answers)| format!("{}: {}", tier_name(*tier), answers.join(" ")))
            .collect();
        self.line(asked, &tiers.join("; "), self.films.stats().loads - loads, time);
        Ok(())
    }

    fn line(&self, asked: &str, tiers: &str, loads: u64, time: Duration) {
        println!(
            "  {:<5} {asked:<29} {tiers:<45} {loads:>3} {:>9.3} ms",
            self.name,
            time.as_secs_f64() * 1e3
        );
    }
}

fn tier_name(tier: Level) -> &'static str {
    match tier {
        Level::L1 => "L1",
        Level::L2 => "L2",
        Level::Origin => "origin",
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the table shows how long a lookup took; nothing depends on it"
)]
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (work.await, start.elapsed())
}

/// Twelve films, in memory: what a repository over Postgres would be.
#[derive(Clone)]
struct Table(Arc<Mutex<BTreeMap<i32, Film>>>);

impl Table {
    fn new() -> Self {
        let titles = [
            "Academy Dinosaur",
            "Ace Goldfinger",
            "Adaptation Holes",
            "Affair Prejudice",
            "African Egg",
            "Agent Truman",
            "Airplane Sierra",
            "Airport Pollock",
            "Alabama Devil",
            "Aladdin Calendar",
            "Alamo Videotape",
            "Alaska Phantom",
        ];
        let films = titles.iter().zip(1..).map(|(title, film_id)| {
            let rating = if film_id % 3 == 1 { "PG" } else { "R" };
            (film_id, Film { film_id, title: (*title).into(), rating: rating.into(), rental_rate: 0.99 })
        });
        Table(Arc::new(Mutex::new(films.collect())))
    }

    fn read<T>(&self, read: impl FnOnce(&mut BTreeMap<i32, Film>) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn set_rate(&self, film_id: i32, rental_rate: f64) {
        self.read(|films| films.get_mut(&film_id).map(|film| film.rental_rate = rental_rate));
    }

    /// Rows by primary key, and primary keys by query.
    fn origin(&self) -> Origin<Film> {
        let (rows, index) = (self.clone(), self.clone());
        let by_key = origin_fn(move |keys: Vec<i32>| {
            let rows = rows.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                let found = rows.read(|films| {
                    keys.iter().filter_map(|key| Some((*key, films.get(key)?.clone()))).collect()
                });
                Ok::<Vec<(i32, Film)>, std::io::Error>(found)
            }
        });
        by_key.with_queries(loader_fn(move |queries: Vec<Bound<Film>>| {
            let index = index.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                let answer = |query: Bound<Film>| {
                    let rated = |film: &&Film| query.values() == [Value::from(film.rating.as_str())];
                    let pks = index.read(|films| films.values().filter(rated).map(Entity::pk).collect());
                    (query, pks)
                };
                Ok::<Vec<(Bound<Film>, Vec<i32>)>, std::io::Error>(queries.into_iter().map(answer).collect())
            }
        }))
    }
}
