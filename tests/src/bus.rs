//! Nodes that hear, whatever the test does to their clocks.

use std::time::Duration;

use tierstack_core::BusSettings;

/// For nodes whose clock a test moves on by minutes, and that are not to be deaf for it.
#[must_use]
pub fn steady() -> BusSettings {
    let mut settings = BusSettings::default();
    settings.deaf_after = Duration::from_secs(3_600);
    settings.beat_every = Duration::from_secs(60);
    settings
}
