//! Row 4 and its neighbours: batches whose keys are in L1, in L2, at the origin, or a third in each, beside the same done
//! by hand: moka's `get`, one MGET, one load, pipelined SETs, moka's `insert`.
//!
//! L2 is a private Redis; the origin is in memory, and the same on both sides.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use benches::{Film, Pair, film};
use redis::aio::MultiplexedConnection;
use tierstack_core::{Cache, L1, Lookup, Namespace, origin_fn};
use tierstack_redis::{RedisSettings, RedisTier};
use tokio::runtime::Runtime;

type Moka = moka::sync::Cache<i32, Arc<Film>>;

/// Keys from here on are new at every use.
const COLD: i32 = 1_000_000;

fn main() -> Result<()> {
    // Cold keys are written for ever; the server forgets some when it is full.
    let server = tierstack_servers::Redis::start_with(&[
        "--maxmemory",
        "512mb",
        "--maxmemory-policy",
        "allkeys-random",
    ])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connection =
        runtime.block_on(redis::Client::open(server.url().as_str())?.get_multiplexed_async_connection())?;
    let mut settings = RedisSettings::default();
    settings.url = server.url();
    let shop = Namespace::builder("shop").l2(RedisTier::new(settings)?).build()?;
    let films: Cache<Film> =
        shop.cache().l1(L1::capacity(20_000).life(Duration::from_secs(3_600))).origin(origin()).build()?;
    let moka = Moka::builder().max_capacity(20_000).time_to_live(Duration::from_secs(3_600)).build();
    let mut bench = Bench { runtime: &runtime, connection, moka, films: &films, cold: COLD };

    for (row, size, what) in [
        (1, 1, ["batch of 1, in L1", "batch of 1, in L2", "batch of 1, at the origin", ""]),
        (
            1,
            10,
            [
                "batch of 10, in L1",
                "batch of 10, in L2",
                "batch of 10, at the origin",
                "batch of 10, a third each",
            ],
        ),
        (
            1,
            100,
            [
                "batch of 100, in L1",
                "batch of 100, in L2",
                "batch of 100, at the origin",
                "batch of 100, a third each",
            ],
        ),
        (
            1,
            1_000,
            [
                "batch of 1,000, in L1",
                "batch of 1,000, in L2",
                "batch of 1,000, at the origin",
                "batch of 1,000, a third each",
            ],
        ),
    ] {
        bench.warm(size)?;
        bench.in_l1(row, what[0], size);
        bench.in_l2(what[1], size, (size == 100).then_some(1.3));
        bench.at_origin(what[2], size);
        if size > 1 {
            bench.a_third_each(what[3], size);
        }
    }
    assert_eq!(films.stats().l2_failures, 0, "Redis did not answer: {:?}", films.stats());
    Ok(())
}

fn origin() -> tierstack_core::Origin<Film> {
    origin_fn(|keys: Vec<i32>| async move { Ok::<_, std::io::Error>(load(&keys)) })
}

fn load(keys: &[i32]) -> Vec<(i32, Film)> {
    keys.iter().map(|key| (*key, film(*key))).collect()
}

struct Bench<'a> {
    runtime: &'a Runtime,
    connection: MultiplexedConnection,
    moka: Moka,
    films: &'a Cache<Film>,
    cold: i32,
}

impl Bench<'_> {
    /// Puts `0..size` into every tier of both sides.
    fn warm(&mut self, size: i32) -> Result<()> {
        let keys: Vec<i32> = (0..size).collect();
        self.runtime.block_on(self.films.objects_by_pks(&keys))?;
        let (moka, mut connection) = (self.moka.clone(), self.connection.clone());
        self.runtime.block_on(by_hand(&moka, &mut connection, &keys, false));
        Ok(())
    }

    fn pair(row: u32, what: &'static str, floor: &'static str, limit: Option<f64>) -> Pair {
        Pair { bench: "batch_lookup", row, what, floor, limit }
    }

    fn in_l1(&self, row: u32, what: &'static str, size: i32) {
        Self::pair(row, what, "moka get", None).run(
            || drop(black_box((0..size).map(|key| self.moka.get(&key)).collect::<Vec<_>>())),
            || drop(black_box(self.runtime.block_on(self.films.objects_by_pks(0..size)))),
            size as u64,
        );
    }

    fn in_l2(&self, what: &'static str, size: i32, limit: Option<f64>) {
        let keys: Vec<i32> = (0..size).collect();
        let mut connection = self.connection.clone();
        Self::pair(4, what, "MGET, decode, moka insert", limit).run(
            || drop(black_box(self.runtime.block_on(by_hand(&self.moka, &mut connection, &keys, true)))),
            || {
                let lookup = Lookup::batch(keys.iter().copied()).skip_l1();
                drop(black_box(self.runtime.block_on(self.films.lookup(lookup))));
            },
            size as u64,
        );
    }

    fn at_origin(&mut self, what: &'static str, size: i32) {
        let mut connection = self.connection.clone();
        let (moka, films, runtime) = (self.moka.clone(), self.films, self.runtime);
        let (mut floor, mut ours) = (self.cold, self.cold);
        let next = |of: &mut i32| {
            *of += size;
            (*of - size..*of).collect::<Vec<i32>>()
        };
        let next_of_ours = next;
        Self::pair(5, what, "MGET, load, SETs, moka insert", None).run(
            || {
                let keys = next(&mut floor);
                drop(black_box(runtime.block_on(by_hand(&moka, &mut connection, &keys, false))));
            },
            || {
                let keys = next_of_ours(&mut ours);
                drop(black_box(runtime.block_on(films.objects_by_pks(keys))));
            },
            size as u64,
        );
        self.cold = floor.max(ours);
    }

    fn a_third_each(&mut self, what: &'static str, size: i32) {
        let mut connection = self.connection.clone();
        let (moka, films, runtime) = (self.moka.clone(), self.films, self.runtime);
        let third = size / 3;
        let (mut floor, mut ours) = (self.cold, self.cold);
        let next = |of: &mut i32| {
            *of += third;
            (0..2 * third).chain(*of - third..*of).collect::<Vec<i32>>()
        };
        Self::pair(5, what, "moka get, MGET, load, SETs, moka insert", None).run(
            || {
                (third..2 * third).for_each(|key| moka.invalidate(&key));
                let keys = next(&mut floor);
                drop(black_box(runtime.block_on(by_hand(&moka, &mut connection, &keys, false))));
            },
            || {
                (third..2 * third).for_each(|key| films.evict_l1(key));
                let keys = next(&mut ours);
                drop(black_box(runtime.block_on(films.objects_by_pks(keys))));
            },
            3 * third as u64,
        );
        self.cold = floor.max(ours);
    }
}

/// The same three tiers without a protocol: nothing keeps a stale row out of them.
async fn by_hand(
    moka: &Moka,
    connection: &mut MultiplexedConnection,
    keys: &[i32],
    skip_l1: bool,
) -> Vec<Arc<Film>> {
    let mut rows = Vec::with_capacity(keys.len());
    let mut missing = Vec::new();
    for key in keys {
        match if skip_l1 { None } else { moka.get(key) } {
            Some(row) => rows.push(row),
            None => missing.push(*key),
        }
    }
    if missing.is_empty() {
        return rows;
    }
    let mut mget = redis::cmd("MGET");
    for key in &missing {
        mget.arg(format!("hand:film:{key}"));
    }
    let found: Vec<Option<Vec<u8>>> = mget.query_async(connection).await.expect("Redis is up");
    let mut cold = Vec::new();
    for (key, bytes) in missing.into_iter().zip(found) {
        match bytes {
            Some(bytes) => {
                let row = Arc::new(rmp_serde::from_slice::<Film>(&bytes).expect("it was written so"));
                moka.insert(key, Arc::clone(&row));
                rows.push(row);
            }
            None => cold.push(key),
        }
    }
    if cold.is_empty() {
        return rows;
    }
    let mut sets = redis::pipe();
    for (key, row) in load(&cold) {
        let bytes = rmp_serde::to_vec_named(&row).expect("the row is plain");
        sets.cmd("SET").arg(format!("hand:film:{key}")).arg(bytes).arg("PX").arg(300_000).ignore();
        let row = Arc::new(row);
        moka.insert(key, Arc::clone(&row));
        rows.push(row);
    }
    let () = sets.query_async(connection).await.expect("Redis is up");
    rows
}
