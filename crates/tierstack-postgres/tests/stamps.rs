//! What a load has seen, and what it keeps to itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use support::{Database, pool_of, xid_of};
use tierstack_core::record::{marks_of, stamp_of};
use tierstack_core::{
    BoxError, Cache, Channel, Entity, Invalidate, KeyFormat, L1, MemoryTier, Namespace, Query, Schema, Stamp,
    Tier, Token, Xid,
};
use tierstack_postgres::deadpool_postgres::Pool;
use tierstack_postgres::tokio_postgres::{Client, Row};
use tierstack_postgres::{FromRow, PgOrigin};
use tierstack_servers::Postgres;

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

const ITEMS: &str = "create table item (id int primary key, name text unique);
                     insert into item values (1, 'one'), (2, 'two')";

fn by_name() -> Query<Item, (String,)> {
    Query::one("by_name").param::<String>("name").build().unwrap()
}

/// A cache with both tiers, and what is in L2.
struct Rig {
    items: Cache<Item>,
    tier: Arc<MemoryTier>,
    origin: PgOrigin,
}

impl Rig {
    fn new(pool: &Pool) -> Self {
        let tier = Arc::new(MemoryTier::new(100));
        let namespace = Namespace::builder("t").l2_shared(tier.clone()).build().unwrap();
        let origin = PgOrigin::new(pool.clone());
        let items = namespace.cache::<Item>().l1(L1::capacity(100)).origin(origin.clone()).build().unwrap();
        Rig { items, tier, origin }
    }

    /// The stamp of a row's value in L2; `None` if there is no value, or it has none.
    fn stamp(&self, id: i32) -> Option<Stamp> {
        stamp_of(&self.tier.bytes(self.items.key_text(id).unwrap().as_bytes())?)
    }

    /// The stamps of all values in L2, which has no floors any more of what was found.
    fn stamps(&self) -> Vec<Stamp> {
        let records = self.tier.keys().into_iter().filter_map(|key| self.tier.bytes(&key));
        records.filter_map(|record| stamp_of(&record)).collect()
    }

    /// Neither tier has any of what was loaded.
    fn assert_empty(&self) {
        assert_eq!((self.stamps().len(), self.items.l1_len()), (0, 0));
        for record in self.tier.keys().into_iter().filter_map(|key| self.tier.bytes(&key)) {
            assert!(marks_of(&record).is_some(), "a value in L2");
        }
    }

    /// Marks a row with a transaction that may be under way.
    async fn mark(&self, id: i32, xid: Xid) {
        let format = KeyFormat::new("t", "item", None, &["id"], 1_024).unwrap();
        let key = format.wire(&[id]).remove(0).unwrap();
        let mut floor = Invalidate::finished(key, Token::from_bytes([7; 16]), Duration::from_secs(60));
        (floor.xids, floor.finished) = (vec![xid], false);
        let reply = self.tier.invalidate(&Channel::of("t"), &[floor]).await;
        assert!(reply.each[0].is_ok());
    }

    async fn name(&self, id: i32) -> String {
        self.items.require(id).await.unwrap().name.clone()
    }
}

async fn begin(client: &Client, id: i32) -> Xid {
    client.batch_execute("begin").await.unwrap();
    client.execute("update item set name = name || '!' where id = $1", &[&id]).await.unwrap();
    xid_of(client).await
}

/// Proves that rows, absences and answers to queries bear the snapshot in which they were read: it has seen who committed
/// before, and not who did after, nor who is under way.
#[tokio::test]
async fn every_load_is_stamped() {
    let database = Database::with(ITEMS);
    let rig = Rig::new(&database.pool(2));
    let (early, open, late) = (database.client().await, database.client().await, database.client().await);
    let early_xid = begin(&early, 1).await;
    let open_xid = begin(&open, 2).await;
    early.batch_execute("commit").await.unwrap();
    rig.items.objects_by_pks([1, 3]).await.unwrap();
    rig.items.one(&by_name().bind(("two".into(),))).await.unwrap().unwrap();
    assert!(rig.items.one(&by_name().bind(("none".into(),))).await.unwrap().is_none());
    let late_xid = begin(&late, 1).await;
    late.batch_execute("commit").await.unwrap();
    open.batch_execute("commit").await.unwrap();
    let stamps = rig.stamps();
    assert_eq!(stamps.len(), 5, "rows 1, 3 and 2, and two queries");
    for stamp in stamps {
        assert!(stamp.has_seen(&early_xid), "{stamp:?} {early_xid:?}");
        assert!(!stamp.has_seen(&open_xid) && !stamp.has_seen(&late_xid), "{stamp:?}");
        assert!(!stamp.has_seen(&Xid { system: early_xid.system ^ 1, ..early_xid }));
        assert!(!stamp.has_seen(&Xid { timeline: 2, ..early_xid }));
    }
}

/// Proves that a load which has not seen a marked transaction fills nothing, and one that has does.
#[tokio::test]
async fn a_load_fills_what_it_has_seen() {
    let database = Database::with(ITEMS);
    let rig = Rig::new(&database.pool(2));
    let writer = database.client().await;
    let xid = begin(&writer, 1).await;
    rig.mark(1, xid).await;
    assert_eq!(rig.name(1).await, "one");
    assert_eq!(rig.stamp(1), None, "the transaction is under way");
    writer.batch_execute("commit").await.unwrap();
    rig.items.evict_l1(1);
    assert_eq!(rig.name(1).await, "one!");
    assert!(rig.stamp(1).unwrap().has_seen(&xid));
}

/// Proves that a prepared transaction is under way to every load, though its session is gone: where it is marked, nothing fills
/// until another session has committed it.
#[tokio::test]
async fn a_prepared_transaction_is_under_way() {
    let database = Database::with(ITEMS);
    let rig = Rig::new(&database.pool(2));
    let (writer, other) = (database.client().await, database.client().await);
    let xid = begin(&writer, 1).await;
    rig.mark(1, xid).await;
    writer.batch_execute(&format!("prepare transaction '{}'", database.name)).await.unwrap();
    drop(writer);
    // A later one has ended: the snapshot goes beyond the prepared one, and lists it.
    other.batch_execute("update item set name = 'zwei' where id = 2").await.unwrap();
    for _ in 0..2 {
        assert_eq!(rig.name(1).await, "one");
        assert_eq!(rig.stamp(1), None, "the transaction is prepared");
        rig.items.evict_l1(1);
    }
    other.batch_execute(&format!("commit prepared '{}'", database.name)).await.unwrap();
    assert_eq!(rig.name(1).await, "one!");
    assert!(rig.stamp(1).unwrap().has_seen(&xid));
}

/// Proves that a snapshot is of before the rows: a statement that takes its time hasn't seen what commits meanwhile.
#[tokio::test]
async fn a_slow_load_claims_no_more_than_it_read() {
    let database = Database::with(
        "create table base (id int primary key, name text); insert into base values (1, 'one');
         create function wait() returns int language sql as
            'select pg_advisory_lock_shared(1); select pg_advisory_unlock_shared(1); select 1';
         create view item as select id, name from base where wait() = 1",
    );
    let rig = Rig::new(&database.pool(1));
    let (gate, writer, watcher) = (database.client().await, database.client().await, database.client().await);
    for _ in 0..3 {
        gate.batch_execute("select pg_advisory_lock(1)").await.unwrap();
        let items = rig.items.clone();
        let load = tokio::spawn(async move { items.require(1).await.unwrap().name.clone() });
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
        while watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        writer.batch_execute("begin; update base set name = name || '!'").await.unwrap();
        let xid = xid_of(&writer).await;
        writer.batch_execute("commit").await.unwrap();
        gate.batch_execute("select pg_advisory_unlock(1)").await.unwrap();
        let name = load.await.unwrap();
        let stamp = rig.stamp(1).unwrap();
        assert!(!stamp.has_seen(&xid), "{name} {stamp:?} {xid:?}");
        rig.items.invalidate([1]).await.unwrap();
    }
}

/// Proves that what is read inside a transaction which the pool's connection was left in is answered, and kept nowhere:
/// one that has written (it sees its own rows, and its snapshot counts itself as seen), and one that hasn't (its snapshot
/// may be of long ago).
#[tokio::test]
async fn nothing_is_kept_of_a_foreign_transaction() {
    let database = Database::with(ITEMS);
    for (begin, name) in [
        ("begin; update item set name = 'dirty' where id = 1", "dirty"),
        ("begin", "one"),
        ("begin isolation level repeatable read; select 1", "one"),
        ("begin read only", "one"),
    ] {
        let pool = database.pool(1);
        let rig = Rig::new(&pool);
        pool.get().await.unwrap().batch_execute(begin).await.unwrap();
        for _ in 0..3 {
            assert_eq!(rig.name(1).await, name, "{begin}");
            assert_eq!(rig.items.objects_by(&by_name(), [name]).await.unwrap()[0].as_ref().unwrap().id, 1);
            assert!(rig.items.get(3).await.unwrap().is_none());
            rig.assert_empty();
        }
        pool.get().await.unwrap().batch_execute("rollback").await.unwrap();
        assert_eq!(rig.name(1).await, "one");
        assert!(rig.stamp(1).is_some(), "{begin}");
    }
}

/// Proves that a connection left inside a failed transaction costs one load, and no more.
#[tokio::test]
async fn a_failed_transaction_is_not_given_back() {
    let database = Database::with(ITEMS);
    let pool = database.pool(1);
    let rig = Rig::new(&pool);
    let left = pool.get().await.unwrap();
    left.batch_execute("begin").await.unwrap();
    left.batch_execute("nonsense").await.unwrap_err();
    drop(left);
    let error = rig.items.get(1).await.unwrap_err();
    assert!(error.to_string().contains("inside a transaction that had failed"), "{error}");
    assert_eq!(rig.name(1).await, "one");
    assert!(rig.stamp(1).is_some());
}

/// Proves that a user who may not call a function of the stamp gets rows, which are kept, without one; that the refusal is
/// told; and that a foreign transaction is still seen.
#[tokio::test]
async fn a_refused_function_costs_the_stamp_alone() {
    let database = Database::with(ITEMS);
    let user = format!("{}_plain", database.name);
    database.psql(&format!("create role {user} login; grant select on item to {user}"));
    let url = database.url().replace("postgres://postgres@", &format!("postgres://{user}@"));
    let plain = Rig::new(&pool_of(&url, 1));
    assert_eq!(plain.name(1).await, "one");
    assert!(plain.stamp(1).is_some() && plain.origin.why_unstamped().is_none(), "no privilege is needed");

    database.psql("revoke execute on function pg_control_system() from public");
    let pool = pool_of(&url, 1);
    let rig = Rig::new(&pool);
    for id in [1, 2] {
        rig.items.require(id).await.unwrap();
        let key = rig.items.key_text(id).unwrap();
        let value = rig.tier.bytes(key.as_bytes()).unwrap();
        assert!(marks_of(&value).is_none() && stamp_of(&value).is_none(), "a value without a stamp");
    }
    let refusal = rig.origin.why_unstamped().unwrap();
    assert!(refusal.to_string().contains("grant") && refusal.to_string().contains("42501"), "{refusal}");
    pool.get().await.unwrap().batch_execute("begin").await.unwrap();
    rig.items.invalidate([1]).await.unwrap();
    assert_eq!(rig.name(1).await, "one");
    assert!(
        marks_of(&rig.tier.bytes(rig.items.key_text(1).unwrap().as_bytes()).unwrap_or_default()).is_none()
    );
    assert_eq!(rig.items.l1_len(), 1, "row 2 alone");
    drop((rig, plain, pool));
    database.psql(&format!(
        "grant execute on function pg_control_system() to public; drop owned by {user}; drop role {user}"
    ));
}

/// Proves that a load from a standby is answered and kept nowhere, however far it lags; that it is stamped once the standby
/// was promoted, on the connection that it had before; and that the new history's ids are others (PROTOCOL C7, C21).
#[tokio::test]
async fn nothing_is_kept_of_a_standby() {
    let (primary, standby) = tokio::task::spawn_blocking(|| {
        let primary = Postgres::start().unwrap();
        primary.psql("postgres", ITEMS).unwrap();
        let standby = primary.start_standby().unwrap();
        standby.psql("postgres", "select pg_wal_replay_pause()").unwrap();
        (primary, standby)
    })
    .await
    .unwrap();
    let (writer, connection) =
        tierstack_postgres::tokio_postgres::connect(primary.url(), tierstack_postgres::tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    let xid = begin(&writer, 1).await;
    writer.batch_execute("commit").await.unwrap();
    let pool = pool_of(standby.url(), 1);
    let rig = Rig::new(&pool);
    for _ in 0..3 {
        assert_eq!(rig.name(1).await, "one", "it lags");
        assert!(rig.items.one(&by_name().bind(("one".into(),))).await.unwrap().is_some());
        assert!(rig.items.get(3).await.unwrap().is_none());
        rig.assert_empty();
    }
    let (_primary, _standby) = tokio::task::spawn_blocking(move || {
        let end = primary.psql("postgres", "select pg_current_wal_insert_lsn()").unwrap();
        standby.psql("postgres", "select pg_wal_replay_resume()").unwrap();
        let has_all = format!("select pg_last_wal_replay_lsn() >= '{end}'");
        while standby.psql("postgres", &has_all).unwrap() != "t" {}
        assert_eq!(standby.psql("postgres", "select pg_promote()").unwrap(), "t");
        (primary, standby)
    })
    .await
    .unwrap();
    assert_eq!(rig.name(1).await, "one!");
    let stamp = rig.stamp(1).unwrap();
    assert_eq!(pool.status().size, 1, "the same connection");
    assert!(!stamp.has_seen(&xid), "an id of another timeline says nothing here");
    assert!(stamp.has_seen(&Xid { timeline: 2, ..xid }));
}
