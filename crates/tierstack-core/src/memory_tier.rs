//! The shared tier in process: the whole protocol, without a server.
//!
//! For tests, for examples, and as the reading of the protocol that other tiers are held against.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::record::{self, Header, Kind, Read};
use crate::tier::BoxFuture;
use crate::{
    Clock, Error, ErrorKind, Fill, Filled, Ground, Invalidate, Invalidated, LeaseFor, Leased, Marks, Reply,
    Tier, Token, WireKey,
};

/// A tier in this process's memory, which several nodes (namespaces) of one process may share.
///
/// It keeps the wall clock of the [`Clock`] it is given, as a server keeps its own. Above its capacity it evicts an
/// arbitrary record, as a full Redis does.
pub struct MemoryTier {
    slots: Mutex<HashMap<Bytes, Slot>>,
    capacity: usize,
    clock: Clock,
    out: AtomicBool,
}

#[derive(Clone)]
struct Slot {
    bytes: Bytes,
    ends_ms: u64,
}

impl MemoryTier {
    /// A tier of at most `capacity` records on the system's clock.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        MemoryTier::with_clock(capacity, Clock::system())
    }

    /// A tier of at most `capacity` records on the wall clock of `clock`.
    #[must_use]
    pub fn with_clock(capacity: usize, clock: Clock) -> Self {
        MemoryTier { slots: Mutex::default(), capacity: capacity.max(1), clock, out: AtomicBool::new(false) }
    }

    /// While `out`, every request fails, as if the server were gone.
    pub fn set_outage(&self, out: bool) {
        self.out.store(out, Ordering::SeqCst);
    }

    /// Takes a record away, as an eviction would; whether there was one.
    pub fn evict(&self, key: &[u8]) -> bool {
        self.slots().remove(key).is_some()
    }

    /// Takes all records away, as a restart or FLUSHALL would.
    pub fn clear(&self) {
        self.slots().clear();
    }

    /// The keys held now, expired ones among them.
    #[must_use]
    pub fn keys(&self) -> Vec<Bytes> {
        self.slots().keys().cloned().collect()
    }

    /// The bytes at a key.
    #[must_use]
    pub fn bytes(&self, key: &[u8]) -> Option<Bytes> {
        self.slots().get(key).map(|slot| slot.bytes.clone())
    }

    /// Puts any bytes at a key for an hour, as another program might.
    pub fn overwrite(&self, key: &[u8], bytes: Bytes) {
        let ends_ms = self.clock.wall_ms() + 3_600_000;
        self.slots().insert(Bytes::copy_from_slice(key), Slot { bytes, ends_ms });
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Bytes, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one batch: `serve` is called for each item with the table and the tier's clock.
    fn batch<T, R>(&self, items: &[T], mut serve: impl FnMut(&mut Table<'_>, &T) -> R) -> Reply<R> {
        if self.out.load(Ordering::SeqCst) {
            let error = Error::new(ErrorKind::Unavailable, "the in-process tier is set out of order");
            return Reply::failed(items.len(), &error);
        }
        let now_ms = self.clock.wall_ms();
        let mut table = Table { slots: self.slots(), now_ms, capacity: self.capacity };
        Reply { now_ms, each: items.iter().map(|item| Ok(serve(&mut table, item))).collect() }
    }
}

/// The records at one instant, locked.
struct Table<'a> {
    slots: MutexGuard<'a, HashMap<Bytes, Slot>>,
    now_ms: u64,
    capacity: usize,
}

impl Table<'_> {
    fn get(&mut self, key: &WireKey) -> Option<Slot> {
        let slot = self.slots.get(key.as_bytes())?;
        if slot.ends_ms > self.now_ms {
            return Some(slot.clone());
        }
        self.slots.remove(key.as_bytes());
        None
    }

    fn record(&mut self, key: &WireKey) -> (Read, Option<Slot>) {
        let slot = self.get(key);
        (slot.as_ref().map_or(Read::NotOurs, |slot| Header::read(&slot.bytes)), slot)
    }

    fn put(&mut self, key: &WireKey, bytes: Bytes, ends_ms: u64) {
        if self.slots.len() >= self.capacity && !self.slots.contains_key(key.as_bytes()) {
            // The iteration order of a map with a random seed: an arbitrary record.
            if let Some(victim) = self.slots.keys().next().cloned() {
                self.slots.remove(&victim);
            }
        }
        self.slots.insert(Bytes::copy_from_slice(key.as_bytes()), Slot { bytes, ends_ms });
    }

    fn after(&self, life: Duration) -> u64 {
        self.now_ms.saturating_add(crate::time::millis(life))
    }

    fn lease(&mut self, ask: &LeaseFor) -> Leased {
        let until = self.after(ask.life);
        let (header, slot) = match self.record(&ask.key) {
            (Read::NotOurs, _) | (_, None) => {
                self.put(&ask.key, record::floor(ask.right, ask.right, until, &Marks::none()), until);
                return Leased::Right(Ground { token: Some(ask.right), marks: Marks::none() });
            }
            (Read::OtherFormat, _) => return Leased::Bypass(Ground::default()),
            (Read::Record(header), Some(slot)) => (header, slot),
        };
        if header.kind == Kind::Value && Some(header.token) != ask.observed {
            return Leased::Record(slot.bytes);
        }
        let marks = record::marks_of(&slot.bytes).unwrap_or_default();
        let held = marks.is_held(self.now_ms);
        let ground = Ground { token: Some(header.token), marks };
        if header.right == ask.right {
            return Leased::Right(ground);
        }
        if held {
            return Leased::Bypass(ground);
        }
        if header.is_leased(self.now_ms) {
            return Leased::Wait(Duration::from_millis(header.right_until_ms - self.now_ms), ground);
        }
        let ends_ms = if header.kind == Kind::Floor { slot.ends_ms.max(until) } else { slot.ends_ms };
        self.put(&ask.key, record::with_right(&slot.bytes, ask.right, until), ends_ms);
        Leased::Right(ground)
    }

    fn fill(&mut self, fill: &Fill) -> Filled {
        let (Read::Record(header), Some(slot)) = self.record(&fill.key) else { return Filled::Lost };
        let brought = fill.record.as_ref().map(|bytes| (bytes, Header::read(bytes)));
        if let Some((_, Read::Record(new))) = &brought
            && new.token == header.token
        {
            return Filled::Ok;
        }
        if header.right != fill.right {
            return Filled::Superseded;
        }
        let marks = record::marks_of(&slot.bytes).unwrap_or_default();
        let Some((bytes, _)) = brought else {
            self.give_up(&fill.key, &slot, header.kind, &marks);
            return Filled::Released;
        };
        if !marks.seen_by(record::stamp_of(bytes).as_ref(), self.now_ms) {
            self.give_up(&fill.key, &slot, header.kind, &marks);
            return Filled::Unseen;
        }
        let ends_ms = self.after(fill.life);
        self.put(&fill.key, bytes.clone(), ends_ms);
        Filled::Ok
    }

    fn give_up(&mut self, key: &WireKey, slot: &Slot, kind: Kind, marks: &Marks) {
        if kind == Kind::Floor && marks.is_empty() {
            self.slots.remove(key.as_bytes());
        } else {
            self.put(key, record::with_right(&slot.bytes, Token::NONE, 0), slot.ends_ms);
        }
    }

    fn invalidate(&mut self, ask: &Invalidate) -> Invalidated {
        let until = self.after(ask.life);
        let (read, slot) = self.record(&ask.key);
        let there = match (read, slot) {
            (Read::Record(header), Some(slot)) => Some((header, slot)),
            _ => None,
        };
        let mut marks = Marks::none();
        let mut ends_ms = until;
        match there {
            None if ask.finished && self.get(&ask.key).is_none() => return Invalidated::Unchanged,
            None => {}
            Some((Header { kind: Kind::Value, .. }, slot)) => {
                let stamp = record::stamp_of(&slot.bytes);
                let seen = |xid| stamp.as_ref().is_some_and(|stamp| stamp.has_seen(xid));
                if !ask.xids.is_empty() && ask.holds.is_empty() && ask.xids.iter().all(seen) {
                    return Invalidated::Unchanged;
                }
            }
            Some((_, slot)) => {
                marks = record::marks_of(&slot.bytes).unwrap_or_default();
                ends_ms = slot.ends_ms.max(until);
                let given = !ask.xids.is_empty() || !ask.holds.is_empty();
                let all_there = ask.xids.iter().all(|xid| marks.has_xid(xid))
                    && ask.holds_at(self.now_ms).all(|hold| marks.covers_hold(&hold));
                if given && all_there && ask.drop_holds.is_empty() {
                    self.put(&ask.key, slot.bytes, ends_ms);
                    return Invalidated::Unchanged;
                }
            }
        }
        for xid in &ask.xids {
            marks.add_xid(*xid);
        }
        for hold in ask.holds_at(self.now_ms) {
            marks.add_hold(hold);
        }
        for id in &ask.drop_holds {
            marks.drop_hold(*id, self.now_ms);
        }
        self.put(&ask.key, record::floor(ask.token, Token::NONE, 0, &marks), ends_ms);
        Invalidated::Floor
    }
}

/// The reply, ready at once: a tier in process has nothing to wait for.
fn ready<'a, T: Send + 'a>(reply: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(reply))
}

impl Tier for MemoryTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        ready(self.batch(keys, |table, key| table.get(key).map(|slot| slot.bytes)))
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        ready(self.batch(leases, |table, lease| table.lease(lease)))
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        ready(self.batch(fills, |table, fill| table.fill(fill)))
    }

    fn invalidate<'a>(&'a self, invalidations: &'a [Invalidate]) -> BoxFuture<'a, Reply<Invalidated>> {
        ready(self.batch(invalidations, |table, ask| table.invalidate(ask)))
    }
}

impl fmt::Debug for MemoryTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTier")
            .field("records", &self.slots().len())
            .field("capacity", &self.capacity)
            .finish()
    }
}
