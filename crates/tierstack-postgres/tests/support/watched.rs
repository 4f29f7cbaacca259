//! A tier in memory that notes what it is told, and two nodes over it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tierstack_core::record::{marks_of, stamp_of};
use tierstack_core::{
    BoxError, BoxFuture, Cache, Channel, Clock, Entity, Fill, Filled, Invalidate, Invalidated, L1, LeaseFor,
    Leased, MemoryTier, Namespace, Reply, Schema, Stamp, Tier, WireKey, WriteSettings, Xid,
};
use tierstack_postgres::deadpool_postgres::Pool;
use tierstack_postgres::tokio_postgres::Row;
use tierstack_postgres::{FromRow, PgOrigin};

use super::Database;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: i32,
    pub(crate) name: String,
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

/// A COMMIT after an update waits while somebody holds lock 7.
pub(crate) const ITEMS: &str = "
    create table item (id int primary key, name text not null);
    insert into item values (1, 'one'), (2, 'two'), (3, 'three');
    create function hold() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock_shared(7); return null; end';
    create constraint trigger hold after update on item deferrable initially deferred
        for each row execute function hold();";

/// One mark, as the tier was told of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) xids: Vec<Xid>,
    pub(crate) finished: bool,
    pub(crate) keys: usize,
}

/// What happens when the tier is told of a mark, before it takes it.
type OnMark = Box<dyn FnMut() + Send>;

pub(crate) struct WatchedTier {
    pub(crate) inner: MemoryTier,
    told: Mutex<Vec<Told>>,
    on_mark: Mutex<Option<OnMark>>,
}

impl WatchedTier {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let inner = MemoryTier::with_clock(1_000, clock);
        Arc::new(WatchedTier { inner, told: Mutex::default(), on_mark: Mutex::default() })
    }

    pub(crate) fn on_mark(&self, then: impl FnMut() + Send + 'static) {
        *self.on_mark.lock().unwrap() = Some(Box::new(then));
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many marks of writes that may be under way it was told of.
    pub(crate) fn begun(&self) -> usize {
        self.told().iter().filter(|told| !told.finished).count()
    }

    pub(crate) fn finished(&self) -> Vec<Told> {
        self.told().into_iter().filter(|told| told.finished).collect()
    }
}

impl Tier for WatchedTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<bytes::Bytes>>> {
        self.inner.read(keys)
    }
    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.inner.lease(leases)
    }
    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.inner.fill(fills)
    }
    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        asks: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        Box::pin(async move {
            if let Some(then) = &mut *self.on_mark.lock().unwrap() {
                then();
            }
            let reply = self.inner.invalidate(channel, asks).await;
            if reply.each.iter().all(Result::is_ok) {
                let first = &asks[0];
                let told = Told { xids: first.xids.clone(), finished: first.finished, keys: asks.len() };
                self.told.lock().unwrap().push(told);
            }
            reply
        })
    }
}

/// Two nodes over one tier: one that writes and caches nothing, and one that reads.
pub(crate) struct Nodes {
    pub(crate) database: Database,
    pub(crate) pool: Pool,
    pub(crate) tier: Arc<WatchedTier>,
    pub(crate) writer: Namespace,
    pub(crate) items: Cache<Item>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Nodes::with(&WriteSettings::default(), Clock::system())
    }

    /// The writer's marks live as long as that.
    pub(crate) fn with_floors_of(life: Duration) -> Self {
        let mut settings = WriteSettings::default();
        settings.floor_life = life;
        Nodes::with(&settings, Clock::system())
    }

    pub(crate) fn with(settings: &WriteSettings, clock: Clock) -> Self {
        let database = Database::with(ITEMS);
        let pool = database.pool(4);
        let tier = WatchedTier::new(clock.clone());
        let node = || Namespace::builder("t").clock(clock.clone()).l2_shared(tier.clone());
        let writer = node().writes(settings.clone()).build().unwrap();
        let items =
            node().build().unwrap().cache::<Item>().l1(L1::capacity(100)).origin(PgOrigin::new(pool.clone()));
        let items = items.build().unwrap();
        Nodes { database, pool, tier, writer, items }
    }

    /// What a node answers that has nothing in L1.
    pub(crate) async fn name(&self, id: i32) -> String {
        self.items.evict_l1(id);
        self.items.require(id).await.unwrap().name.clone()
    }

    fn record(&self, id: i32) -> Option<bytes::Bytes> {
        self.tier.inner.bytes(self.items.key_text(id).unwrap().as_bytes())
    }

    /// The stamp of a row's value in L2; `None` if there is no value.
    pub(crate) fn in_l2(&self, id: i32) -> Option<Stamp> {
        stamp_of(&self.record(id)?)
    }

    /// Whether L2 is closed to whoever has not seen that transaction.
    pub(crate) fn is_marked(&self, id: i32, xid: &Xid) -> bool {
        self.record(id).and_then(|record| marks_of(&record)).is_some_and(|marks| marks.has_xid(xid))
    }
}

/// Waits for what will be true soon.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let patience = Duration::from_secs(20);
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(patience, waiting).await.expect("it was to come true");
}
