//! Instants: what the pure code calculates with.

use std::num::NonZeroU64;
use std::time::Duration;

/// An instant on a coarse monotonic clock, in nanoseconds since an origin that only its [`Clock`] knows.
///
/// Comparable only with instants of the same clock. `Option<Moment>` costs no more than a `Moment`.
///
/// [`Clock`]: crate::Clock
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// Later than any instant a clock gives.
    pub const NEVER: Moment = Moment(NonZeroU64::MAX);

    /// The instant `nanos` nanoseconds after the clock's origin; zero counts as one.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        match NonZeroU64::new(nanos) {
            Some(nanos) => Moment(nanos),
            None => Moment(NonZeroU64::MIN),
        }
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get()
    }

    /// This instant, `by` later; saturates at [`Moment::NEVER`].
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }

    /// The instant `ms` milliseconds after this one, or before it if `ms` is negative; saturates.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        let nanos = ms.unsigned_abs().saturating_mul(1_000_000);
        if ms >= 0 {
            Moment(self.0.saturating_add(nanos))
        } else {
            Moment::from_nanos(self.0.get().saturating_sub(nanos))
        }
    }

    /// Whole milliseconds from `earlier` to this instant; negative if it came first.
    #[must_use]
    pub fn ms_since(self, earlier: Moment) -> i64 {
        let (a, b) = (self.0.get() / 1_000_000, earlier.0.get() / 1_000_000);
        if a >= b {
            i64::try_from(a - b).unwrap_or(i64::MAX)
        } else {
            -i64::try_from(b - a).unwrap_or(i64::MAX)
        }
    }

    /// How long after `earlier` this instant is; zero if it came first.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// Milliseconds of `duration`, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
