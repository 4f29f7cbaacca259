//! Whether this node hears: what every hit in L1 looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::Moment;

/// Whether this node hears of other nodes' invalidations, up to when, and since which subscription. Its stores and flights
/// share it; the listener alone writes it.
#[derive(Debug)]
pub(crate) struct Hearing {
    /// Up to here L1 answers, in nanoseconds: when the last heartbeat heard was sent, and `deaf_after`; 0 if it is deaf.
    /// Written after all that was heard before that heartbeat has been done.
    until: AtomicU64,
    /// Counts confirmed subscriptions. Never 0, unless there is no bus: then it is 0 for ever.
    generation: AtomicU32,
    /// When it became deaf, in nanoseconds.
    deaf_since: AtomicU64,
    counts: [AtomicU64; 5],
}

/// What is counted of the bus.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    Message,
    Key,
    Unreadable,
    BeatLost,
    Subscription,
}

/// What a node's bus has done since the namespace was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BusStats {
    /// For how long it has been deaf; `None` if it hears.
    pub deaf_for: Option<Duration>,
    /// Subscriptions that were confirmed. All but the first are reconnects.
    pub subscriptions: u64,
    /// Messages heard, its own heartbeats among them.
    pub messages: u64,
    /// Keys that were told to be invalid, its own invalidations' among them.
    pub keys: u64,
    /// Messages that could not be read; each makes the node deaf for a moment.
    pub unreadable: u64,
    /// Heartbeats that were not heard, or not in time.
    pub beats_lost: u64,
}

impl Hearing {
    /// Without a bus: L1 answers, and nothing is ever heard.
    pub(crate) fn without_bus() -> Arc<Self> {
        Arc::new(Hearing {
            until: AtomicU64::new(u64::MAX),
            generation: AtomicU32::new(0),
            deaf_since: AtomicU64::new(0),
            counts: Default::default(),
        })
    }

    /// With a bus, deaf at first.
    pub(super) fn deaf(now: Moment) -> Arc<Self> {
        Arc::new(Hearing {
            until: AtomicU64::new(0),
            generation: AtomicU32::new(1),
            deaf_since: AtomicU64::new(now.as_nanos()),
            counts: Default::default(),
        })
    }

    /// Up to here L1 answers. Read before the entry: what was heard up to then is then seen to be gone.
    #[inline]
    pub(crate) fn until(&self) -> Moment {
        Moment::from_nanos(self.until.load(Ordering::Acquire))
    }

    /// The subscription there is; what was reserved under another may have been invalidated unheard. 0: there is no bus.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// The subscription under which it hears at `now`, if it does.
    pub(crate) fn heard(&self, now: Moment) -> Option<u32> {
        let generation = self.generation();
        (generation != 0 && now <= self.until()).then_some(generation)
    }

    /// A subscription was confirmed: what is reserved from now on is heard of.
    pub(super) fn begin_generation(&self) {
        let next = self.generation.load(Ordering::Acquire).wrapping_add(1).max(1);
        self.generation.store(next, Ordering::Release);
        self.count(Heard::Subscription, 1);
    }

    /// All that was told up to `sent` has been heard, and done.
    pub(super) fn has_heard(&self, sent: Moment, deaf_after: Duration) {
        self.until.store(sent.plus(deaf_after).as_nanos(), Ordering::Release);
    }

    /// From now on something may go unheard.
    pub(super) fn deafen(&self, now: Moment) {
        let until = self.until.swap(0, Ordering::AcqRel);
        if until != 0 {
            self.deaf_since.store(until.min(now.as_nanos()), Ordering::Release);
        }
    }

    pub(super) fn count(&self, what: Heard, count: usize) {
        self.counts[what as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, now: Moment) -> BusStats {
        let until = self.until.load(Ordering::Acquire);
        let since = if until == 0 { self.deaf_since.load(Ordering::Acquire) } else { until };
        let count = |what: Heard| self.counts[what as usize].load(Ordering::Relaxed);
        BusStats {
            deaf_for: (now.as_nanos() > until).then(|| now.since(Moment::from_nanos(since))),
            subscriptions: count(Heard::Subscription),
            messages: count(Heard::Message),
            keys: count(Heard::Key),
            unreadable: count(Heard::Unreadable),
            beats_lost: count(Heard::BeatLost),
        }
    }
}
