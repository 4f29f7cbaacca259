//! The shared tier in process: the whole protocol, without a server.
//!
//! For tests, for examples, and as the reading of the protocol that other tiers are held against.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::tier::BoxFuture;
use crate::transitions::{self, Stored};
use crate::{
    Beat, Bus, Channel, Clock, Error, ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased,
    Message, Reply, Subscription, Tier, Token, WireKey,
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
    slots: Mutex<HashMap<Bytes, Stored>>,
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
        self.slots().insert(Bytes::copy_from_slice(key), Stored { bytes, ends_ms });
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Bytes, Stored>> {
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
    slots: MutexGuard<'a, HashMap<Bytes, Stored>>,
    now_ms: u64,
    capacity: usize,
}

impl Table<'_> {
    fn get(&mut self, key: &WireKey) -> Option<Stored> {
        let slot = self.slots.get(key.as_bytes())?;
        if slot.ends_ms > self.now_ms {
            return Some(slot.clone());
        }
        self.slots.remove(key.as_bytes());
        None
    }

    fn put(&mut self, key: &WireKey, stored: Stored) {
        if self.slots.len() >= self.capacity && !self.slots.contains_key(key.as_bytes()) {
            // The iteration order of a map with a random seed: an arbitrary record.
            if let Some(victim) = self.slots.keys().next().cloned() {
                self.slots.remove(&victim);
            }
        }
        self.slots.insert(Bytes::copy_from_slice(key.as_bytes()), stored);
    }

    /// Replaces what is at the key by what `transition` makes of it.
    fn change<T>(
        &mut self,
        key: &WireKey,
        transition: impl FnOnce(Option<Stored>, u64) -> (Option<Stored>, T),
    ) -> T {
        let (stored, told) = transition(self.get(key), self.now_ms);
        match stored {
            Some(stored) => self.put(key, stored),
            None => drop(self.slots.remove(key.as_bytes())),
        }
        told
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
        ready(self.batch(leases, |table, ask| {
            table.change(&ask.key, |there, now_ms| transitions::lease(there, ask, now_ms))
        }))
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        ready(self.batch(fills, |table, ask| {
            table.change(&ask.key, |there, now_ms| transitions::fill(there, ask, now_ms))
        }))
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
            let done = table.change(&ask.key, |there, now_ms| transitions::invalidate(there, ask, now_ms));
            told.push((ask.key.as_str().into(), transitions::token(table.get(&ask.key).as_ref())));
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
