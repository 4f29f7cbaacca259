//! What happened to the writes of a namespace, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counts of the writes of one namespace on this node, since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WriteStats {
    /// Requests to L2 that invalidated or marked, each of one batch.
    pub requests: u64,
    /// Keys of such requests that failed or were late.
    pub failures: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum WriteEvent {
    Request,
    Failure,
}

const EVENTS: usize = WriteEvent::Failure as usize + 1;

#[derive(Debug, Default)]
pub(super) struct WriteCounters([AtomicU64; EVENTS]);

impl WriteCounters {
    pub(super) fn add(&self, event: WriteEvent, count: usize) {
        self.0[event as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> WriteStats {
        let event = |event: WriteEvent| self.0[event as usize].load(Ordering::Relaxed);
        WriteStats { requests: event(WriteEvent::Request), failures: event(WriteEvent::Failure) }
    }
}
