//! What happened to the writes of a namespace, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Counts of the writes of one namespace on this node, since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WriteStats {
    /// Requests to L2 by writes, each of one batch.
    pub requests: u64,
    /// Keys that could not be marked or invalidated at once.
    pub failures: u64,
    /// Keys that are kept now, as their invalidation has not reached L2.
    pub undelivered: u64,
    /// How long the oldest of them has been kept.
    pub oldest_undelivered: Option<Duration>,
    /// Keys that were kept, each as often as a write failed to invalidate it.
    pub kept: u64,
    /// Keys that were sent again.
    pub retried: u64,
    /// Keys that reached L2 then.
    pub delivered_late: u64,
    /// Keys that became their whole entity, as too many were kept.
    pub overflowed: u64,
    /// Writes that were begun.
    pub begun: u64,
    /// Those of them that were made without a hold, as L2 could not be reached.
    pub without_hold: u64,
    /// Writes that were committed.
    pub committed: u64,
    /// Writes that were rolled back.
    pub rolled_back: u64,
    /// Writes that were dropped: what they touch stays closed until their holds end.
    pub abandoned: u64,
    /// Rows of writes that L2 took.
    pub put: u64,
    /// Rows of writes that it did not take.
    pub put_refused: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum WriteEvent {
    Request,
    Failure,
    Kept,
    Retry,
    DeliveredLate,
    Overflow,
    Begun,
    WithoutHold,
    Committed,
    RolledBack,
    Abandoned,
    Put,
    PutRefused,
}

const EVENTS: usize = WriteEvent::PutRefused as usize + 1;

#[derive(Debug, Default)]
pub(super) struct WriteCounters([AtomicU64; EVENTS]);

impl WriteCounters {
    pub(super) fn add(&self, event: WriteEvent, count: usize) {
        self.0[event as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, undelivered: usize, oldest_undelivered: Option<Duration>) -> WriteStats {
        let event = |event: WriteEvent| self.0[event as usize].load(Ordering::Relaxed);
        WriteStats {
            requests: event(WriteEvent::Request),
            failures: event(WriteEvent::Failure),
            undelivered: undelivered as u64,
            oldest_undelivered,
            kept: event(WriteEvent::Kept),
            retried: event(WriteEvent::Retry),
            delivered_late: event(WriteEvent::DeliveredLate),
            overflowed: event(WriteEvent::Overflow),
            begun: event(WriteEvent::Begun),
            without_hold: event(WriteEvent::WithoutHold),
            committed: event(WriteEvent::Committed),
            rolled_back: event(WriteEvent::RolledBack),
            abandoned: event(WriteEvent::Abandoned),
            put: event(WriteEvent::Put),
            put_refused: event(WriteEvent::PutRefused),
        }
    }
}
