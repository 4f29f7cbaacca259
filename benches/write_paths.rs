//! Row 13: what a write costs in each mode, and a row that is written all the time; beside what is written by hand: a plain
//! transaction with a DEL after it, and moka before GET and SET. Against a private Redis and two private Postgres: one that
//! doesn't wait for its disk at COMMIT, so that round trips show, and one that does.

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
const WRITES: i32 = 10;
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

/// One shop, and what is done by hand.
struct Desk {
    runtime: Runtime,
    stock: Cache<Stock>,
    by_hand: ByHand,
    next: AtomicI32,
    /// COMMIT waits for the disk.
    syncs: bool,
}

fn main() -> Result<()> {
    for syncs in [false, true] {
        let redis = tierstack_servers::Redis::start()?;
        let fsync = if syncs { "fsync=on" } else { "fsync=off" };
        let postgres = tierstack_servers::Postgres::start_with(&["-c", fsync])?;
        let desk = Desk::over(&redis, &postgres, syncs)?;
        writes(&desk)?;
        if !syncs {
            misses(&desk);
        }
        hot_row(&desk)?;
    }
    Ok(())
}

const BY_HAND: &str = "BEGIN, UPDATE, COMMIT, DEL";

impl Desk {
    fn over(
        redis: &tierstack_servers::Redis,
        postgres: &tierstack_servers::Postgres,
        syncs: bool,
    ) -> Result<Self> {
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
        let connecting = redis::Client::open(redis.url())?;
        let connection = runtime.block_on(connecting.get_multiplexed_async_connection())?;
        runtime.block_on(async {
            let table = format!(
                "CREATE TABLE bench_stock (stock_id int PRIMARY KEY, count int NOT NULL);
                 INSERT INTO bench_stock SELECT n, 0 FROM generate_series(0, {ROWS}) n;
                 ANALYZE bench_stock"
            );
            anyhow::Ok(pool.get().await?.batch_execute(&table).await?)
        })?;
        let l1 = moka::sync::Cache::builder().max_capacity(100_000).time_to_live(LIFE).build();
        let by_hand = ByHand { l1, connection, pool };
        Ok(Desk { runtime, stock, by_hand, next: AtomicI32::new(0), syncs })
    }

    /// What is measured, by its name without waiting for the disk, or with.
    fn pair(&self, names: [&'static str; 2], floor: &'static str) -> Pair {
        let what = names[usize::from(self.syncs)];
        Pair { bench: "write_paths", row: 13, what, floor, limit: None }
    }

    fn key(&self) -> i32 {
        self.next.fetch_add(1, Ordering::Relaxed) % ROWS
    }

    fn transactions(&self, mode: Mode) -> Result<Transactions> {
        let mut settings = TransactionSettings::default();
        settings.mode = mode;
        let transactions = Transactions::new(self.stock.namespace(), settings)?;
        Ok(transactions.resolve_with(self.by_hand.pool.clone()))
    }
}

/// How long what is kept by hand lives.
const LIFE: Duration = Duration::from_secs(300);

const SELECT: &str = "SELECT stock_id, count FROM bench_stock WHERE stock_id = ANY($1)";

/// What most do: memory before Redis before Postgres, and a DEL after COMMIT. Nobody waits for another's load, no other
/// process hears, and what was loaded before a write may be stored after it.
#[derive(Clone)]
struct ByHand {
    l1: moka::sync::Cache<i32, Arc<Stock>>,
    connection: MultiplexedConnection,
    pool: deadpool_postgres::Pool,
}

impl ByHand {
    async fn get(&self, key: i32) -> Arc<Stock> {
        if let Some(row) = self.l1.get(&key) {
            return row;
        }
        let name = format!("stock:{key}");
        let mut connection = self.connection.clone();
        let found: Option<Vec<u8>> =
            redis::cmd("GET").arg(&name).query_async(&mut connection).await.expect("Redis is up");
        let row = match found {
            Some(bytes) => rmp_serde::from_slice(&bytes).expect("it was written here"),
            None => {
                let client = self.pool.get().await.expect("Postgres is up");
                let row = load(&client, key).await;
                store(&mut connection, &name, &row).await;
                row
            }
        };
        let row = Arc::new(row);
        self.l1.insert(key, row.clone());
        row
    }
}

async fn load(client: &deadpool_postgres::Client, key: i32) -> Stock {
    let statement = client.prepare_cached(SELECT).await.expect("Postgres is up");
    let rows = client.query(&statement, &[&vec![key]]).await.expect("Postgres is up");
    Stock { stock_id: rows[0].get(0), count: rows[0].get(1) }
}

async fn store(connection: &mut MultiplexedConnection, name: &str, row: &Stock) {
    let bytes = rmp_serde::to_vec_named(row).expect("the row is plain");
    let life = u64::try_from(LIFE.as_millis()).expect("it is short");
    let set = redis::cmd("SET").arg(name).arg(bytes).arg("PX").arg(life).to_owned();
    let () = set.query_async(connection).await.expect("Redis is up");
}

/// A write, and the deletion of its key after it: what most do.
async fn write_by_hand(client: &mut Client, connection: &mut MultiplexedConnection, key: i32) {
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
            let mut client = desk.by_hand.pool.get().await.expect("Postgres is up");
            for _ in 0..WRITES {
                write_by_hand(&mut client, &mut desk.by_hand.connection.clone(), desk.key()).await;
            }
        });
    };
    let invalidated = || {
        desk.runtime.block_on(async {
            let mut client = desk.by_hand.pool.get().await.expect("Postgres is up");
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
            let mut client = desk.by_hand.pool.get().await.expect("Postgres is up");
            for _ in 0..WRITES {
                by_transaction(&mut client, transactions, desk.key()).await;
            }
        });
    };
    let run = |names, ours: &dyn Fn()| desk.pair(names, BY_HAND).run(floor, ours, WRITES as u64);
    run(["a write, then invalidate", "a write, then invalidate; to disk"], &invalidated);
    run(["a transaction, Fast", "a transaction, Fast; to disk"], &|| in_mode(&fast));
    run(["a transaction, Strict", "a transaction, Strict; to disk"], &|| in_mode(&strict));
    Ok(())
}

/// The first read after a write.
fn misses(desk: &Desk) {
    let floor = || {
        desk.runtime.block_on(async {
            let client = desk.by_hand.pool.get().await.expect("Postgres is up");
            for _ in 0..WRITES {
                let key = desk.key();
                let name = format!("stock:{key}");
                let mut connection = desk.by_hand.connection.clone();
                let delete = redis::cmd("DEL").arg(&name).query_async(&mut connection).await;
                let () = delete.expect("Redis is up");
                let found: Option<Vec<u8>> =
                    redis::cmd("GET").arg(&name).query_async(&mut connection).await.expect("Redis is up");
                assert!(found.is_none());
                store(&mut connection, &name, &load(&client, key).await).await;
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
    let names = ["invalidate, then a miss"; 2];
    desk.pair(names, "DEL, GET, SELECT, SET").run(floor, ours, WRITES as u64);
}

/// One task that writes row 0 as fast as it can: as a transaction, or by hand.
struct Writer {
    is_by_hand: AtomicBool,
    ended: AtomicBool,
    /// By transaction, and by hand.
    written: [AtomicU64; 2],
}

impl Writer {
    async fn write(&self, strict: &Transactions, by_hand: ByHand) {
        let mut client = by_hand.pool.get().await.expect("Postgres is up");
        while !self.ended.load(Ordering::Relaxed) {
            let is_by_hand = self.is_by_hand.load(Ordering::Relaxed);
            if is_by_hand {
                write_by_hand(&mut client, &mut by_hand.connection.clone(), 0).await;
                by_hand.l1.invalidate(&0);
            } else {
                by_transaction(&mut client, strict, 0).await;
            }
            self.written[usize::from(is_by_hand)].fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Eight readers of one row.
fn readers<F: Future<Output = bool> + Send>(desk: &Desk, get: impl Fn() -> F + Clone + Send + 'static) {
    desk.runtime.block_on(async {
        let reader = || {
            let get = get.clone();
            tokio::spawn(async move {
                for _ in 0..READS {
                    assert!(get().await);
                    tokio::task::yield_now().await;
                }
            })
        };
        for task in (0..READERS).map(|_| reader()).collect::<Vec<_>>() {
            task.await.expect("a reader doesn't panic");
        }
    });
}

/// Eight readers of one row that one task writes as fast as it can.
fn hot_row(desk: &Desk) -> Result<()> {
    let strict = desk.transactions(Mode::Strict)?;
    let writer = Arc::new(Writer {
        is_by_hand: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        written: [AtomicU64::new(0), AtomicU64::new(0)],
    });
    let writing = {
        let (writer, by_hand) = (writer.clone(), desk.by_hand.clone());
        desk.runtime.spawn(async move { writer.write(&strict, by_hand).await })
    };
    let ours = |key: i32| {
        writer.is_by_hand.store(false, Ordering::Relaxed);
        let stock = desk.stock.clone();
        readers(desk, move || {
            let stock = stock.clone();
            async move { black_box(stock.get(key).await.expect("both are up")).is_some() }
        });
    };
    let by_hand = || {
        writer.is_by_hand.store(true, Ordering::Relaxed);
        let by_hand = desk.by_hand.clone();
        readers(desk, move || {
            let by_hand = by_hand.clone();
            async move { black_box(by_hand.get(0).await).stock_id == 0 }
        });
    };
    let reads = (READERS * READS) as u64;
    let names =
        ["reads of a row that Strict writes all the time", "reads of a row that Strict writes; to disk"];
    desk.pair(names, "of one that nobody writes").run(|| ours(1), || ours(0), reads);
    let names = ["the same, beside the same by hand", "the same, beside the same by hand; to disk"];
    let before = desk.stock.stats();
    writer.written.iter().for_each(|written| written.store(0, Ordering::Relaxed));
    desk.pair(names, "moka, GET, SELECT, SET; DEL after COMMIT").run(by_hand, || ours(0), reads);
    let after = desk.stock.stats();
    let [strict, by_hand] = &writer.written;
    println!(
        "  {} writes by transaction meanwhile, {} by hand; of {} answers, {} from L1, {} from L2, {} loaded; {} loads",
        strict.load(Ordering::Relaxed),
        by_hand.load(Ordering::Relaxed),
        after.keys() - before.keys(),
        after.l1.total() - before.l1.total(),
        after.l2.total() - before.l2.total(),
        after.origin.total() - before.origin.total(),
        after.loads - before.loads,
    );
    writer.ended.store(true, Ordering::Relaxed);
    Ok(desk.runtime.block_on(writing)?)
}
