//! The keys being refreshed: bounded, each once.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::watch;

use crate::counters::{Counters, Event};
use crate::{Clock, Key, Settings};

/// What all services of one Revalidate layer share.
pub struct Refreshes<K> {
    under_way: Mutex<HashSet<K, foldhash::quality::RandomState>>,
    /// How many, for those who wait for none.
    count: watch::Sender<usize>,
    most: usize,
    retry_after: Duration,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
}

impl<K: Key> Refreshes<K> {
    /// No key is being refreshed.
    #[must_use]
    pub fn new(settings: &Settings, clock: Clock, counters: Arc<Counters>) -> Self {
        Refreshes {
            under_way: Mutex::default(),
            count: watch::Sender::new(0),
            most: settings.refreshes_in_flight,
            retry_after: settings.refresh_retry_after,
            clock,
            counters,
        }
    }

    /// Takes those of `keys` that are not being refreshed, as far as the limit allows.
    pub(super) fn begin(self: &Arc<Self>, keys: impl Iterator<Item = K>) -> Option<Begun<K>> {
        let mut begun: SmallVec<[K; 1]> = SmallVec::new();
        let mut skipped = 0;
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if under_way.contains(&key) {
                continue;
            }
            if under_way.len() >= self.most {
                skipped += 1;
                continue;
            }
            under_way.insert(key.clone());
            begun.push(key);
        }
        self.count.send_replace(under_way.len());
        drop(under_way);
        self.counters.add(Event::RefreshSkipped, skipped);
        self.counters.add(Event::Refresh, begun.len());
        (!begun.is_empty()).then(|| Begun { refreshes: Arc::clone(self), keys: begun })
    }

    /// Waits until no key is being refreshed.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn none(&self) {
        let mut count = self.count.subscribe();
        // The sender is `self`'s and outlives the wait.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl<K> fmt::Debug for Refreshes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshes")
            .field("under_way", &*self.count.borrow())
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

    /// Keeps only the keys that failed, and holds them for a while.
    pub(super) async fn failed(mut self, failed: impl Fn(&K) -> bool) {
        let (kept, done): (SmallVec<[K; 1]>, SmallVec<[K; 1]>) =
            std::mem::take(&mut self.keys).into_iter().partition(failed);
        self.refreshes.end(&done);
        self.keys = kept;
        if !self.keys.is_empty() {
            self.refreshes.counters.add(Event::RefreshFailed, self.keys.len());
            self.refreshes.clock.sleep(self.refreshes.retry_after).await;
        }
    }
}

impl<K: Key> Refreshes<K> {
    fn end(&self, keys: &[K]) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            under_way.remove(key);
        }
        self.count.send_replace(under_way.len());
    }
}

impl<K: Key> Drop for Begun<K> {
    fn drop(&mut self) {
        self.refreshes.end(&self.keys);
    }
}
