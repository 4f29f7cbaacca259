//! Rows 3, 5 and 6: many tasks at once. Hits in L2 by 64 tasks, 1,000 cold keys by 1,000 tasks, one cold key by 10,000;
//! beside the same without tierstack, on a runtime of two threads, against a private Redis and Postgres.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use benches::{Film, Pair, film};
use deadpool_redis::Runtime as PoolRuntime;
use redis::aio::MultiplexedConnection;
use tierstack_core::{BoxError, Cache, Entity, L1, Namespace, Origin, Schema, origin_fn};
use tierstack_postgres::deadpool_postgres;
use tierstack_postgres::tokio_postgres::{NoTls, Row};
use tierstack_postgres::{FromRow, PgOrigin};
use tierstack_redis::{RedisSettings, RedisTier};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// Tasks that read L2.
const READERS: usize = 64;
/// Keys that are in L2.
const WARM: i32 = 10_000;
/// Rows of the table; each cold key is used once.
const ROWS: i32 = 1_000_000;
/// How long the load of the one cold key takes.
const LOAD: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let redis = tierstack_servers::Redis::start_with(&[
        "--maxmemory",
        "1gb",
        "--maxmemory-policy",
        "allkeys-random",
    ])?;
    let postgres = tierstack_servers::Postgres::from_env_or_start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // `cargo bench --bench concurrent_lookup -- 3` measures that row only.
    let rows: Vec<u32> = std::env::args().filter_map(|row| row.parse().ok()).collect();
    let wanted = |row| rows.is_empty() || rows.contains(&row);
    if wanted(3) {
        l2_hits(&runtime, &redis.url())?;
        let one_thread =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        l2_hits_by_one_thread(&one_thread, &redis.url())?;
    }
    if wanted(5) {
        cold_keys(&runtime, &redis.url(), postgres.url())?;
    }
    if wanted(6) {
        one_cold_key(&runtime, &redis.url())?;
    }
    Ok(())
}

fn pair(row: u32, what: &'static str, floor: &'static str, limit: Option<f64>) -> Pair {
    Pair { bench: "concurrent_lookup", row, what, floor, limit }
}

fn films_over(url: &str, namespace: &str, origin: Origin<Film>) -> Result<Cache<Film>> {
    let mut settings = RedisSettings::default();
    settings.url = url.to_owned();
    // No L1: what is measured is below it.
    Ok(Namespace::builder(namespace).l2(RedisTier::new(settings)?).build()?.cache().origin(origin).build()?)
}

/// Runs so many tasks for a time, each of which awaits one read after another, told its own number and the read's. Says how
/// many reads they made.
fn readers<F, Fut>(runtime: &Runtime, tasks: usize, time: Duration, read: F) -> u64
where
    F: Fn(usize, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    runtime.block_on(async {
        let ended = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let (read, ended) = (read.clone(), Arc::clone(&ended));
                tokio::spawn(async move {
                    let mut step = 0;
                    while !ended.load(Ordering::Relaxed) {
                        read(task, step).await;
                        step += 1;
                    }
                    step as u64
                })
            })
            .collect();
        tokio::time::sleep(time).await;
        ended.store(true, Ordering::Relaxed);
        let mut reads = 0;
        for task in tasks {
            reads += task.await.expect("a reader doesn't panic");
        }
        reads
    })
}

/// Every task goes through the keys in an order of its own.
fn key_of(task: usize, step: usize) -> i32 {
    ((task * 7_919 + step * 104_729) % WARM as usize) as i32
}

/// What row 3 reads: rows that L2 holds, as ours and as those of a program without tierstack.
struct Warm {
    films: Cache<Film>,
    /// As many as ours keeps.
    connections: [MultiplexedConnection; 2],
}

impl Warm {
    fn new(runtime: &Runtime, url: &str) -> Result<Self> {
        let origin = origin_fn(|keys: Vec<i32>| async move {
            Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, film(key))).collect())
        });
        let films = films_over(url, "hits", origin)?;
        let connect = || runtime.block_on(redis::Client::open(url)?.get_multiplexed_async_connection());
        let connections = [connect()?, connect()?];
        runtime.block_on(async {
            films.objects_by_pks(0..WARM).await?;
            let mut sets = redis::pipe();
            for key in 0..WARM {
                sets.cmd("SET").arg(hand_key(key)).arg(rmp_serde::to_vec_named(&film(key))?).ignore();
            }
            sets.query_async::<()>(&mut connections[0].clone()).await?;
            anyhow::Ok(())
        })?;
        Ok(Warm { films, connections })
    }

    fn ours(&self, runtime: &Runtime, time: Duration) -> u64 {
        let films = self.films.clone();
        readers(runtime, READERS, time, move |task, step| {
            let films = films.clone();
            async move { drop(black_box(films.get(key_of(task, step)).await.expect("L2 is up"))) }
        })
    }

    /// Each by a GET, on so many of the connections.
    fn by_hand(&self, runtime: &Runtime, time: Duration, connections: usize) -> u64 {
        let connections = self.connections[..connections].to_vec();
        readers(runtime, READERS, time, move |task, step| {
            let mut connection = connections[task % connections.len()].clone();
            async move { read_by_hand(&mut connection, key_of(task, step)).await }
        })
    }

    /// As many keys at once, by tasks that each read `KEYS_OF_ONE`, and tell nobody.
    fn by_mget(&self, runtime: &Runtime, time: Duration) -> u64 {
        const KEYS_OF_ONE: usize = 16;
        let connection = self.connections[0].clone();
        let reads = readers(runtime, READERS / KEYS_OF_ONE, time, move |task, step| {
            let mut connection = connection.clone();
            async move {
                let mut mget = redis::cmd("MGET");
                for reader in task * KEYS_OF_ONE..(task + 1) * KEYS_OF_ONE {
                    mget.arg(hand_key(key_of(reader, step)));
                }
                let rows: Vec<Vec<u8>> = mget.query_async(&mut connection).await.expect("Redis is up");
                for bytes in rows {
                    black_box(rmp_serde::from_slice::<Film>(&bytes).expect("it was written so"));
                }
            }
        });
        reads * KEYS_OF_ONE as u64
    }
}

const ONE_CONNECTION: &str = "GET on one multiplexed connection";

/// Row 3 where one thread does all, and the other core is for Redis.
fn l2_hits_by_one_thread(runtime: &Runtime, url: &str) -> Result<()> {
    let warm = Warm::new(runtime, url)?;
    let what = "L2 hits by 64 tasks of one thread";
    pair(3, what, ONE_CONNECTION, None)
        .run_for(|time| warm.by_hand(runtime, time, 1), |time| warm.ours(runtime, time));
    Ok(())
}

/// Row 3.
fn l2_hits(runtime: &Runtime, url: &str) -> Result<()> {
    let warm = Warm::new(runtime, url)?;
    let pool =
        deadpool_redis::Config::from_url(url).builder()?.max_size(16).runtime(PoolRuntime::Tokio1).build()?;
    let what = "L2 hits by 64 tasks";
    pair(3, what, ONE_CONNECTION, Some(0.5))
        .run_for(|time| warm.by_hand(runtime, time, 1), |time| warm.ours(runtime, time));
    let beside_two = "L2 hits by 64 tasks (beside two)";
    pair(3, beside_two, "GET on two multiplexed connections", Some(0.5))
        .run_for(|time| warm.by_hand(runtime, time, 2), |time| warm.ours(runtime, time));
    // What is left of the floor if 16 tasks' keys go in one MGET, and nobody is told apart: as fast as this can be.
    let what = "the same by 4 tasks, MGET of 16 by hand";
    pair(3, what, ONE_CONNECTION, None)
        .run_for(|time| warm.by_hand(runtime, time, 1), |time| warm.by_mget(runtime, time));
    let what = "L2 hits by 64 tasks (beside a pool)";
    pair(3, what, "GET on a pool of 16", Some(0.5)).run_for(
        |time| {
            let pool = pool.clone();
            readers(runtime, READERS, time, move |task, step| {
                let pool = pool.clone();
                async move {
                    let mut connection = pool.get().await.expect("the pool is up");
                    read_by_hand(&mut connection, key_of(task, step)).await;
                }
            })
        },
        |time| warm.ours(runtime, time),
    );
    let stats = warm.films.stats();
    assert_eq!(stats.l2_failures, 0, "Redis did not answer: {stats:?}");
    Ok(())
}

fn hand_key(key: i32) -> String {
    format!("hand:film:{key}")
}

async fn read_by_hand(connection: &mut impl redis::aio::ConnectionLike, key: i32) {
    let bytes: Vec<u8> =
        redis::cmd("GET").arg(hand_key(key)).query_async(connection).await.expect("Redis is up");
    black_box(rmp_serde::from_slice::<Film>(&bytes).expect("it was written so"));
}

/// Row 5.
fn cold_keys(runtime: &Runtime, redis: &str, postgres: &str) -> Result<()> {
    let mut config = deadpool_postgres::Config::new();
    config.url = Some(postgres.to_owned());
    let pool = config.create_pool(Some(deadpool_postgres::Runtime::Tokio1), NoTls)?;
    let client = runtime.block_on(pool.get())?;
    runtime.block_on(client.batch_execute(&format!(
        "DROP TABLE IF EXISTS bench_film;
         CREATE TABLE bench_film (film_id int PRIMARY KEY, title text NOT NULL, description text NOT NULL);
         INSERT INTO bench_film SELECT n, 'Film ' || n, repeat('x', 200) FROM generate_series(0, {ROWS}) n;
         ANALYZE bench_film"
    )))?;
    let films: Cache<BenchFilm> = {
        let mut settings = RedisSettings::default();
        settings.url = redis.to_owned();
        Namespace::builder("cold")
            .l2(RedisTier::new(settings)?)
            .build()?
            .cache()
            .origin(PgOrigin::new(pool.clone()))
            .build()?
    };
    let connection = runtime.block_on(redis::Client::open(redis)?.get_multiplexed_async_connection())?;
    let statement = runtime.block_on(
        client.prepare("SELECT film_id, title, description FROM bench_film WHERE film_id = ANY($1)"),
    )?;
    let next = AtomicI32::new(0);
    let cold = || {
        let first = next.fetch_add(1_000, Ordering::Relaxed);
        assert!(first + 1_000 < ROWS, "more rows are needed");
        first..first + 1_000
    };
    let most_loads = AtomicUsize::new(0);
    let by_hand = || {
        let keys: Vec<i32> = cold().collect();
        let mut connection = connection.clone();
        runtime.block_on(async {
            let mut mget = redis::cmd("MGET");
            for key in &keys {
                mget.arg(hand_key(*key + WARM));
            }
            let found: Vec<Option<Vec<u8>>> = mget.query_async(&mut connection).await.expect("Redis is up");
            assert!(found.iter().all(Option::is_none));
            let rows = client.query(&statement, &[&keys]).await.expect("Postgres is up");
            let mut sets = redis::pipe();
            for row in &rows {
                let row = BenchFilm { film_id: row.get(0), title: row.get(1), description: row.get(2) };
                let bytes = rmp_serde::to_vec_named(&row).expect("the row is plain");
                sets.cmd("SET").arg(hand_key(row.film_id + WARM)).arg(bytes).arg("PX").arg(300_000).ignore();
            }
            let () = sets.query_async(&mut connection).await.expect("Redis is up");
        });
    };
    let what = "MGET, = ANY, pipelined SETs";
    pair(5, "1,000 cold keys by 1,000 tasks", what, Some(2.0)).run(
        by_hand,
        || {
            let before = films.stats().loads;
            runtime.block_on(async {
                let tasks: Vec<_> = cold()
                    .map(|key| {
                        let films = films.clone();
                        tokio::spawn(async move { films.get(key).await })
                    })
                    .collect();
                for task in tasks {
                    let row = task.await.expect("a task doesn't panic").expect("the tiers are up");
                    assert!(black_box(row).is_some());
                }
            });
            most_loads.fetch_max((films.stats().loads - before) as usize, Ordering::Relaxed);
        },
        1_000,
    );
    // What the rights and the stamps cost, however the keys are asked.
    let one_batch = || {
        let rows = runtime.block_on(films.objects_by_pks(cold())).expect("the tiers are up");
        assert!(black_box(rows).iter().all(Option::is_some));
    };
    pair(5, "1,000 cold keys in one batch", what, None).run(by_hand, one_batch, 1_000);
    let most_loads = most_loads.into_inner();
    pair(5, "most statements for 1,000 cold keys", "one", Some(10.0)).count(1.0, most_loads as f64);
    runtime.block_on(client.batch_execute("DROP TABLE bench_film")).context("the table stays behind")
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct BenchFilm {
    film_id: i32,
    title: String,
    description: String,
}

impl Entity for BenchFilm {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("bench_film").pk(["film_id"]).columns(["film_id", "title", "description"])
    }
    fn pk(&self) -> i32 {
        self.film_id
    }
}

impl FromRow for BenchFilm {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(BenchFilm {
            film_id: row.try_get("film_id")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
        })
    }
}

/// Row 6.
fn one_cold_key(runtime: &Runtime, redis: &str) -> Result<()> {
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    let load = move |keys: Vec<i32>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(LOAD).await;
            Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, film(key))).collect::<Vec<_>>())
        }
    };
    let over_l2 = films_over(redis, "one", origin_fn(load.clone()))?;
    let alone: Cache<Film> = Namespace::builder("alone")
        .build()?
        .cache()
        .l1(L1::capacity(1_000))
        .origin(origin_fn(load.clone()))
        .build()?;
    let next = AtomicI32::new(0);
    for (films, what) in
        [(over_l2, "one cold key by 10,000 tasks"), (alone, "one cold key by 10,000 tasks, no L2")]
    {
        let before = loads.load(Ordering::Relaxed);
        let bursts = AtomicUsize::new(0);
        pair(6, what, "one OnceCell round the loader", Some(1.2)).run(
            || {
                let cell = Arc::new(OnceCell::new());
                let load = &load;
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..10_000)
                        .map(|_| {
                            let (cell, load) = (Arc::clone(&cell), load.clone());
                            tokio::spawn(async move {
                                let found = cell.get_or_try_init(|| load(vec![1])).await;
                                black_box(found.expect("the loader doesn't fail").len())
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.expect("a task doesn't panic");
                    }
                });
                bursts.fetch_add(1, Ordering::Relaxed);
            },
            || {
                let key = next.fetch_add(1, Ordering::Relaxed);
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..10_000)
                        .map(|_| {
                            let films = films.clone();
                            tokio::spawn(async move { films.get(key).await })
                        })
                        .collect();
                    for task in tasks {
                        let row = task.await.expect("a task doesn't panic").expect("the tiers are up");
                        assert!(black_box(row).is_some());
                    }
                });
                bursts.fetch_add(1, Ordering::Relaxed);
            },
            1,
        );
        let per_burst = (loads.load(Ordering::Relaxed) - before) as f64 / bursts.into_inner() as f64;
        let what = if what.ends_with("no L2") { "its loads, no L2" } else { "its loads" };
        pair(6, what, "one", Some(1.0)).count(1.0, per_burst);
    }
    Ok(())
}
