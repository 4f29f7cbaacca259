//! The shared tier in process: the whole protocol, without a server.
//!
//! For tests, for examples, and as the reading of the protocol that other tiers are held against.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::mutants::{Mechanism, is_off};
use crate::record::{self, Header, Kind, Read};
use crate::tier::BoxFuture;
use crate::{
    Beat, Bus, Channel, Clock, Error, ErrorKind, Fill, Filled, Ground, Invalidate, Invalidated, LeaseFor,
    Leased, Marks, Message, Reply, Subscription, Tier, Token, WireKey,
};

/// A tier in this process's memory, which several nodes (namespaces) of one process may share.
///
/// It keeps the wall clock of the [`Clock`] it is given, as a server keeps its own. Above its capacity it evicts an
/// arbitrary record, as a full Redis does.
///
/// Cloning it counts one reference up.
#[derive(Clone)]
pub struct MemoryTier(Arc<Shared>);

struct Shared {
    slots: Mutex<HashMap<Bytes, Slot>>,
    /// Locked before the slots.
    listeners: Mutex<Vec<Listener>>,
    capacity: usize,
    clock: Clock,
    out: AtomicBool,
}

/// One who hears, on one channel.
struct Listener {
    channel: Channel,
    node: Token,
    queue: mpsc::Sender<Message>,
}

/// A listener that has so many messages to take hears no more: its subscription ends.
const MOST_UNHEARD: usize = 1_024;

impl Shared {
    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells `message` to all who listen on `channel`; a heartbeat to its node only.
fn tell(listeners: &mut Vec<Listener>, channel: &Channel, message: &Message) {
    let concerns = |listener: &Listener| match message {
        Message::Beat(beat, _) => listener.channel == *channel && listener.node == beat.node,
        _ => listener.channel == *channel,
    };
    listeners.retain(|listener| !concerns(listener) || listener.queue.try_send(message.clone()).is_ok());
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
        MemoryTier(Arc::new(Shared {
            slots: Mutex::default(),
            listeners: Mutex::default(),
            capacity: capacity.max(1),
            clock,
            out: AtomicBool::new(false),
        }))
    }

    /// While `out`, every request fails, and nothing is heard, as if the server were gone.
    pub fn set_outage(&self, out: bool) {
        if out {
            self.cut();
        }
        self.0.out.store(out, Ordering::SeqCst);
    }

    /// Ends every subscription, as if its connection had broken.
    pub fn cut(&self) {
        self.0.listeners().clear();
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
        let ends_ms = self.0.clock.wall_ms() + 3_600_000;
        self.slots().insert(Bytes::copy_from_slice(key), Slot { bytes, ends_ms });
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Bytes, Slot>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one batch: `serve` is called for each item with the table and the tier's clock.
    fn batch<T, R>(&self, items: &[T], mut serve: impl FnMut(&mut Table<'_>, &T) -> R) -> Reply<R> {
        if self.0.out.load(Ordering::SeqCst) {
            return Reply::failed(items.len(), &out_of_order());
        }
        let now_ms = self.0.clock.wall_ms();
        let mut table = Table { slots: self.slots(), now_ms, capacity: self.0.capacity };
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
        let (until, kept_until) = (self.after(ask.life), self.after(ask.life.max(ask.keep)));
        let (header, slot) = match self.record(&ask.key) {
            (Read::NotOurs, _) | (_, None) => {
                self.put(&ask.key, record::floor(ask.right, ask.right, until, &Marks::none()), kept_until);
                return Leased::Right(Ground { token: Some(ask.right), marks: Marks::none() });
            }
            (Read::OtherFormat, _) => return Leased::Bypass(Ground::default()),
            (Read::Record(header), Some(slot)) => (header, slot),
        };
        let ends_ms = if header.kind == Kind::Floor { slot.ends_ms.max(kept_until) } else { slot.ends_ms };
        self.put(&ask.key, slot.bytes.clone(), ends_ms);
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
        if header.right != fill.right && !is_off(Mechanism::Right) {
            return Filled::Superseded;
        }
        let marks = record::marks_of(&slot.bytes).unwrap_or_default();
        let Some((bytes, _)) = brought else {
            self.give_up(&fill.key, &slot, header.kind, &marks);
            return Filled::Released;
        };
        if !marks.open_to(fill.right, record::stamp_of(bytes).as_ref(), self.now_ms) {
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
            Some((Header { kind: Kind::Value, token, .. }, _)) if ask.spares == Some(token) => {
                return Invalidated::Unchanged;
            }
            Some((Header { kind: Kind::Value, .. }, slot)) => {
                let stamp = record::stamp_of(&slot.bytes);
                let seen = |xid| stamp.as_ref().is_some_and(|stamp| stamp.has_seen(xid));
                if !ask.xids.is_empty() && ask.holds.is_empty() && ask.xids.iter().all(seen) {
                    return Invalidated::Unchanged;
                }
            }
            Some((header, slot)) => {
                marks = record::marks_of(&slot.bytes).unwrap_or_default();
                ends_ms = slot.ends_ms.max(until);
                let given = !ask.xids.is_empty() || !ask.holds.is_empty();
                let all_there = ask.xids.iter().all(|xid| marks.has_xid(xid))
                    && ask.holds_at(self.now_ms).all(|hold| marks.covers_hold(&hold));
                let claimed = ask.claim.is_none_or(|(right, _)| header.right == right);
                if given && all_there && claimed && ask.drop_holds.is_empty() {
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
        let (right, right_until) = match ask.claim {
            Some((right, life)) => (right, self.after(life)),
            None => (Token::NONE, 0),
        };
        if is_off(Mechanism::Floor) {
            self.slots.remove(ask.key.as_bytes());
            return Invalidated::Floor;
        }
        self.put(&ask.key, record::floor(ask.token, right, right_until, &marks), ends_ms);
        Invalidated::Floor
    }

    /// What is told of an invalidation: the key, and the token there now.
    fn told(&mut self, ask: &Invalidate) -> (Box<str>, Option<Token>) {
        let token = match self.record(&ask.key) {
            (Read::Record(header), _) => Some(header.token),
            _ => None,
        };
        (ask.key.as_str().into(), token)
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

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        // Those who tell take turns, so that all hear in the order in which it was done.
        let mut listeners = self.0.listeners();
        let mut told = Vec::with_capacity(invalidations.len());
        let reply = self.batch(invalidations, |table, ask| {
            let done = table.invalidate(ask);
            told.push(table.told(ask));
            done
        });
        if !told.is_empty() {
            tell(&mut listeners, channel, &Message::Invalidated(told));
        }
        ready(reply)
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        Some(Arc::new(self.clone()))
    }
}

impl Bus for MemoryTier {
    fn subscribe<'a>(
        &'a self,
        channel: &'a Channel,
        node: Token,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        if self.0.out.load(Ordering::SeqCst) {
            return ready(Err(out_of_order()));
        }
        let (queue, heard) = mpsc::channel(MOST_UNHEARD);
        self.0.listeners().push(Listener { channel: channel.clone(), node, queue });
        let heard = stream::unfold(heard, |mut heard| async move { Some((heard.recv().await?, heard)) });
        ready(Ok(Box::pin(heard)))
    }

    fn beat<'a>(&'a self, channel: &'a Channel, beat: Beat) -> BoxFuture<'a, Result<(), Error>> {
        if self.0.out.load(Ordering::SeqCst) {
            return ready(Err(out_of_order()));
        }
        tell(&mut self.0.listeners(), channel, &Message::Beat(beat, "memory".into()));
        ready(Ok(()))
    }
}

fn out_of_order() -> Error {
    Error::new(ErrorKind::Unavailable, "the in-process tier is set out of order")
}

impl fmt::Debug for MemoryTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTier")
            .field("records", &self.slots().len())
            .field("capacity", &self.0.capacity)
            .finish()
    }
}
