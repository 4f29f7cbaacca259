//! Keeps what was not delivered, and sends it again until it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::delivery::Writes;
use super::mark::Mark;
use super::stats::WriteEvent;
use super::undelivered::{Again, Kepts, Undelivered};
use crate::{Moment, WireKey};

/// The invalidations of one namespace that L2 has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// How many keys are kept: zero as long as L2 can be reached, and all that a lookup reads then.
    count: AtomicUsize,
    /// One request at a time, so that a shutdown knows when the last has ended.
    sending: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    kept: Undelivered,
    /// A task sends it again.
    running: bool,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Which of those keys are kept; `None` if none is.
    pub(super) fn which<'k>(&self, keys: impl Iterator<Item = &'k WireKey>) -> Option<Vec<bool>> {
        if self.len() == 0 {
            return None;
        }
        let state = self.state();
        let which: Vec<bool> = keys.map(|key| state.kept.is_kept(key)).collect();
        which.contains(&true).then_some(which)
    }

    pub(super) fn oldest(&self, now: Moment) -> Option<Duration> {
        if self.len() == 0 { None } else { self.state().kept.oldest(now) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }
}

impl Writes {
    /// Keeps the mark of a write that has ended for those keys. From now on no lookup of this node is answered from L2 for
    /// them, until they are delivered.
    pub(super) fn keep<'k>(self: &Arc<Self>, keys: impl Iterator<Item = &'k WireKey>, mark: &Mark) {
        if self.tier.is_none() {
            return;
        }
        let now = self.clock.coarse();
        let (mut kept, mut overflows) = (0, 0);
        let mut state = self.queue.state();
        for key in keys {
            kept += 1;
            let became = state.kept.keep(key, mark, now, self.settings.max_undelivered);
            overflows += usize::from(became == Kepts::Entity);
        }
        self.queue.count.store(state.kept.len(), Ordering::Release);
        drop(state);
        self.counters.add(WriteEvent::Kept, kept);
        self.counters.add(WriteEvent::Overflow, overflows);
        self.retry();
    }

    /// Begins to send again what is kept, if nobody does, there is a runtime, and the namespace is not shut down.
    pub(super) fn retry(self: &Arc<Self>) {
        if self.queue.len() == 0 {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut state = self.queue.state();
        if state.running || state.closed || state.kept.len() == 0 {
            return;
        }
        state.running = true;
        drop(state);
        let retries = Retries { writes: Arc::clone(self), ended: false };
        runtime.spawn(retries.run());
    }

    /// Sends a part of what is kept once more, while nobody else does: how many keys were delivered.
    async fn send_again(&self, _sending: &tokio::sync::MutexGuard<'_, ()>) -> usize {
        let Some(tier) = &self.tier else { return 0 };
        let (now, most) = (self.clock.coarse(), self.settings.max_batch);
        let token = || self.random.token();
        let again = self.queue.state().kept.next(most, now, self.settings.floor_life, token);
        let asks: Vec<_> = again.iter().map(|Again { ask, .. }| ask.clone()).collect();
        if asks.is_empty() {
            return 0;
        }
        self.counters.add(WriteEvent::Retry, asks.len());
        let failed = self.ask(&**tier, &asks).await;
        let mut failed = failed.into_iter().map(|(place, _)| place).peekable();
        let mut delivered = 0;
        let mut state = self.queue.state();
        for (place, again) in again.iter().enumerate() {
            if failed.next_if_eq(&place).is_none() {
                state.kept.delivered(again);
                delivered += 1;
            }
        }
        self.queue.count.store(state.kept.len(), Ordering::Release);
        drop(state);
        self.counters.add(WriteEvent::DeliveredLate, delivered);
        delivered
    }

    fn pause(&self, attempt: u32) -> Duration {
        let full = self.settings.retry_first.saturating_mul(1 << attempt.min(20));
        full.min(self.settings.retry_most).mul_f64(0.5 + self.random.unit() / 2.0)
    }

    /// Sends what is kept again, for as long as the settings say, and no more after that. Says how many keys are left.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped; it can be called again.
    pub(crate) async fn drain(&self) -> usize {
        self.queue.state().closed = true;
        let until = self.clock.coarse().plus(self.settings.drain_for);
        let deliver = async {
            // The task may have a request under way, which is its last.
            let sending = self.queue.sending.lock().await;
            let mut attempt = 0;
            while self.queue.len() > 0 {
                if self.send_again(&sending).await > 0 {
                    attempt = 0;
                    continue;
                }
                self.clock.sleep(self.pause(attempt)).await;
                attempt += 1;
            }
        };
        let _ = self.clock.before(until, deliver).await;
        self.queue.len()
    }
}

/// The task that sends again; if it is dropped with its runtime, another may begin.
struct Retries {
    writes: Arc<Writes>,
    ended: bool,
}

impl Retries {
    async fn run(mut self) {
        let writes = Arc::clone(&self.writes);
        let mut attempt = 0;
        while !self.ended {
            writes.clock.sleep(writes.pause(attempt)).await;
            let sending = writes.queue.sending.lock().await;
            attempt += 1;
            while !writes.queue.is_closed() && writes.send_again(&sending).await > 0 {
                attempt = 0;
            }
            let mut state = writes.queue.state();
            if state.closed || state.kept.len() == 0 {
                state.running = false;
                self.ended = true;
            }
        }
    }
}

impl Drop for Retries {
    fn drop(&mut self) {
        if !self.ended {
            self.writes.queue.state().running = false;
        }
    }
}
