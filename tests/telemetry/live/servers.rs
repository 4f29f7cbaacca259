//! A Redis and a Postgres of the test's own.

use std::time::Duration;

use tests::{Film, film, steady};
use tierstack::postgres::PgOrigin;
use tierstack::postgres::deadpool_postgres::{Config, Pool, Runtime};
use tierstack::postgres::tokio_postgres::NoTls;
use tierstack::redis::{RedisSettings, RedisTier};
use tierstack::{Cache, Namespace, NamespaceBuilder};
use tierstack_servers::{Postgres, Redis};

pub(crate) struct Servers {
    redis: Redis,
    postgres: Postgres,
    pub(crate) pool: Pool,
}

/// What the servers say they did.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) mget: u64,
    pub(crate) evalsha: u64,
    pub(crate) selects: u64,
}

const DATABASE: &str = "telemetry";

impl Servers {
    pub(crate) async fn new() -> Self {
        let postgres = Postgres::start().expect("the test needs Postgres");
        postgres.require_statements().expect("the test counts statements");
        postgres.create_database(DATABASE).expect("a database of our own");
        let table = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; CREATE TABLE film \
             (film_id int PRIMARY KEY, title text NOT NULL, rating text NOT NULL, version bigint NOT NULL)";
        postgres.psql(DATABASE, table).expect("an empty table");
        let mut config = Config::new();
        config.url = Some(postgres.url_for(DATABASE));
        let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).expect("the address is right");
        let client = pool.get().await.expect("a connection");
        for Film { film_id, title, rating, version } in (0..100).map(film) {
            let insert = "INSERT INTO film VALUES ($1, $2, $3, $4)";
            client.execute(insert, &[&film_id, &title, &rating, &version]).await.expect("a row");
        }
        drop(client);
        Servers { redis: Redis::start().expect("the test needs Redis"), postgres, pool }
    }

    /// It sends a heartbeat a minute.
    pub(crate) fn shop(&self) -> NamespaceBuilder {
        let mut settings = RedisSettings::new(self.redis.url());
        settings.response_timeout = Duration::from_secs(20);
        Namespace::builder("shop").l2(RedisTier::new(settings).expect("the settings are right")).bus(steady())
    }

    /// A node has filled and invalidated.
    pub(crate) async fn warm(&self) {
        let films: Cache<Film> =
            self.shop().build().unwrap().cache().origin(PgOrigin::new(self.pool.clone())).build().unwrap();
        films.get(99).await.unwrap();
        films.invalidate([99]).await.unwrap();
        films.namespace().shutdown().await;
    }

    pub(crate) fn port(&self) -> String {
        self.redis.port().to_string()
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) {
        let rename = format!("ALTER TABLE {from} RENAME TO {to}");
        self.pool.get().await.unwrap().batch_execute(&rename).await.unwrap();
    }

    pub(crate) fn counts(&self) -> Counts {
        let statistics = self.redis.cli(&["INFO", "commandstats"]).unwrap();
        let calls = |command: &str| -> u64 {
            let prefix = format!("cmdstat_{command}:calls=");
            let line = statistics.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
        };
        let sum = format!(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid \
             WHERE datname = '{DATABASE}' AND query LIKE 'SELECT%film%'"
        );
        let selects = self.postgres.psql(DATABASE, &sum).unwrap().trim().parse().unwrap();
        Counts { mget: calls("mget"), evalsha: calls("evalsha"), selects }
    }

    /// Waits until that is so of a cache.
    pub(crate) async fn wait_for(&self, films: &Cache<Film>, so: impl Fn(&Cache<Film>) -> bool) {
        for _ in 0..2_000 {
            if so(films) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not within 10 s: {:?}", films.stats());
    }
}
