//! What the task at hand is loading for: so that a load which asks for what it is loading is told so, and doesn't wait for
//! itself.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

tokio::task_local! {
    static CAUSES: Causes;
}

/// The batches of keys, of any cache, whose load the task at hand is part of. A task that the loader spawns has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Causes(Option<Arc<[u64]>>);

impl Causes {
    /// Those of the task at hand.
    pub(crate) fn current() -> Self {
        CAUSES.try_with(Clone::clone).unwrap_or_default()
    }

    /// All of `several`, and `own`.
    pub(crate) fn of<'a>(own: impl Iterator<Item = u64>, several: impl Iterator<Item = &'a Causes>) -> Self {
        let mut all: Vec<u64> = own.collect();
        for causes in several {
            all.extend(causes.0.iter().flat_map(|ids| ids.iter().copied()));
        }
        Causes((!all.is_empty()).then(|| all.into()))
    }

    /// Whether a batch is among them.
    pub(crate) fn contain(&self, batch: u64) -> bool {
        self.0.as_ref().is_some_and(|ids| ids.contains(&batch))
    }

    /// Does `work` for these.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        // Where a scheduler switches tasks in the midst of a poll, on one thread, they would be those of all tasks.
        if cfg!(shuttle) {
            return work.await;
        }
        CAUSES.scope(self, work).await
    }
}

/// Ids for batches, unlike any others in this process: many at once, as threads take the counter from each other.
pub(crate) fn batch_ids() -> Range<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    const IDS: u64 = 1_024;
    let first = NEXT.fetch_add(IDS, Ordering::Relaxed);
    first..first + IDS
}
