//! Row 13: what a write costs in each mode, and a row that is written all the time; beside a plain transaction with a DEL
//! after it, against a private Redis and Postgres.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use benches::Pair;
use redis::aio::MultiplexedConnection;
use tierstack_core::{BoxError, Cache, Entity, L1, Namespace, Schema};
use tierstack_postgres::deadpool_postgres;
use tierstack_postgres::tokio_postgres::{Client, NoTls, Row};
use tierstack_postgres::{FromRow, Mode, PgOrigin, TransactionSettings, Transactions};
use tierstack_redis::{RedisSettings, RedisTier};
use tokio::runtime::Runtime;

/// Rows of the table.
const ROWS: i32 = 10_000;
/// Writes of one measured call.
const WRITES: i32 = 20;
/// Reads of the hot row in one measured call, by each of as many tasks.
const READS: usize = 200;
const READERS: usize = 8;

const UPDATE: &str = "UPDATE bench_stock SET count = count + 1 WHERE stock_id = $1";

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Stock {
    stock_id: i32,
    count: i32,
}

impl Entity for Stock {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("bench_stock").pk(["stock_id"]).columns(["stock_id", "count"])
    }
    fn pk(&self) -> i32 {
        self.stock_id
    }
}

impl FromRow for Stock {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Stock { stock_id: row.try_get("stock_id")?, count: row.try_get("count")? })
    }
}

/// One shop, and what writes by hand.
struct Desk {
    runtime: Runtime,
    stock: Cache<Stock>,
    connection: MultiplexedConnection,
    pool: deadpool_postgres::Pool,
    next: AtomicI32,
}

fn main() -> Result<()> {
    let redis = tierstack_servers::Redis::start_with(&[])?;
    let postgres = tierstack_servers::Postgres::from_env_or_start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut config = deadpool_postgres::Config::new();
    config.url = Some(postgres.url().to_owned());
    let pool = config.create_pool(Some(deadpool_postgres::Runtime::Tokio1), NoTls)?;
    let stock = {
        let _inside = runtime.enter();
        Namespace::builder("stock")
            .l2(RedisTier::new(RedisSettings::new(redis.url()))?)
            .build()?
            .cache()
            .l1(L1::capacity(100_000))
            .origin(PgOrigin::new(pool.clone()))
            .build()?
    };
    let connection =
        runtime.block_on(redis::Client::open(redis.url())?.get_multiplexed_async_connection())?;
    let desk = Desk { runtime, stock, connection, pool, next: AtomicI32::new(0) };
    desk.runtime.block_on(async {
        let client = desk.pool.get().await?;
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS bench_stock;
                 CREATE TABLE bench_stock (stock_id int PRIMARY KEY, count int NOT NULL);
                 INSERT INTO bench_stock SELECT n, 0 FROM generate_series(0, {ROWS}) n;
                 ANALYZE bench_stock"
            ))
            .await?;
        anyhow::Ok(())
    })?;
    writes(&desk)?;
    misses(&desk);
    hot_row(&desk)?;
    desk.runtime.block_on(async {
        desk.pool.get().await?.batch_execute("DROP TABLE bench_stock").await?;
        anyhow::Ok(())
    })
}

fn pair(what: &'static str, floor: &'static str) -> Pair {
    Pair { bench: "write_paths", row: 13, what, floor, limit: None }
}

const BY_HAND: &str = "BEGIN, UPDATE, COMMIT, DEL";

impl Desk {
    fn key(&self) -> i32 {
        self.next.fetch_add(1, Ordering::Relaxed) % ROWS
    }

    fn transactions(&self, mode: Mode) -> Result<Transactions> {
        let mut settings = TransactionSettings::default();
        settings.mode = mode;
        Ok(Transactions::new(self.stock.namespace(), settings)?.resolve_with(self.pool.clone()))
    }
}

/// A write, and the deletion of its key after it: what most do.
async fn by_hand(client: &mut Client, connection: &mut MultiplexedConnection, key: i32) {
    let transaction = client.transaction().await.expect("Postgres is up");
    transaction.execute(UPDATE, &[&key]).await.expect("Postgres is up");
    transaction.commit().await.expect("Postgres is up");
    let () =
        redis::cmd("DEL").arg(format!("stock:{key}")).query_async(connection).await.expect("Redis is up");
}

async fn by_transaction(client: &mut Client, transactions: &Transactions, key: i32) {
    let mut tx = transactions.begin(client).await.expect("Postgres is up");
    tx.execute(UPDATE, &[&key]).await.expect("Postgres is up");
    tx.touch::<Stock>([key]).expect("the key is short");
    tx.commit().await.expect("both are up");
}

fn writes(desk: &Desk) -> Result<()> {
    let (strict, fast) = (desk.transactions(Mode::Strict)?, desk.transactions(Mode::Fast)?);
    let floor = || {
        desk.runtime.block_on(async {
            let mut client = desk.pool.get().await.expect("Postgres is up");
            for _ in 0..WRITES {
                by_hand(&mut client, &mut desk.connection.clone(), desk.key()).await;
            }
        });
    };
    let invalidated = || {
        desk.runtime.block_on(async {
            let mut client = desk.pool.get().await.expect("Postgres is up");
            for _ in 0..WRITES {
                let key = desk.key();
                let transaction = client.transaction().await.expect("Postgres is up");
                transaction.execute(UPDATE, &[&key]).await.expect("Postgres is up");
                transaction.commit().await.expect("Postgres is up");
                desk.stock.invalidate([key]).await.expect("Redis is up");
            }
        });
    };
    let in_mode = |transactions: &Transactions| {
        desk.runtime.block_on(async {
            let mut client = desk.pool.get().await.expect("Postgres is up");
            for _ in 0..WRITES {
                by_transaction(&mut client, transactions, desk.key()).await;
            }
        });
    };
    pair("a write, then invalidate", BY_HAND).run(floor, invalidated, WRITES as u64);
    pair("a transaction, Fast", BY_HAND).run(floor, || in_mode(&fast), WRITES as u64);
    pair("a transaction, Strict", BY_HAND).run(floor, || in_mode(&strict), WRITES as u64);
    Ok(())
}

/// The first read after a write.
fn misses(desk: &Desk) {
    let select = "SELECT stock_id, count FROM bench_stock WHERE stock_id = ANY($1)";
    let floor = || {
        desk.runtime.block_on(async {
            let client = desk.pool.get().await.expect("Postgres is up");
            let statement = client.prepare_cached(select).await.expect("Postgres is up");
            for _ in 0..WRITES {
                let key = desk.key();
                let name = format!("stock:{key}");
                let mut connection = desk.connection.clone();
                let delete = redis::cmd("DEL").arg(&name).query_async(&mut connection).await;
                let () = delete.expect("Redis is up");
                let found: Option<Vec<u8>> =
                    redis::cmd("GET").arg(&name).query_async(&mut connection).await.expect("Redis is up");
                assert!(found.is_none());
                let rows = client.query(&statement, &[&vec![key]]).await.expect("Postgres is up");
                let row = Stock { stock_id: rows[0].get(0), count: rows[0].get(1) };
                let bytes = rmp_serde::to_vec_named(&row).expect("the row is plain");
                let set = redis::cmd("SET").arg(&name).arg(bytes).arg("PX").arg(300_000).to_owned();
                let () = set.query_async(&mut connection).await.expect("Redis is up");
            }
        });
    };
    let ours = || {
        desk.runtime.block_on(async {
            for _ in 0..WRITES {
                let key = desk.key();
                desk.stock.invalidate([key]).await.expect("Redis is up");
                assert!(black_box(desk.stock.get(key).await.expect("both are up")).is_some());
            }
        });
    };
    pair("invalidate, then a miss", "DEL, GET, SELECT, SET").run(floor, ours, WRITES as u64);
}

/// Eight readers of one row that one task writes as fast as it can.
fn hot_row(desk: &Desk) -> Result<()> {
    let strict = desk.transactions(Mode::Strict)?;
    let ended = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writer = {
        let (ended, written, pool) = (ended.clone(), written.clone(), desk.pool.clone());
        desk.runtime.spawn(async move {
            let mut client = pool.get().await.expect("Postgres is up");
            while !ended.load(Ordering::Relaxed) {
                by_transaction(&mut client, &strict, 0).await;
                written.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    };
    let readers = |of: i32| {
        desk.runtime.block_on(async {
            let tasks: Vec<_> = (0..READERS)
                .map(|_| {
                    let stock = desk.stock.clone();
                    tokio::spawn(async move {
                        for _ in 0..READS {
                            assert!(black_box(stock.get(of).await.expect("both are up")).is_some());
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a reader doesn't panic");
            }
        });
    };
    let before = desk.stock.stats();
    pair("reads of a row that Strict writes all the time", "of one that nobody writes").run(
        || readers(1),
        || readers(0),
        (READERS * READS) as u64,
    );
    let after = desk.stock.stats();
    ended.store(true, Ordering::Relaxed);
    desk.runtime.block_on(writer)?;
    println!(
        "  {} writes meanwhile; of {} answers, {} from L1, {} from L2, {} loaded; {} loads",
        written.load(Ordering::Relaxed),
        after.l1.total() + after.l2.total() + after.origin.total()
            - before.l1.total()
            - before.l2.total()
            - before.origin.total(),
        after.l1.total() - before.l1.total(),
        after.l2.total() - before.l2.total(),
        after.origin.total() - before.origin.total(),
        after.loads - before.loads,
    );
    Ok(())
}
