//! Tasks and a timer whose order a scheduler chooses.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use shuttle::future::AbortHandle;

thread_local! {
    /// The tasks of the runtime. Whatever runs under one scheduler runs on one thread of the machine.
    static TASKS: RefCell<Vec<AbortHandle>> = const { RefCell::new(Vec::new()) };
}

/// The runtime: there is always one.
pub(crate) struct Handle;

impl Handle {
    pub(crate) fn try_current() -> Result<Self, ()> {
        Ok(Handle)
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = shuttle::future::spawn(work).abort_handle();
        TASKS.with_borrow_mut(|tasks| tasks.push(task));
    }

    /// Forgets the tasks of the schedule before.
    #[cfg(test)]
    pub(crate) fn start() {
        TASKS.take();
    }

    /// Ends the runtime: its tasks are dropped at their next await, or before they began. Another takes its place.
    #[cfg(test)]
    pub(crate) fn end() {
        for task in TASKS.take() {
            task.abort();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeId;

pub(crate) fn runtime() -> Option<RuntimeId> {
    Some(RuntimeId)
}

/// A timer this long never ends.
const NEVER: Duration = Duration::from_secs(3_600);

/// A timer, which may end at any time.
pub(crate) async fn sleep(duration: Duration) {
    if duration >= NEVER {
        std::future::pending::<()>().await;
    }
    shuttle::future::yield_now().await;
}
