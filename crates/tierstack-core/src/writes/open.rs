//! Transactions that are open, by the task that began them: so that an invalidation in place of a touch is told.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{self, Id};

use super::delivery::Writes;
use crate::{Error, Namespace};

/// The open transactions of one namespace.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// How many there are: all that an invalidation reads where there is none. A task sees its own in any order.
    count: AtomicUsize,
    by_task: Mutex<HashMap<Id, usize>>,
}

impl Open {
    fn by_task(&self) -> MutexGuard<'_, HashMap<Id, usize>> {
        self.by_task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writes {
    /// The error of an invalidation that a task calls while a transaction it began is open.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), if it has one.
    pub(crate) fn check_none_open(&self) -> Result<(), Error> {
        if self.open.count.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        match task::try_id() {
            Some(task) if self.open.by_task().contains_key(&task) => Err(Error::invalid(
                "invalidated inside an open transaction of the same task, before the write can be seen: old rows may be \
                 cached again till it commits, touch them in the transaction instead, or invalidate after its commit",
            )),
            _ => Ok(()),
        }
    }
}

/// A transaction that is open, until this is dropped, by whatever task.
#[must_use = "the transaction counts as open until this is dropped"]
pub struct OpenTransaction {
    writes: Arc<Writes>,
    task: Option<Id>,
}

impl Namespace {
    /// Notes that the task at hand has a transaction open at the origin, whose writes are to be touched in it: until it is
    /// dropped, invalidations of this namespace that the same task calls take effect, and then fail with
    /// [`Invalid`](crate::ErrorKind::Invalid).
    ///
    /// For crates that begin transactions. Outside a task of tokio (in `block_on`, so in `main`) nothing is noted.
    pub fn open_transaction(&self) -> OpenTransaction {
        let (writes, task) = (Arc::clone(&self.shared().writes), task::try_id());
        if let Some(task) = task {
            *writes.open.by_task().entry(task).or_default() += 1;
            writes.open.count.fetch_add(1, Ordering::Relaxed);
        }
        OpenTransaction { writes, task }
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        let Some(task) = self.task else { return };
        let mut by_task = self.writes.open.by_task();
        self.writes.open.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(open) = by_task.get_mut(&task) {
            *open -= 1;
            if *open == 0 {
                by_task.remove(&task);
            }
        }
    }
}

impl fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTransaction").field("task", &self.task).finish_non_exhaustive()
    }
}
