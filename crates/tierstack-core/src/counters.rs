//! What happened, counted per key. Cheap enough for every L1 hit; read by whoever reports it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

use crate::health::LastFault;
use crate::record::Unusable;
use crate::recorder::{Scope, Told, Traced};
use crate::{Age, Filled, Level, Meta, Moment, Outcome};

/// Counts of one cache since it was built. A key of which a caller was told is counted once, in `l1`, `l2`, `origin`,
/// `unknown` or `errors`: by where its answer came from, though one load answered many. A refresh behind an answer is
/// nobody's lookup, and is counted under `refreshes` only; so is no key whose caller went away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Keys answered by L1.
    pub l1: Answered,
    /// Keys answered by L2.
    pub l2: Answered,
    /// Keys answered by the origin.
    pub origin: Answered,
    /// Of those answered by the origin with a row, the ones that L2 has not taken.
    pub past_l2: u64,
    /// Keys of which nothing is known, as the lookup excluded the origin.
    pub unknown: u64,
    /// Keys that failed.
    pub errors: u64,
    /// Loads, each of one batch.
    pub loads: u64,
    /// Loads that failed, timed out or panicked, for all of their keys or for some.
    pub failed_loads: u64,
    /// Requests to L2: reads, leases and fills, each of one batch. Invalidations are counted by the namespace.
    pub l2_requests: u64,
    /// Requests to L2 that failed or timed out, counted per key.
    pub l2_failures: u64,
    /// Keys loaded without a right, as a hold stood, L2 was gone, or another node's load took too long.
    pub bypasses: u64,
    /// Keys that waited for another node's load.
    pub waits: u64,
    /// Keys that followed a lookup of the same key by another caller of this process.
    pub followed: u64,
    /// Keys whose lookup went on to its end though nobody waited for it any more.
    pub abandoned: u64,
    /// Keys that were refused, as too many were being looked up.
    pub overloads: u64,
    /// Fills by what became of them, in the order of [`Filled::ALL`].
    pub fills: [u64; Filled::ALL.len()],
    /// Rows that were not sent to L2: too large, or not writable as MessagePack.
    pub unfillable: u64,
    /// Records that could not answer, by reason, in the order of [`Unusable::ALL`].
    pub unusable: [u64; Unusable::ALL.len()],
    /// Keys whose refresh behind a stale answer was started.
    pub refreshes: u64,
    /// Keys whose refresh was left to the next lookup, as the limit was reached.
    pub refreshes_skipped: u64,
    /// Keys whose refresh failed.
    pub refreshes_failed: u64,
    /// Keys invalidated by this cache.
    pub invalidations: u64,
}

/// What was counted of one cache of a namespace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheStats {
    /// Which.
    pub scope: Scope,
    /// What was counted.
    pub stats: Stats,
    /// How many entries L1 holds, about: rows and lists.
    pub l1_len: u64,
    /// How many tasks look keys up.
    pub flights: u64,
}

/// Keys answered by one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Rows, fresh.
    pub fresh: u64,
    /// Rows or absences, stale.
    pub stale: u64,
    /// Absences, fresh.
    pub absent: u64,
}

impl Answered {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fresh + self.stale + self.absent
    }
}

impl Stats {
    /// Keys looked up.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.l1.total() + self.l2.total() + self.origin.total() + self.unknown + self.errors
    }
}

/// What is counted one at a time, off the path of an L1 hit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    PastL2,
    Unknown,
    Error,
    Load,
    FailedLoad,
    L2Request,
    L2Failure,
    Bypass,
    Wait,
    Follow,
    Abandoned,
    Overload,
    Unfillable,
    Refresh,
    RefreshSkipped,
    RefreshFailed,
    Invalidation,
}

const EVENTS: usize = Event::Invalidation as usize + 1;
const STRIPES: usize = 16;

/// One cache line per stripe, so that threads don't take it from each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; 9]);

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub struct Counters {
    answered: [Stripe; STRIPES],
    events: [AtomicU64; EVENTS],
    fills: [AtomicU64; Filled::ALL.len()],
    unusable: [AtomicU64; Unusable::ALL.len()],
    /// What L2 failed with last, and what a load did.
    pub(crate) l2_fault: LastFault,
    pub(crate) load_fault: LastFault,
    /// Boxed, so that a hit without one looks at one word.
    traced: Option<Box<Traced>>,
}

static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static STRIPE: usize = NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES;
}

/// The cell of an answer within a stripe.
#[inline]
fn cell(source: Level, age: Age, absent: bool) -> usize {
    let kind = match age {
        Age::Fresh if absent => 2,
        Age::Fresh => 0,
        Age::Stale | Age::Expired => 1,
    };
    source as usize * 3 + kind
}

impl Counters {
    /// Counters of a cache that is recorded, if it is.
    pub(crate) fn recorded(traced: Option<Traced>) -> Self {
        Counters { traced: traced.map(Box::new), ..Counters::default() }
    }

    /// What to record with.
    #[inline]
    pub(crate) fn traced(&self) -> Option<&Traced> {
        self.traced.as_deref()
    }

    /// Counts one answer: how many like it this stripe had before.
    #[inline]
    fn answered(&self, source: Level, age: Age, absent: bool) -> u64 {
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or(0);
        self.answered[stripe].0[cell(source, age, absent)].fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a fresh hit in L1 by the handle.
    #[inline]
    pub(crate) fn hit(&self, absent: bool, meta: &Meta, now: Moment) {
        let nth = self.answered(Level::L1, Age::Fresh, absent);
        if let Some(traced) = &self.traced {
            traced.measure_hit(nth, meta, absent, now);
        }
    }

    /// Counts what a caller is told of one key.
    pub(crate) fn told<V>(&self, outcome: &Outcome<V>) {
        match outcome {
            Ok(_) if Told::of(outcome) == Told::Bypass => self.add(Event::PastL2, 1),
            Ok(Some(answer)) => {
                let absent = answer.entry.is_absent();
                let nth = self.answered(answer.source, answer.age, absent);
                if let (Level::L1, Age::Fresh, Some(traced)) = (answer.source, answer.age, &self.traced) {
                    traced.measure_told(nth, &answer.meta, absent);
                }
            }
            Ok(None) => self.add(Event::Unknown, 1),
            Err(_) => self.add(Event::Error, 1),
        }
    }

    pub(crate) fn add(&self, event: Event, count: usize) {
        // Most lookups count nothing here, and threads take this line from each other.
        if count > 0 {
            self.events[event as usize].fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn filled(&self, filled: Filled) {
        self.fills[filled as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unusable(&self, why: Unusable) {
        self.unusable[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted up to now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let sum = |source, age, absent| {
            self.answered.iter().map(|s| s.0[cell(source, age, absent)].load(Ordering::Relaxed)).sum()
        };
        let answered = |source| Answered {
            fresh: sum(source, Age::Fresh, false),
            stale: sum(source, Age::Stale, false),
            absent: sum(source, Age::Fresh, true),
        };
        let event = |event: Event| self.events[event as usize].load(Ordering::Relaxed);
        let mut origin = answered(Level::Origin);
        let past_l2 = event(Event::PastL2);
        origin.fresh += past_l2;
        Stats {
            l1: answered(Level::L1),
            l2: answered(Level::L2),
            origin,
            past_l2,
            unknown: event(Event::Unknown),
            errors: event(Event::Error),
            loads: event(Event::Load),
            failed_loads: event(Event::FailedLoad),
            l2_requests: event(Event::L2Request),
            l2_failures: event(Event::L2Failure),
            bypasses: event(Event::Bypass),
            waits: event(Event::Wait),
            followed: event(Event::Follow),
            abandoned: event(Event::Abandoned),
            overloads: event(Event::Overload),
            fills: std::array::from_fn(|at| self.fills[at].load(Ordering::Relaxed)),
            unfillable: event(Event::Unfillable),
            unusable: std::array::from_fn(|at| self.unusable[at].load(Ordering::Relaxed)),
            refreshes: event(Event::Refresh),
            refreshes_skipped: event(Event::RefreshSkipped),
            refreshes_failed: event(Event::RefreshFailed),
            invalidations: event(Event::Invalidation),
        }
    }
}
