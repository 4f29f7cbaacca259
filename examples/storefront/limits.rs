//! For how long the shop waits for what may be late.

use std::time::Duration;

use tierstack::{BusSettings, Settings, WriteSettings};

/// The settings with a time in them.
#[derive(Default)]
pub(crate) struct Limits {
    pub(crate) lookups: Settings,
    pub(crate) writes: WriteSettings,
    pub(crate) bus: BusSettings,
}

impl Limits {
    /// For a check, which counts who answered: on a machine that has much else to do, what is late must not count as gone, nor
    /// a pause as silence.
    pub(crate) fn patient() -> Limits {
        let mut limits = Limits::default();
        // No more than the adapter gives Redis for one reply.
        let l2_timeout = Duration::from_secs(1);
        (limits.lookups.l2_timeout, limits.writes.l2_timeout) = (l2_timeout, l2_timeout);
        limits.lookups.load_timeout = Duration::from_secs(20);
        limits.lookups.lookup_timeout = Duration::from_secs(30);
        limits.bus.deaf_after = Duration::from_secs(5);
        limits
    }
}
