//! What all nodes of a run note, in one order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tierstack_soak::checker::Node;
use tierstack_soak::node::Notes;
use tierstack_soak::record::Record;
use tokio::time::Instant;

/// The notes of a run. Paused time stands still while tasks run, so each look at the clock adds a nanosecond: what was
/// noted before something is earlier.
#[derive(Debug)]
pub(super) struct History {
    start: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    notes: Vec<(Node, Record)>,
}

impl History {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(History { start: Instant::now(), inner: Mutex::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> u64 {
        let passed = u64::try_from(self.start.elapsed().as_nanos()).unwrap();
        let mut inner = self.inner();
        inner.last = passed.max(inner.last + 1);
        inner.last
    }

    pub(super) fn note(&self, node: Node, record: Record) {
        self.inner().notes.push((node, record));
    }

    pub(super) fn notes(&self) -> Vec<(Node, Record)> {
        self.inner().notes.clone()
    }
}

/// The notes of one node.
pub(super) struct Book(pub(super) Node, pub(super) Arc<History>);

impl Notes for Book {
    fn now(&self) -> u64 {
        self.1.now()
    }

    fn note(&self, record: &Record) -> anyhow::Result<()> {
        self.1.note(self.0, *record);
        Ok(())
    }
}
