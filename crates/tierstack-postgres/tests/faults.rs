//! What fails is an error with its cause, and the next load works again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod support;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use support::{Database, pool_of, uncached};
use tierstack_core::{BoxError, Cache, Entity, Error, ErrorKind, Query, Schema};
use tierstack_postgres::tokio_postgres::Row;
use tierstack_postgres::tokio_postgres::error::SqlState;
use tierstack_postgres::{FromRow, PgEntity, PgOrigin, deadpool_postgres, tokio_postgres};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    id: i32,
    name: String,
}

impl Entity for Item {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("item").pk(["id"]).columns(["id", "name"])
    }
    fn pk(&self) -> i32 {
        self.id
    }
}

impl FromRow for Item {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Item { id: row.try_get("id")?, name: row.try_get("name")? })
    }
}

fn items() -> Database {
    Database::with(
        "create table item (id int primary key, name text, slug text unique, size int not null default 1);
         insert into item values (1, 'one', 'i', 1), (2, 'two', 'ii', 2)",
    )
}

fn by_slug() -> Query<Item, (String,)> {
    Query::one("by_slug").param::<String>("slug").build().unwrap()
}

fn by_size() -> Query<Item, (i64,)> {
    Query::list("by_size").param::<i64>("size").build().unwrap()
}

fn code(error: &Error) -> Option<&SqlState> {
    assert_eq!(error.kind(), ErrorKind::Origin, "{error:?}");
    error.downcast_ref::<tokio_postgres::Error>().expect("the client's error below ours").code()
}

/// Begins a load while the table is locked, and gives up on it once Postgres has it wait, or when `then` has happened.
async fn locked<T>(
    database: &Database,
    load: impl Future<Output = T>,
    then: impl AsyncFnOnce(),
) -> Option<T> {
    let mut other = database.client().await;
    let lock = other.transaction().await.unwrap();
    lock.batch_execute("lock table item").await.unwrap();
    let mut load = std::pin::pin!(load);
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let watcher = database.client().await;
    while watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(1), &mut load).await {
            return Some(answer);
        }
    }
    then().await;
    tokio::time::timeout(Duration::from_millis(500), load).await.ok()
}

/// Proves that a statement which Postgres gives up is an error, and no absence.
#[tokio::test]
async fn a_statement_timeout_is_the_origins_error() {
    let database = items();
    database.psql(&format!("alter database {} set statement_timeout = '100ms'", database.name));
    let items = uncached::<Item>(&database.pool(1));
    let error = locked(&database, items.get(1), async || ()).await.unwrap().unwrap_err();
    assert_eq!(code(&error), Some(&SqlState::QUERY_CANCELED));
    assert!(error.to_string().contains("statement_timeout"), "{error}");
    assert_eq!(items.require(1).await.unwrap().name, "one");
}

/// Proves that a connection which dies under a load costs that load alone.
#[tokio::test]
async fn a_terminated_backend_is_replaced() {
    let database = items();
    let items = uncached::<Item>(&database.pool(1));
    let kill = async || {
        database.psql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
    };
    let error = locked(&database, items.get(1), kill).await.unwrap().unwrap_err();
    assert!(matches!(code(&error), None | Some(&SqlState::ADMIN_SHUTDOWN)), "{error:?}");
    assert!(error.to_string().contains("try again"), "{error}");
    assert_eq!(items.require(1).await.unwrap().name, "one");
    let by_slug = by_slug().bind(("ii".into(),));
    let error = locked(&database, items.one(&by_slug), kill).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert_eq!(items.one(&by_slug).await.unwrap().unwrap().id, 2);
}

/// Proves that a dropped load leaves its connection fit for the next one, and nobody's rows to another.
#[tokio::test]
async fn a_dropped_load_leaves_a_clean_connection() {
    let database = items();
    let pool = database.pool(1);
    let items = uncached::<Item>(&pool);
    let by_size = by_size().bind((2,));
    let none = async || ();
    for _ in 0..3 {
        assert!(locked(&database, items.get(1), none).await.is_none(), "dropped while Postgres works on it");
        assert_eq!(items.require(2).await.unwrap().name, "two");
        assert!(locked(&database, items.list(&by_size), none).await.is_none());
        assert_eq!(*items.pks(&by_size).await.unwrap(), [2]);
    }
    for micros in 0..200 {
        let load = tokio::time::timeout(Duration::from_micros(micros * 5), items.list(&by_size));
        let _ = load.await;
        assert_eq!(items.require(1).await.unwrap().name, "one");
    }
    assert_eq!(pool.status().size, 1, "the same connection all the time");
}

/// Proves that each way to get no connection is an error that says which.
#[tokio::test]
async fn no_connection_is_the_origins_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pool = pool_of(&format!("postgres://postgres@127.0.0.1:{port}/postgres"), 1);
    let items = uncached::<Item>(&pool);
    let error = items.get(1).await.unwrap_err();
    assert_eq!(code(&error), None);
    assert!(error.to_string().contains("no connection could be opened"), "{error}");
    code(&items.list(&by_size().bind((2,))).await.unwrap_err());

    let database = items_and_pool_of_one();
    let held = database.1.get().await.unwrap();
    let items = uncached::<Item>(&database.1);
    let error = items.get(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert!(error.downcast_ref::<deadpool_postgres::PoolError>().is_some());
    assert!(error.to_string().contains("raise the size of the pool"), "{error}");
    drop(held);
    items.require(1).await.unwrap();
    database.1.close();
    let error = items.get(1).await.unwrap_err();
    assert!(error.to_string().contains("the pool is closed"), "{error}");
}

fn items_and_pool_of_one() -> (Database, deadpool_postgres::Pool) {
    let database = items();
    let manager = deadpool_postgres::Manager::new(database.url().parse().unwrap(), tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager)
        .max_size(1)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_millis(50)))
        .build()
        .unwrap();
    (database, pool)
}

/// Proves that a table altered between two loads is read as it is, on a connection that knew it before.
#[tokio::test]
async fn a_table_may_be_altered_between_loads() {
    let database = items();
    let items = uncached::<Item>(&database.pool(1));
    let whole = async |items: &Cache<Item>| {
        let row = items.require(1).await?;
        assert_eq!(row.name, "one");
        assert_eq!(items.one(&by_slug().bind(("ii".into(),))).await?.unwrap().id, 2);
        assert_eq!(*items.pks(&by_size().bind((2,))).await?, [2]);
        Ok::<_, Error>(())
    };
    whole(&items).await.unwrap();
    for change in [
        "alter table item add column more text",
        "alter table item drop column more",
        "alter table item alter column name type varchar(100)",
        "alter table item alter column slug type varchar(100)",
        "alter table item alter column id type bigint; alter table item alter column id type int",
        "alter table item rename to old; create table item as select * from old",
    ] {
        database.psql(change);
        whole(&items).await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
    }
    // What the column's old type couldn't hold has a row now.
    assert!(items.pks(&by_size().bind((1 << 40,))).await.unwrap().is_empty());
    database.psql(
        "alter table item alter column size type bigint; update item set size = 1::int8 << 40 where id = 1",
    );
    assert_eq!(*items.pks(&by_size().bind((1 << 40,))).await.unwrap(), [1]);
    // A parameter that was right for the old type, and is for the new one.
    database.psql("alter table item alter column size type text using 'x'");
    let error = items.pks(&by_size().bind((2,))).await.unwrap_err();
    assert!(error.to_string().contains("size"), "{error}");
    database.psql("alter table item alter column size type smallint using 2");
    assert_eq!(items.pks(&by_size().bind((2,))).await.unwrap().len(), 2);

    database.psql("alter table item drop column name");
    let error = items.get(1).await.unwrap_err();
    assert_eq!(code(&error), Some(&SqlState::UNDEFINED_COLUMN));
    assert!(error.to_string().contains("name") && error.to_string().contains("schema"), "{error}");
    database.psql("alter table item add column name text default 'back'");
    assert_eq!(items.require(1).await.unwrap().name, "back");
}

/// Proves that a row which can't be read is an error that names its column, and no absence.
#[tokio::test]
async fn a_row_that_cannot_be_read_names_its_column() {
    let database = items();
    let items = uncached::<Item>(&database.pool(1));
    database.psql("update item set name = null where id = 1");
    let error = items.get(1).await.unwrap_err();
    assert_eq!(code(&error), None);
    assert!(error.to_string().contains("\"name\" of type text"), "{error}");
    database.psql("alter table item alter column name type bytea using ''");
    let error = items.get(1).await.unwrap_err();
    assert!(error.to_string().contains("\"name\" of type bytea"), "{error}");
    // A key that is null, in a table without a primary key.
    database.psql("alter table item drop constraint item_pkey; alter table item alter column id drop not null; insert into item (id, name, slug) values (null, '', 'none')");
    let error = items.one(&by_slug().bind(("none".into(),))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert!(error.to_string().contains("\"id\""), "{error}");
    // And one that no i32 holds.
    database.psql("alter table item alter column id type bigint; update item set id = 1::int8 << 40 where slug = 'none'");
    let error = items.one(&by_slug().bind(("none".into(),))).await.unwrap_err();
    assert!(error.to_string().contains("\"id\" of type int8"), "{error}");
}

/// An item as a composite key finds it, whose columns stand apart, or side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sized<const APART: bool> {
    id: i32,
    size: i32,
    name: String,
}

impl<const APART: bool> Entity for Sized<APART> {
    type Pk = (i32, i32);
    fn schema() -> Schema {
        let columns = if APART { ["id", "rank", "name", "size"] } else { ["name", "id", "size", "rank"] };
        Schema::table("item").pk(["id", "size"]).columns(columns)
    }
    fn pk(&self) -> (i32, i32) {
        (self.id, self.size)
    }
}

impl<const APART: bool> FromRow for Sized<APART> {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Sized { id: row.try_get("id")?, size: row.try_get("size")?, name: row.try_get("name")? })
    }
}

/// Proves that a row which can't be read costs its key alone, if it can be told whose it is, and else no key is taken for
/// absent.
#[tokio::test]
async fn a_row_that_cannot_be_read_costs_its_key() {
    async fn outcomes<E: PgEntity + Clone + Sync>(
        database: &Database,
        pks: Vec<E::Pk>,
    ) -> Vec<Result<Option<()>, Error>> {
        let items = uncached::<E>(&database.pool(1));
        let failed = items.objects_by_pks(pks).await.err().unwrap();
        assert_eq!((items.stats().loads, items.stats().failed_loads), (1, 1));
        failed.into_outcomes().into_iter().map(|outcome| outcome.map(|row| row.map(drop))).collect()
    }
    let database = items();
    database.psql(
        "update item set name = null where id = 1; alter table item add column rank int not null default 7",
    );
    let pks = || vec![(3, 1), (2, 2), (1, 1)];
    for outcomes in
        [outcomes::<Item>(&database, vec![3, 2, 1]).await, outcomes::<Sized<false>>(&database, pks()).await]
    {
        assert!(matches!(outcomes[..], [Ok(None), Ok(Some(())), Err(_)]), "{outcomes:?}");
        let error = outcomes[2].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Origin);
        assert!(error.to_string().contains("\"name\" of type text"), "{error}");
    }
    let apart = outcomes::<Sized<true>>(&database, pks()).await;
    assert!(apart.iter().all(Result::is_err), "{apart:?}");
    // A text finds its row in any case, and another key's row is nobody's failure.
    database.psql("create extension citext; alter table item alter column slug type citext");
    let slugged = uncached::<Slugged>(&database.pool(1));
    let found = slugged.objects_by_pks(["I", "ii"]).await.unwrap();
    assert!(matches!(&found[..], [None, Some(_)]), "{found:?}");
}

/// Proves that a query which Postgres doesn't take, and one whose row's key can't be read, cost those who ask it alone,
/// though its load is others', too.
#[tokio::test]
async fn a_wrong_query_costs_no_other() {
    let database = items();
    database.psql(
        "create type kind as enum ('a', 'b'); alter table item add column kind kind not null default 'a'",
    );
    let items = uncached::<Item>(&database.pool(1));
    let two = Query::<Item>::one("two").param::<String>("slug").param::<i32>("size").build().unwrap();
    let label = Query::<Item>::one("label").param::<String>("kind").param::<i32>("size").build().unwrap();
    let wrong = Query::<Item>::one("wrong").param::<String>("size").build().unwrap();
    let gone = Query::<Item>::one("gone").param::<i32>("nowhere").build().unwrap();
    let (slug, two) = (by_slug().bind(("i".into(),)), two.bind(("ii".into(), 2)));
    let (label, wrong, gone) = (label.bind(("c".into(), 1)), wrong.bind(("x".into(),)), gone.bind((1,)));
    let (slug, two, label, wrong, gone) = tokio::join!(
        items.one(&slug),
        items.one(&two),
        items.one(&label),
        items.one(&wrong),
        items.one(&gone)
    );
    assert_eq!((slug.unwrap().unwrap().id, two.unwrap().unwrap().id), (1, 2));
    assert_eq!(code(&label.unwrap_err()), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(code(&gone.unwrap_err()), Some(&SqlState::UNDEFINED_COLUMN));
    let stats = items.stats();
    assert_eq!((stats.loads, stats.failed_loads), (2, 1), "of the queries, and of the rows");

    database.psql(
        "alter table item drop constraint item_pkey; alter table item alter column id drop not null; \
         insert into item (id, name, slug) values (null, '', 'none')",
    );
    for slug in ["text", "citext"] {
        database.psql(&format!(
            "create extension if not exists citext; alter table item alter column slug type {slug}"
        ));
        let failed = items.objects_by(&by_slug(), ["i", "none", "what", "ii"]).await.unwrap_err();
        let outcomes = failed.into_outcomes();
        assert!(matches!(outcomes[..], [Ok(Some(_)), Err(_), Ok(None), Ok(Some(_))]), "{outcomes:?}");
        assert!(outcomes[1].as_ref().unwrap_err().to_string().contains("\"id\""), "{outcomes:?}");
    }
}

/// An item by its slug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slugged {
    slug: String,
    name: String,
}

impl Entity for Slugged {
    type Pk = String;
    fn schema() -> Schema {
        Schema::table("item").pk(["slug"]).columns(["slug", "name"])
    }
    fn pk(&self) -> String {
        self.slug.clone()
    }
}

impl FromRow for Slugged {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Slugged { slug: row.try_get("slug")?, name: row.try_get("name")? })
    }
}

/// Proves that what a user may not read is an error that says what to grant.
#[tokio::test]
async fn a_missing_right_is_the_origins_error() {
    let database = items();
    let user = format!("{}_reader", database.name);
    database.psql(&format!("create role {user} login"));
    let url = database.url().replace("postgres://postgres@", &format!("postgres://{user}@"));
    let items = Cache::<Item>::builder("t").unwrap().origin(PgOrigin::new(pool_of(&url, 1))).build().unwrap();
    let error = items.get(1).await.unwrap_err();
    database.psql(&format!("drop role {user}"));
    assert_eq!(code(&error), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    assert!(error.to_string().contains("grant select"), "{error}");
}
