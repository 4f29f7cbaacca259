//! The only place that reads a clock or sleeps.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::Moment;

/// Tells the time: a coarse monotonic clock for lives and deadlines, a wall clock for a tier that keeps its own time.
///
/// [`Clock::system`] reads the kernel's coarse clock, which ticks every few milliseconds and costs a tenth of a precise
/// one. [`ManualClock`] hands out clocks that a test moves. Timers are tokio's, so a paused runtime pauses them.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Manual>>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Clock(None)
    }

    /// Now, on the monotonic clock.
    #[must_use]
    #[inline]
    pub fn coarse(&self) -> Moment {
        match &self.0 {
            None => system_coarse(),
            Some(manual) => manual.coarse(),
        }
    }

    /// Now, on the same clock, to the microsecond: for what is measured.
    #[must_use]
    pub(crate) fn precise(&self) -> Moment {
        match &self.0 {
            None => at(rustix::time::ClockId::Monotonic),
            Some(manual) => manual.coarse(),
        }
    }

    /// Now, in milliseconds since 1970. Only tiers that keep their own time read it; no life or deadline is judged by it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn wall_ms(&self) -> u64 {
        match &self.0 {
            None => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, crate::time::millis),
            Some(manual) => manual.wall_ms(),
        }
    }

    /// For how long the machine was suspended since it started, as far as its kernel says: time that the other clocks
    /// don't count.
    #[must_use]
    pub fn suspended(&self) -> Duration {
        match &self.0 {
            None => system_suspended(),
            Some(manual) => Duration::from_nanos(manual.suspended_ns.load(Ordering::Relaxed)),
        }
    }

    /// Waits for `duration`.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn sleep(&self, duration: Duration) {
        crate::sync::sleep(duration).await;
    }

    /// A timer that ends when `until` has passed; `None` if it never does.
    pub(crate) fn timer(&self, until: Moment) -> Option<tokio::time::Sleep> {
        (until != Moment::NEVER).then(|| tokio::time::sleep(until.since(self.coarse())))
    }

    /// The output of `future`, or `None` once `until` has passed; then `future` is dropped.
    ///
    /// # Cancel safety
    /// That of `future`.
    pub async fn before<F: Future>(&self, until: Moment, future: F) -> Option<F::Output> {
        if until == Moment::NEVER {
            return Some(future.await);
        }
        tokio::time::timeout(until.since(self.coarse()), future).await.ok()
    }
}

#[cfg(target_os = "linux")]
const COARSE: rustix::time::ClockId = rustix::time::ClockId::MonotonicCoarse;
#[cfg(not(target_os = "linux"))]
const COARSE: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[inline]
fn system_coarse() -> Moment {
    at(COARSE)
}

#[inline]
fn at(clock: rustix::time::ClockId) -> Moment {
    let now = rustix::time::clock_gettime(clock);
    // Monotonic clocks start at zero and a year is 3e16 ns: neither cast can lose anything.
    Moment::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

#[cfg(target_os = "linux")]
fn system_suspended() -> Duration {
    let elapsed = |clock| {
        let now = rustix::time::clock_gettime(clock);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    // The one that stands still first, so that what passes between the two readings is not less than none.
    let running = elapsed(rustix::time::ClockId::Monotonic);
    elapsed(rustix::time::ClockId::Boottime).saturating_sub(running)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
fn system_suspended() -> Duration {
    Duration::ZERO
}

/// A clock that a test moves: tokio's time (real, or paused by the runtime) plus what [`advance`](Self::advance) added.
///
/// Its wall clock starts at a fixed date, follows the monotonic one, and can be stepped either way on its own.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Manual>);

#[derive(Debug)]
struct Manual {
    start: tokio::time::Instant,
    advanced_ns: AtomicU64,
    suspended_ns: AtomicU64,
    wall_step_ms: AtomicI64,
}

/// The wall clock of a [`ManualClock`] starts here: 2026-01-01 00:00 UTC.
const WALL_START_MS: u64 = 1_767_225_600_000;

impl Manual {
    fn elapsed_ns(&self) -> u64 {
        let real = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        real.saturating_add(self.advanced_ns.load(Ordering::Relaxed))
    }

    fn coarse(&self) -> Moment {
        Moment::from_nanos(1_000_000_000 + self.elapsed_ns())
    }

    fn wall_ms(&self) -> u64 {
        let step = self.wall_step_ms.load(Ordering::Relaxed);
        (WALL_START_MS + self.elapsed_ns() / 1_000_000).saturating_add_signed(step)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock(Arc::new(Manual {
            start: tokio::time::Instant::now(),
            advanced_ns: AtomicU64::new(0),
            suspended_ns: AtomicU64::new(0),
            wall_step_ms: AtomicI64::new(0),
        }))
    }
}

impl ManualClock {
    /// A clock at its start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A [`Clock`] that shows this clock's time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Some(Arc::clone(&self.0)))
    }

    /// Moves both clocks forward. Timers under way don't notice.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.advanced_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Suspends the machine for `by`: of the clocks of a node, none but [`Clock::suspended`] notices.
    pub fn suspend(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.suspended_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Steps the wall clock by `ms`, either way, as an operator or NTP would.
    pub fn step_wall(&self, ms: i64) {
        self.0.wall_step_ms.fetch_add(ms, Ordering::Relaxed);
    }
}
