//! What single flight runs on: locks, tasks and a timer. Those of the standard library and of tokio, or those of a scheduler
//! that tries many interleavings, under which the same code is tested (`cfg(shuttle)`).

#[cfg(shuttle)]
mod scheduled;

#[cfg(shuttle)]
pub(crate) use scheduled::{Handle, RuntimeId, runtime, sleep};
#[cfg(shuttle)]
pub(crate) use shuttle::future::yield_now;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use tokio::{runtime::Handle, runtime::Id as RuntimeId, task::yield_now, time::sleep};

/// The runtime whose tasks can be spawned here, if there is one.
#[cfg(not(shuttle))]
pub(crate) fn runtime() -> Option<RuntimeId> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// Locks, whatever became of who held the lock before: what it guards is whole between any two statements that may panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
