//! One server for a test binary, and a database for each test.
#![allow(dead_code, reason = "each test binary takes what it needs")]

pub(crate) mod watched;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tierstack_core::{Cache, Xid};
use tierstack_postgres::deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tierstack_postgres::tokio_postgres::{Client, NoTls};
use tierstack_postgres::{PgEntity, PgOrigin};
use tierstack_servers::Postgres;

fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let postgres = Postgres::from_env_or_start().expect("a Postgres server");
        postgres.require_statements().expect("pg_stat_statements");
        postgres
    })
}

fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tierstack_postgres_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A database of its own; it is dropped with this value.
pub(crate) struct Database {
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn empty() -> Self {
        let name = fresh_name();
        server().create_database(&name).unwrap();
        Database { name }
    }

    /// An empty one, with tables and rows.
    pub(crate) fn with(sql: &str) -> Self {
        let database = Database::empty();
        database.psql(sql);
        database
    }

    /// A copy of the Pagila sample, which is loaded once.
    pub(crate) fn pagila() -> Self {
        static LOADED: OnceLock<String> = OnceLock::new();
        let template = LOADED.get_or_init(|| {
            let directory = std::env::var_os("TIERSTACK_DATA").expect(
                "TIERSTACK_DATA names the directory with pagila/pagila-schema.sql and pagila/pagila-data.sql: set it",
            );
            let directory = PathBuf::from(directory).join("pagila");
            let name = format!("{}_pagila", fresh_name());
            server().create_database(&name).unwrap();
            for file in ["pagila-schema.sql", "pagila-data.sql"] {
                server().load_file(&name, &directory.join(file)).unwrap();
            }
            name
        });
        let name = fresh_name();
        // One at a time: Postgres copies no database that somebody uses.
        static COPYING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _copying = COPYING.lock();
        server().psql("postgres", &format!("create database {name} template {template}")).unwrap();
        Database { name }
    }

    pub(crate) fn psql(&self, sql: &str) -> String {
        server().psql(&self.name, sql).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        server().url_for(&self.name)
    }

    pub(crate) fn pool(&self, size: usize) -> Pool {
        pool_of(&self.url(), size)
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) =
            tierstack_postgres::tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Waits until every connection has ended. What a connection scanned is counted when it ends, at the latest, and that
    /// is after its client has gone.
    pub(crate) async fn wait_until_unused(&self) {
        let others = "select count(*) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        while self.psql(others) != "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Forgets the statements that were counted here.
    pub(crate) fn reset_statements(&self) {
        self.psql("create extension if not exists pg_stat_statements");
        self.psql(&format!(
            "select pg_stat_statements_reset(0, (select oid from pg_database where datname = '{}'), 0)",
            self.name
        ));
    }

    /// How often statements that contain a text ran here.
    pub(crate) fn statements(&self, like: &str) -> u32 {
        let count = self.psql(&format!(
            "select coalesce(sum(calls), 0) from pg_stat_statements s join pg_database d on d.oid = s.dbid
             where d.datname = '{}' and query like '%{like}%' and query not like '%pg_stat_statements%'",
            self.name
        ));
        count.parse().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = server().psql("postgres", &format!("drop database if exists {} with (force)", self.name));
    }
}

pub(crate) fn pool_of(url: &str, size: usize) -> Pool {
    let manager = Manager::from_config(
        url.parse().unwrap(),
        NoTls,
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(20)))
        .create_timeout(Some(Duration::from_secs(20)))
        .build()
        .unwrap()
}

/// A cache without tiers: every lookup loads.
pub(crate) fn uncached<E: PgEntity>(pool: &Pool) -> Cache<E> {
    Cache::<E>::builder("test").unwrap().origin(PgOrigin::new(pool.clone())).build().unwrap()
}

/// The transaction that a connection is in, which gets an id by this.
pub(crate) async fn xid_of(client: &Client) -> Xid {
    let sql = "select pg_current_xact_id()::text, system_identifier,
               ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int from pg_control_system()";
    let row = client.query_one(sql, &[]).await.unwrap();
    Xid {
        id: row.get::<_, String>(0).parse().unwrap(),
        system: row.get::<_, i64>(1).cast_unsigned(),
        timeline: row.get::<_, i32>(2).cast_unsigned(),
    }
}
