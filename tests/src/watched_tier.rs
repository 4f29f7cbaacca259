//! A tier in memory whose reads are counted, and slow or held as it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tierstack_core::{
    BoxFuture, Bus, Channel, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, MemoryTier, Reply,
    Tier, WireKey,
};

use crate::Gate;

/// A [`MemoryTier`] that answers as a server does: it reads when it is asked, and replies later.
#[derive(Debug)]
pub struct WatchedTier {
    inner: MemoryTier,
    state: Mutex<State>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct State {
    read_delay: Duration,
    /// How many keys each read had.
    reads: Vec<usize>,
    reading: usize,
    peak: usize,
}

/// Counts that a read is over, or dropped.
struct Reading<'a>(&'a WatchedTier);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.state().reading -= 1;
    }
}

impl WatchedTier {
    /// Replies at once, until it is told otherwise.
    #[must_use]
    pub fn new(inner: MemoryTier) -> Self {
        WatchedTier { inner, state: Mutex::default(), gate: Gate::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a read's reply takes this long; [`Duration::MAX`]: it never comes.
    pub fn set_read_delay(&self, delay: Duration) {
        self.state().read_delay = delay;
    }

    /// Before the replies to reads.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How many keys each read had, up to now.
    #[must_use]
    pub fn reads(&self) -> Vec<usize> {
        self.state().reads.clone()
    }

    /// Most reads that were under way at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    /// The tier in memory.
    #[must_use]
    pub fn memory(&self) -> &MemoryTier {
        &self.inner
    }
}

impl Tier for WatchedTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        Box::pin(async move {
            let delay = {
                let mut state = self.state();
                state.reads.push(keys.len());
                state.reading += 1;
                state.peak = state.peak.max(state.reading);
                state.read_delay
            };
            let _reading = Reading(self);
            let reply = self.inner.read(keys).await;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            self.gate.pass().await;
            reply
        })
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
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.inner.invalidate(channel, invalidations)
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        self.inner.bus()
    }
}
