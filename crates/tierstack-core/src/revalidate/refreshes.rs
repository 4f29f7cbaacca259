//! The keys being refreshed: bounded, each once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::watch;

use crate::counters::{Counters, Event};
use crate::namespace::Drain;
use crate::recorder::Traced;
use crate::tier::BoxFuture;
use crate::{Clock, Key, Moment, Settings};

/// Keys held back after a refresh that brought nothing, as a multiple of those that may run at once. Beyond that, one is
/// not held back, and the next stale answer tries again.
const HELD_BACK_PER_RUNNING: usize = 16;

/// What all services of one Revalidate layer share.
pub struct Refreshes<K> {
    keys: Mutex<Keys<K>>,
    /// How many run, for those who wait for none.
    running: watch::Sender<usize>,
    most: usize,
    retry_after: Duration,
    clock: Clock,
    counters: Arc<Counters>,
}

/// The keys that no other refresh may take.
struct Keys<K> {
    /// `None` while it runs; else until when it is held back.
    taken: HashMap<K, Option<Moment>, foldhash::quality::RandomState>,
    running: usize,
    closed: bool,
}

/// How a key's refresh ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The entry is fresh.
    Renewed,
    /// Another node is loading it.
    Left,
    /// It failed.
    Failed,
}

impl<K: Key> Refreshes<K> {
    /// No key is being refreshed.
    #[must_use]
    pub fn new(settings: &Settings, clock: Clock, counters: Arc<Counters>) -> Self {
        Refreshes {
            keys: Mutex::new(Keys { taken: HashMap::default(), running: 0, closed: false }),
            running: watch::Sender::new(0),
            most: settings.refreshes_in_flight,
            retry_after: settings.refresh_retry_after,
            clock,
            counters,
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys<K>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn traced(&self) -> Option<&Traced> {
        self.counters.traced()
    }

    /// Takes those of `keys` that are neither being refreshed nor held back, as far as the limit allows.
    pub(super) fn begin(self: &Arc<Self>, keys: impl Iterator<Item = K>) -> Option<Begun<K>> {
        let now = self.clock.coarse();
        let mut begun: SmallVec<[K; 1]> = SmallVec::new();
        let mut skipped = 0;
        let mut there = self.keys();
        if there.closed {
            return None;
        }
        for key in keys {
            match there.taken.get(&key) {
                None => {}
                Some(Some(until)) if *until <= now => {}
                Some(_) => continue,
            }
            if there.running >= self.most {
                skipped += 1;
                continue;
            }
            there.taken.insert(key.kept(), None);
            there.running += 1;
            begun.push(key);
        }
        let running = there.running;
        drop(there);
        self.counters.add(Event::RefreshSkipped, skipped);
        if begun.is_empty() {
            return None;
        }
        self.running.send_replace(running);
        self.counters.add(Event::Refresh, begun.len());
        Some(Begun { refreshes: Arc::clone(self), keys: begun })
    }

    fn end(&self, keys: &[K], ended: impl Fn(&K) -> Ended) {
        let now = self.clock.coarse();
        let mut failed = 0;
        let mut there = self.keys();
        there.running -= keys.len();
        let most_held_back = self.most.saturating_mul(HELD_BACK_PER_RUNNING);
        for key in keys {
            let ended = ended(key);
            failed += usize::from(ended == Ended::Failed);
            there.taken.remove(key);
            if ended == Ended::Renewed {
                continue;
            }
            if there.taken.len() - there.running >= most_held_back {
                there.taken.retain(|_, until| until.is_none_or(|until| until > now));
            }
            if there.taken.len() - there.running < most_held_back {
                there.taken.insert(key.kept(), Some(now.plus(self.retry_after)));
            }
        }
        let running = there.running;
        drop(there);
        self.running.send_replace(running);
        self.counters.add(Event::RefreshFailed, failed);
    }
}

impl<K: Key> Refreshes<K> {
    /// Begins none from now on, and waits until those under way have ended.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped; it can be called again.
    pub async fn shutdown(&self) {
        self.keys().closed = true;
        let mut running = self.running.subscribe();
        // The sender is `self`'s and outlives the wait.
        let _ = running.wait_for(|running| *running == 0).await;
    }
}

impl<K: Key> Drain for Refreshes<K> {
    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shutdown())
    }
}

impl<K> fmt::Debug for Refreshes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshes")
            .field("running", &*self.running.borrow())
            .field("most", &self.most)
            .finish()
    }
}

/// Keys that this refresh has taken; gives them back when it is dropped, however it ends.
pub(super) struct Begun<K: Key> {
    refreshes: Arc<Refreshes<K>>,
    keys: SmallVec<[K; 1]>,
}

impl<K: Key> Begun<K> {
    pub(super) fn keys(&self) -> SmallVec<[K; 1]> {
        self.keys.clone()
    }

    /// Gives the keys back; those that were not renewed are held back for a while.
    pub(super) fn ended(mut self, ended: impl Fn(&K) -> Ended) {
        let keys = std::mem::take(&mut self.keys);
        self.refreshes.end(&keys, ended);
    }
}

impl<K: Key> Drop for Begun<K> {
    fn drop(&mut self) {
        // A panic below, or a runtime that ended: it failed.
        self.refreshes.end(&self.keys, |_| Ended::Failed);
    }
}
