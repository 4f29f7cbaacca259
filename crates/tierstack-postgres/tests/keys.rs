//! Keys of every type, and what hostile data do: nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod support;

use serde::{Deserialize, Serialize};
use support::{Database, uncached};
use tierstack_core::{BoxError, Entity, Query, Schema};
use tierstack_postgres::FromRow;
use tierstack_postgres::tokio_postgres::Row;
use uuid::Uuid;

/// A table with a key and a number.
macro_rules! table {
    ($name:ident = $table:literal: $($column:literal)+ as $pk:ty, $n:ident, $read:expr) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        struct $name($pk, i32);
        impl Entity for $name {
            type Pk = $pk;
            fn schema() -> Schema {
                Schema::table($table).pk([$($column),+]).columns([$($column),+, "n"])
            }
            fn pk(&self) -> $pk {
                self.0.clone()
            }
        }
        impl FromRow for $name {
            fn from_row($n: &Row) -> Result<Self, BoxError> {
                Ok($name($read, $n.try_get("n")?))
            }
        }
    };
}

table!(Text = "by_text": "key" as String, row, row.try_get("key")?);
table!(Varchar = "by_varchar": "key" as String, row, row.try_get("key")?);
table!(Citext = "by_citext": "key" as String, row, row.try_get("key")?);
table!(ById = "by_uuid": "key" as Uuid, row, row.try_get("key")?);
table!(Small = "by_int4": "key" as i16, row, i16::try_from(row.try_get::<_, i32>("key")?)?);
table!(Wide = "by_int4": "key" as i64, row, row.try_get::<_, i32>("key")?.into());
table!(Domain = "by_domain": "key" as i64, row, row.try_get("key")?);
table!(Two = "by_two": "a" "b" as (i32, i64), row, (row.try_get("a")?, row.try_get::<_, i32>("b")?.into()));
table!(Three = "by_three": "shop" "id" "lang" as (Uuid, i16, String), row,
    (row.try_get("shop")?, row.try_get("id")?, row.try_get("lang")?));

/// An enum as a key is read as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mood(String, i32);
impl Entity for Mood {
    type Pk = String;
    fn schema() -> Schema {
        Schema::table("by_mood").pk(["key"]).column_as("key", "text").columns(["n"])
    }
    fn pk(&self) -> String {
        self.0.clone()
    }
}
impl FromRow for Mood {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Mood(row.try_get("key")?, row.try_get("n")?))
    }
}

const HOSTILE: [&str; 12] = [
    "'; DROP TABLE by_text; --",
    "' OR '1'='1",
    "\"; DROP TABLE by_text; --",
    r"\'; DROP TABLE by_text; --",
    "{a,b}",
    "NULL",
    "$1",
    "%",
    "",
    " ",
    "naïve 电影 🎬",
    "{\"\\\",}",
];

/// Proves that text is data whatever is in it: as a key, as a secondary key, in a list.
#[tokio::test]
async fn hostile_text_is_only_data() {
    let database = Database::with(
        "create table by_text (key text primary key, n int not null, slug varchar(2000000) unique)",
    );
    let client = database.client().await;
    let megabyte = "'\"\\;é€".repeat(1 << 17);
    let keys: Vec<&str> = HOSTILE.iter().copied().chain([megabyte.get(..60_003).unwrap()]).collect();
    // An index holds no megabyte.
    database.psql("alter table by_text drop constraint by_text_pkey; alter table by_text drop constraint by_text_slug_key");
    for (n, key) in (0..).zip(&keys) {
        client.execute("insert into by_text values ($1::text, $2, $1)", &[key, &n]).await.unwrap();
    }
    let mut settings = tierstack_core::Settings::default();
    settings.max_key_bytes = 1 << 16;
    let rows = tierstack_core::Cache::<Text>::builder("t").unwrap();
    let origin = tierstack_postgres::PgOrigin::new(database.pool(2));
    let rows = rows.origin(origin).settings(settings).build().unwrap();
    // A NUL is in no row, and costs the others nothing.
    let asked: Vec<String> =
        keys.iter().map(ToString::to_string).chain(["a\0b".into(), "\0".into()]).collect();
    let expected: Vec<Option<i32>> = (0..).map(Some).take(keys.len()).chain([None, None]).collect();
    let numbers = |found: Vec<Option<std::sync::Arc<Text>>>| -> Vec<Option<i32>> {
        found.into_iter().map(|row| row.map(|row| row.1)).collect()
    };
    assert_eq!(numbers(rows.objects_by_pks(asked.clone()).await.unwrap()), expected);
    assert_eq!(rows.get("\0").await.unwrap(), None);

    let by_slug = Query::<Text>::one("by_slug").param::<String>("slug").build().unwrap();
    assert_eq!(numbers(rows.objects_by(&by_slug, asked.clone()).await.unwrap()), expected);
    let list = Query::<Text>::list("list").param::<String>("slug").build().unwrap();
    for (key, n) in asked.into_iter().zip(expected) {
        let found = rows.list(&list.bind((key,))).await.unwrap();
        assert_eq!(
            found.iter().map(|row| Some(row.1)).collect::<Vec<_>>(),
            n.map(Some).into_iter().collect::<Vec<_>>()
        );
    }
    // No key may be that long, but a filter may.
    assert!(megabyte.len() > 1 << 20);
    client.execute("insert into by_text values ('long', 99, $1)", &[&megabyte]).await.unwrap();
    let long = Query::<Text>::list("long").fixed("slug", megabyte.as_str()).build().unwrap();
    assert_eq!(*rows.pks(&long.bind(())).await.unwrap(), ["long"]);
    let longer =
        Query::<Text>::list("longer").fixed("slug", format!("{megabyte}'").as_str()).build().unwrap();
    assert!(rows.pks(&longer.bind(())).await.unwrap().is_empty());
    assert_eq!(database.psql("select count(*) from by_text"), (keys.len() + 1).to_string());
}

/// Proves that names with quotes in them stay names, from the key to the order of a list.
#[tokio::test]
async fn hostile_names_are_only_names() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Odd(i32, String);
    const TABLE: &str = "t\"; DROP TABLE victim; --";
    const KEY: &str = "k\" = 1 OR \"k";
    const TEXT: &str = "naïve '\"\"' 电影";
    impl Entity for Odd {
        type Pk = i32;
        fn schema() -> Schema {
            Schema::table(TABLE).in_schema("s\".\"x").pk([KEY]).columns([KEY]).column_as(TEXT, "my\"type")
        }
        fn pk(&self) -> i32 {
            self.0
        }
    }
    impl FromRow for Odd {
        fn from_row(row: &Row) -> Result<Self, BoxError> {
            Ok(Odd(row.try_get(KEY)?, row.try_get(TEXT)?))
        }
    }
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (table, key, text) = (quoted(TABLE), quoted(KEY), quoted(TEXT));
    let outer = quoted("s\".\"x");
    let database = Database::with(&format!(
        "create table victim (); create schema {outer}; create domain {} as text;
         create table {outer}.{table} ({key} int primary key, {text} text);
         insert into {outer}.{table} values (1, 'a'), (2, 'b'), (3, 'c')",
        quoted("my\"type"),
    ));
    let rows = uncached::<Odd>(&database.pool(2));
    assert_eq!(*rows.require(1).await.unwrap(), Odd(1, "a".into()));
    assert!(rows.get(4).await.unwrap().is_none());
    let by_text = Query::<Odd>::one("one").param::<String>(TEXT).fixed(KEY, 2).build().unwrap();
    assert_eq!(rows.objects_by(&by_text, ["b", "c"]).await.unwrap()[0].as_ref().unwrap().0, 2);
    let list = Query::<Odd>::list("list").order_by_descending(KEY).build().unwrap();
    assert_eq!(*rows.pks(&list.bind(())).await.unwrap(), [3, 2, 1]);
    database.psql("select * from victim");
}

/// Proves that keys of each type find their rows, and absent ones none, in batches.
#[tokio::test]
async fn keys_of_every_type_find_their_rows() {
    let database = Database::with(
        "create extension citext;
         create type mood as enum ('ok', 'glum');
         create domain positive as bigint check (value > 0);
         create table by_varchar (key varchar(20) primary key, n int not null);
         create table by_citext (key citext primary key, n int not null);
         create table by_mood (key mood primary key, n int not null);
         create table by_uuid (key uuid primary key, n int not null);
         create table by_int4 (key int4 primary key, n int not null);
         create table by_domain (key positive primary key, n int not null);
         create table by_three (shop uuid, id int2, lang varchar(2), n int not null, primary key (shop, id, lang));
         insert into by_varchar values ('a', 1), ('b', 2);
         insert into by_citext values ('a', 1), ('b', 2);
         insert into by_mood values ('ok', 1), ('glum', 2);
         insert into by_uuid values ('00000000-0000-0000-0000-000000000001', 1), ('00000000-0000-0000-0000-000000000002', 2);
         insert into by_int4 values (1, 1), (2, 2), (-32768, 3);
         insert into by_domain values (1, 1), (1099511627776, 2);
         insert into by_three select '00000000-0000-0000-0000-000000000001', id, lang, 1 from generate_series(1, 3) id, unnest(array['en', 'de']) lang",
    );
    let pool = database.pool(2);
    macro_rules! found {
        ($entity:ty: $($key:expr),+) => {{
            let rows = uncached::<$entity>(&pool);
            let keys: Vec<<$entity as Entity>::Pk> = vec![$($key.into()),+];
            let found = rows.objects_by_pks(keys.clone()).await.unwrap();
            for (key, row) in keys.iter().zip(&found) {
                assert!(row.as_ref().is_none_or(|row| row.pk() == *key), "{row:?} for {key:?}");
            }
            found.into_iter().map(|row| row.is_some()).collect::<Vec<_>>()
        }};
    }
    let id = Uuid::from_u128;
    assert_eq!(found!(Varchar: "b", "c", "a", "a\0"), [true, false, true, false]);
    // Equal to Postgres, another key to us: absent, and no error for the others.
    assert_eq!(found!(Citext: "b", "A", "a", "B", "c"), [true, false, true, false, false]);
    assert_eq!(found!(Citext: "b", "A", "c"), [true, false, false]);
    assert_eq!(found!(Mood: "glum", "ok"), [true, true]);
    assert_eq!(found!(ById: id(2), id(3), id(1)), [true, false, true]);
    assert_eq!(found!(Small: 2i16, 3i16, -32768i16), [true, false, true]);
    // One that no int4 holds costs the others nothing.
    assert_eq!(found!(Wide: 2i64, 1i64 << 40, i64::MIN, 1i64), [true, false, false, true]);
    assert_eq!(found!(Domain: 1i64, 2i64, 1i64 << 40, -5i64), [true, false, true, false]);
    let three = |n: u128, id: i16, lang: &str| (Uuid::from_u128(n), id, lang.to_owned());
    assert_eq!(
        found!(Three: three(1, 2, "de"), three(2, 2, "de"), three(1, 4, "de"), three(1, 2, "xx"), three(1, 2, "d\0"), three(1, 1, "en")),
        [true, false, false, false, false, true]
    );
}

/// Proves that columns which Postgres compares in its own way are compared in that way.
#[tokio::test]
async fn secondary_keys_are_compared_as_the_column_says() {
    let database = Database::with(
        "create extension citext;
         create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         create domain handle as citext;
         create table by_int4 (key int4 primary key, n int not null, email citext, handle handle unique, code char(5), name text collate nocase, id uuid, flag bool, o oid);
         insert into by_int4 values
             (1, 1, 'Ann@x', 'Ann', 'ab', 'Zoë', '00000000-0000-0000-0000-000000000001', true, 4000000000),
             (2, 2, 'bob@x', 'bob', 'cd', 'max', '00000000-0000-0000-0000-000000000002', false, 7),
             (3, 3, 'BOB@x', 'cat', 'ef', 'MAX', null, null, null)",
    );
    let rows = uncached::<Wide>(&database.pool(2));
    let text = |column: &str| Query::<Wide>::one(column).param::<String>(column).build().unwrap();
    let ids = |found: Vec<Option<std::sync::Arc<Wide>>>| -> Vec<Option<i64>> {
        found.into_iter().map(|row| row.map(|row| row.0)).collect()
    };
    let found = rows.objects_by(&text("email"), ["ann@X", "ANN@x", "none"]).await.unwrap();
    assert_eq!(ids(found), [Some(1), Some(1), None]);
    // One is found as it is written; the other is found all the same.
    let found = rows.objects_by(&text("email"), ["Ann@x", "ann@X", "none"]).await.unwrap();
    assert_eq!(ids(found), [Some(1), Some(1), None]);
    rows.one(&text("email").bind(("bOb@x".into(),))).await.unwrap_err();
    let found = rows.objects_by(&text("handle"), ["ann", "BOB", "Bob", "none"]).await.unwrap();
    assert_eq!(ids(found), [Some(1), Some(2), Some(2), None]);
    let found = rows.objects_by(&text("code"), ["ab", "cd   ", "none", "x"]).await.unwrap();
    assert_eq!(ids(found), [Some(1), Some(2), None, None]);
    let found = rows.objects_by(&text("name"), ["zoë", "ZOË", "none"]).await.unwrap();
    assert_eq!(ids(found), [Some(1), Some(1), None]);
    rows.one(&text("name").bind(("max".into(),))).await.unwrap_err();

    let by_id = Query::<Wide>::one("id").param::<Uuid>("id").build().unwrap();
    let found = rows.objects_by(&by_id, [2, 3].map(Uuid::from_u128)).await.unwrap();
    assert_eq!(ids(found), [Some(2), None]);
    let by_flag = Query::<Wide>::one("flag").param::<bool>("flag").build().unwrap();
    assert_eq!(ids(rows.objects_by(&by_flag, [false, true]).await.unwrap()), [Some(2), Some(1)]);
    let by_oid = Query::<Wide>::one("o").param::<i64>("o").build().unwrap();
    let found = rows.objects_by(&by_oid, [4_000_000_000_i64, 1 << 40, -1, 7]).await.unwrap();
    assert_eq!(ids(found), [Some(1), None, None, Some(2)]);
    let by_number = Query::<Wide>::one("n").param::<i64>("n").build().unwrap();
    let found = rows.objects_by(&by_number, [3, 1 << 40, i64::MIN, 1]).await.unwrap();
    assert_eq!(ids(found), [Some(3), None, None, Some(1)]);
}

/// Proves that batches by key read no whole table, whatever the width of the column and the number of columns, and
/// whichever plan Postgres takes.
#[tokio::test]
async fn batches_by_key_use_the_index() {
    for plans in ["force_custom_plan", "force_generic_plan"] {
        let database = Database::with(
            "create table by_int4 (key int4 primary key, n int not null);
             create table by_varchar (key varchar(20) primary key, n int not null);
             create table by_two (a int4, b int4, n int not null, primary key (a, b));
             insert into by_int4 select i, i from generate_series(1, 100000) i;
             insert into by_varchar select i, i from generate_series(1, 100000) i;
             insert into by_two select i % 100, i, i from generate_series(1, 100000) i;
             analyze",
        );
        database.wait_until_unused().await;
        database.psql("select pg_stat_reset()");
        database.psql(&format!("alter database {} set plan_cache_mode = {plans}", database.name));
        let pool = database.pool(1);
        let (wide, text, two) = (uncached::<Wide>(&pool), uncached::<Varchar>(&pool), uncached::<Two>(&pool));
        for count in [1, 2, 10, 100] {
            let keys = (0..count).map(|n| n * 100 + 1);
            let found = wide.objects_by_pks(keys.clone().map(i64::from)).await.unwrap();
            assert!(found.iter().all(Option::is_some));
            let found = text.objects_by_pks(keys.clone().map(|key| key.to_string())).await.unwrap();
            assert!(found.iter().all(Option::is_some));
            let found = two.objects_by_pks(keys.map(|key| (1, i64::from(key)))).await.unwrap();
            assert!(found.iter().all(Option::is_some));
        }
        drop((wide, text, two, pool));
        database.wait_until_unused().await;
        let scans = database.psql(
            "select relname, seq_scan, idx_scan > 0 from pg_stat_user_tables
             where idx_scan > 0 or seq_scan > 0 order by relname",
        );
        assert_eq!(scans, "by_int4|0|t\nby_two|0|t\nby_varchar|0|t", "{plans}");
    }
}
