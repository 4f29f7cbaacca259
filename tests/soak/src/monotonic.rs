//! The clock by which calls of several processes are compared.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the machine's monotonic clock, precisely. All processes of the machine read the same.
#[must_use]
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // It starts at zero and a year is 3e16 ns: neither cast can lose anything.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
