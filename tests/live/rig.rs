//! The servers of a test: a Redis of its own, and a database of its own in the run's Postgres.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tests::{Film, steady};
use tierstack_core::{Cache, Namespace, NamespaceBuilder, Settings};
use tierstack_postgres::deadpool_postgres::{Config, Pool, PoolConfig, Runtime};
use tierstack_postgres::tokio_postgres::NoTls;
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::{Postgres, Redis};

/// A Redis that no other test speaks to, so that its statistics are this test's.
pub(crate) struct Rig {
    pub(crate) redis: Redis,
    pub(crate) pool: Pool,
    database: String,
}

/// One for all tests of the run; each has a database in it. It ends with the process.
fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(|| Postgres::from_env_or_start().expect("the tests need Postgres"))
}

impl Rig {
    /// Starts the Redis, and makes the database with an empty table of films.
    pub(crate) fn new() -> Self {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let postgres = postgres();
        postgres.require_statements().expect("the tests count statements");
        let database = format!("live_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
        postgres.create_database(&database).expect("a database of our own");
        let table = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; CREATE TABLE film \
             (film_id int PRIMARY KEY, title text NOT NULL UNIQUE, rating text NOT NULL, version bigint NOT NULL)";
        postgres.psql(&database, table).expect("an empty table");
        let pool = pool(&database, "test", PoolConfig::default());
        Rig { redis: Redis::start().expect("the tests need Redis"), pool, database }
    }

    /// Connections of a node's own, which Postgres knows by the name `node`.
    pub(crate) fn pool_of(&self, most: usize) -> Pool {
        pool(&self.database, "node", PoolConfig::new(most))
    }

    /// A node's namespace, whose requests to Redis may take as long as [`patient`] says. It sends a heartbeat a minute.
    pub(crate) fn shop(&self) -> NamespaceBuilder {
        let mut settings = RedisSettings::new(self.redis.url());
        settings.response_timeout = Duration::from_secs(20);
        Namespace::builder("shop").l2(RedisTier::new(settings).expect("the settings are right")).bus(steady())
    }

    /// Inserts rows.
    pub(crate) async fn insert(&self, films: &[Film]) {
        let client = self.pool.get().await.unwrap();
        for film in films {
            let Film { film_id, title, rating, version } = film;
            let insert = "INSERT INTO film VALUES ($1, $2, $3, $4)";
            client.execute(insert, &[film_id, title, rating, version]).await.unwrap();
        }
    }

    /// Begins anew with these rows. The keys go last: a refresh of the case before, still under way, has then either lost
    /// its right, or will be granted one and read what is there now.
    pub(crate) async fn begin_with(&self, films: &[Film]) {
        self.pool.get().await.unwrap().batch_execute("TRUNCATE film").await.unwrap();
        self.insert(films).await;
        self.redis.cli(&["FLUSHALL"]).unwrap();
    }

    /// How often a command was called, by the server's own count.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let statistics = self.redis.cli(&["INFO", "commandstats"]).unwrap();
        let prefix = format!("cmdstat_{command}:calls=");
        let line = statistics.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// How many statements that read the table of films Postgres ran in this database, by its own count.
    pub(crate) fn statements(&self) -> u64 {
        self.sum("calls")
    }

    /// How many rows they gave.
    pub(crate) fn rows(&self) -> u64 {
        self.sum("rows")
    }

    fn sum(&self, column: &str) -> u64 {
        let sum = format!(
            "SELECT coalesce(sum({column}), 0) FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid \
             WHERE datname = '{}' AND query LIKE 'SELECT%film%'",
            self.database
        );
        self.number(&sum)
    }

    /// The number that a statement finds, on a connection of its own.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        self.text(sql).trim().parse().unwrap()
    }

    /// The rows that a statement finds, a line each.
    pub(crate) fn text(&self, sql: &str) -> String {
        postgres().psql(&self.database, sql).unwrap()
    }

    /// Where the database is, for a process of its own.
    pub(crate) fn postgres_url(&self) -> String {
        postgres().url_for(&self.database)
    }

    /// From now on a statement that reads films takes this long: it reads first, and then sleeps.
    pub(crate) async fn slow_down(&self, by: Duration) {
        let view = format!(
            "ALTER TABLE film RENAME TO film_row; CREATE VIEW film AS WITH pause AS MATERIALIZED \
             (SELECT pg_sleep({})) SELECT film_row.* FROM pause CROSS JOIN film_row",
            by.as_secs_f64()
        );
        self.pool.get().await.unwrap().batch_execute(&view).await.unwrap();
    }
}

fn pool(database: &str, name: &str, limits: PoolConfig) -> Pool {
    let mut config = Config::new();
    config.url = Some(postgres().url_for(database));
    config.application_name = Some(name.to_owned());
    config.pool = Some(limits);
    config.create_pool(Some(Runtime::Tokio1), NoTls).expect("the address is right")
}

/// A node that has asked once, and hears: its connections are open, Redis knows its scripts, and nothing but what it is asked
/// is asked of the servers for a minute.
pub(crate) async fn warm(films: Cache<Film>) -> Cache<Film> {
    films.get(-1).await.unwrap();
    for _ in 0..2_000 {
        if films.namespace().bus_stats().unwrap().deaf_for.is_none() {
            return films;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a node did not hear within 10 s");
}

/// Settings that let a server take its time: what is counted must not depend on how busy the machine is.
pub(crate) fn patient() -> Settings {
    let mut settings = Settings::default();
    settings.lookup_timeout = Duration::from_secs(40);
    settings.l2_timeout = Duration::from_secs(10);
    settings
}
