//! An origin with transactions: versions, snapshots, row locks, and commits whose outcome the caller may not learn.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tests::Rolls;
use tierstack_core::{
    Bound, BoxFuture, Error, ErrorKind, Loaded, Loader, Mark, Mode, Namespace, Origin, Stamp, Touched, Value,
    Xid,
};
use tierstack_soak::checker::{Node, State, Written};
use tierstack_soak::entity::{Item, Shape};
use tierstack_soak::record::{Outcome, Record};
use tierstack_soak::write::{Change, Done, Write, Writer};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::history::History;

/// Clones share it.
#[derive(Clone)]
pub(super) struct Database(Arc<Shared>);

struct Shared {
    data: Mutex<Data>,
    rolls: Rolls,
    history: Arc<History>,
    /// Whether loads say what they have seen.
    stamped: bool,
}

#[derive(Default)]
struct Data {
    rows: BTreeMap<u32, Item>,
    versions: BTreeMap<u32, u64>,
    log: Vec<Written>,
    locks: BTreeMap<u32, Arc<tokio::sync::Mutex<()>>>,
    last_xid: u64,
    in_progress: BTreeSet<u64>,
}

impl Database {
    /// Every other key has a row.
    pub(super) fn new(keys: u32, rolls: Rolls, history: Arc<History>) -> Self {
        let mut data = Data { last_xid: 100, ..Data::default() };
        for pk in (0..keys).step_by(2) {
            data.put(pk, Some(State { shelf: 0, parity: 0 }), 0);
        }
        let stamped = rolls.chance(75);
        Database(Arc::new(Shared { data: Mutex::new(data), rolls, history, stamped }))
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.0.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Vec<Written> {
        self.data().log.clone()
    }

    /// Rows and queries, in a shape.
    pub(super) fn origin<E: Shape>(&self) -> Origin<E> {
        Origin::new(Table(self.clone())).with_queries(Table(self.clone()))
    }

    /// Reads at one moment, some time after it is asked, and replies some time after that.
    async fn load<K, V>(&self, read: impl FnOnce(&Data) -> Vec<(K, V)>) -> Result<Loaded<K, V>, Error> {
        let rolls = &self.0.rolls;
        rolls.pause(12).await;
        let (rows, stamp) = {
            let data = self.data();
            (read(&data), data.stamp())
        };
        rolls.pause(25).await;
        if rolls.chance(3) {
            // Longer than any load may take.
            rolls.forever().await;
        }
        if rolls.chance(4) {
            let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "the origin is down");
            return Err(Error::with_source(ErrorKind::Origin, "the load failed", refused));
        }
        Ok(Loaded::rows(rows).stamped(self.0.stamped.then_some(stamp)))
    }

    async fn begin(&self, pk: u32) -> Transaction {
        let lock = Arc::clone(self.data().locks.entry(pk).or_default());
        let lock = lock.lock_owned().await;
        let mut data = self.data();
        data.last_xid += 1;
        let xid = data.last_xid;
        data.in_progress.insert(xid);
        Transaction { database: self.clone(), pk, xid, _lock: lock }
    }
}

impl Data {
    fn put(&mut self, pk: u32, state: Option<State>, op: u64) {
        let version = self.versions.entry(pk).or_default();
        *version += 1;
        let version = *version;
        match state {
            Some(state) => drop(self.rows.insert(pk, Item::new(pk, state, version, op))),
            None => drop(self.rows.remove(&pk)),
        }
        self.log.push(Written { pk, version, op, state });
    }

    fn stamp(&self) -> Stamp {
        let (next, under_way) = (self.last_xid + 1, self.in_progress.iter().copied().collect::<Vec<_>>());
        Stamp::new(1, 1, under_way.first().copied().unwrap_or(next), next, &under_way)
    }
}

/// Rolled back when it is dropped.
struct Transaction {
    database: Database,
    pk: u32,
    xid: u64,
    _lock: OwnedMutexGuard<()>,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.database.data().in_progress.remove(&self.xid);
    }
}

impl Transaction {
    fn xid(&self) -> Xid {
        Xid { system: 1, timeline: 1, id: self.xid }
    }

    /// What the row becomes, if the change concerns it; `Err` if it is refused.
    fn state(&self, change: Change) -> Result<Option<Option<State>>, ()> {
        let is_there = self.database.data().rows.contains_key(&self.pk);
        match change {
            Change::Insert { .. } if is_there => Err(()),
            Change::Update { .. } | Change::Delete if !is_there => Ok(None),
            Change::Delete => Ok(Some(None)),
            Change::Insert { shelf, parity } | Change::Update { shelf, parity } => {
                Ok(Some(Some(State { shelf, parity })))
            }
        }
    }

    /// Commits, whether or not anybody waits for it, and replies to who does.
    fn commit(self, node: Node, op: u64, state: Option<Option<State>>) -> oneshot::Receiver<()> {
        let (reply, replied) = oneshot::channel();
        tokio::spawn(async move {
            let rolls = self.database.0.rolls.clone();
            rolls.pause(20).await;
            {
                let mut data = self.database.data();
                if let Some(state) = state {
                    data.put(self.pk, state, op);
                }
                // Visible from here on: to be known, and to be seen.
                data.in_progress.remove(&self.xid);
                let history = &self.database.0.history;
                let at = history.now();
                history.note(node, Record::Ended { op, pk: self.pk, at, outcome: Outcome::Committed });
            }
            drop(self);
            rolls.pause(10).await;
            if !rolls.chance(5) {
                let _ = reply.send(());
            }
        });
        replied
    }
}

/// A node's way to write.
pub(super) struct Client {
    pub(super) node: Node,
    pub(super) database: Database,
    /// If strict: whose keys it names before it commits.
    pub(super) strict: Option<Namespace>,
}

impl Writer for Client {
    fn is_strict(&self) -> bool {
        self.strict.is_some()
    }

    fn write<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let not_told = |outcome| Done { outcome, told: false };
            let rolls = &self.database.0.rolls;
            rolls.pause(5).await;
            let transaction = self.database.begin(write.pk).await;
            let mut touched = None;
            if let Some(namespace) = &self.strict {
                let mut touches = Touched::new(namespace);
                touches.rows::<Item>([write.pk.cast_signed()]).unwrap();
                let begun = Mark::begun().xids([transaction.xid()]);
                if touches.mark(begun).await.is_err() {
                    return not_told(Outcome::RolledBack);
                }
                touched = Some((touches, Mark::finished().xids([transaction.xid()])));
            }
            rolls.pause(5).await;
            let Ok(state) = transaction.state(write.change) else { return not_told(Outcome::RolledBack) };
            if write.rolled_back {
                return not_told(Outcome::RolledBack);
            }
            let replied = transaction.commit(self.node, write.op, state);
            if replied.await.is_err() {
                return not_told(Outcome::Unknown);
            }
            let told = match touched {
                Some((touched, finished)) => touched.mark(finished).await.is_ok(),
                None => false,
            };
            Done { outcome: Outcome::Committed, told }
        })
    }
}

struct Table(Database);

impl<E: Shape> Loader<i32, E> for Table {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, E>, Error>> {
        Box::pin(self.0.load(|data| {
            let row = |pk: &i32| Some((*pk, E::of(data.rows.get(&pk.unsigned_abs())?)));
            keys.iter().filter_map(row).collect()
        }))
    }
}

impl<E: Shape> Loader<Bound<E>, Vec<i32>> for Table {
    fn load<'a>(
        &'a self,
        queries: &'a [Bound<E>],
    ) -> BoxFuture<'a, Result<Loaded<Bound<E>, Vec<i32>>, Error>> {
        Box::pin(self.0.load(|data| {
            let answer = |query: &Bound<E>| {
                let fits = |item: &&Item| {
                    let column = |name: &str| match name {
                        "shelf" => Value::from(item.shelf()),
                        _ => Value::from(item.slug()),
                    };
                    query.def().params().zip(query.values()).all(|(name, value)| column(name) == *value)
                };
                let pks: Vec<i32> = data.rows.values().filter(fits).map(tierstack_core::Entity::pk).collect();
                let is_answer = query.def().mode() == Mode::List || !pks.is_empty();
                is_answer.then(|| (query.clone(), pks))
            };
            queries.iter().filter_map(answer).collect()
        }))
    }
}
