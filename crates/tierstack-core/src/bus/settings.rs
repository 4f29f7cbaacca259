//! The times of hearing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How a namespace hears of other nodes' invalidations, if its tier tells of them.
///
/// ```
/// let mut settings = tierstack_core::BusSettings::default();
/// settings.deaf_after = std::time::Duration::from_millis(500);
/// settings.beat_every = std::time::Duration::from_millis(100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BusSettings {
    /// L1 answers for this long from when the last heartbeat that was heard was sent; then the node is deaf. What a cache
    /// keeps briefly, it keeps for `brief_for` of its own settings: the longer of the two is how far a node may be behind
    /// another's write. Default: 1 s.
    pub deaf_after: Duration,
    /// How often a heartbeat is sent; less than half of `deaf_after`, so that one may be late. Default: 250 ms.
    pub beat_every: Duration,
    /// What a subscription may take until it is confirmed. Default: 5 s.
    pub subscribe_timeout: Duration,
    /// Who has become deaf subscribes anew after about this long, and after twice the time at each further failure. A
    /// subscription that was not heard for `retry_after_at_most` is one. Default: 100 ms.
    pub retry_after: Duration,
    /// The most that it waits between two subscriptions. Default: 2 s.
    pub retry_after_at_most: Duration,
}

impl Default for BusSettings {
    fn default() -> Self {
        BusSettings {
            deaf_after: Duration::from_secs(1),
            beat_every: Duration::from_millis(250),
            subscribe_timeout: Duration::from_secs(5),
            retry_after: Duration::from_millis(100),
            retry_after_at_most: Duration::from_secs(2),
        }
    }
}

/// So many heartbeats may be under way at once.
const MOST_BEATS: u128 = 1_000;

impl BusSettings {
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        let BusSettings { deaf_after, beat_every, subscribe_timeout, retry_after, retry_after_at_most } =
            self;
        let hour = Duration::from_secs(3_600);
        for (name, time, least) in [
            // The kernel's coarse clock ticks every few milliseconds.
            ("deaf_after", deaf_after, Duration::from_millis(20)),
            ("beat_every", beat_every, Duration::from_millis(5)),
            ("subscribe_timeout", subscribe_timeout, Duration::from_millis(1)),
            ("retry_after", retry_after, Duration::from_millis(1)),
            ("retry_after_at_most", retry_after_at_most, Duration::from_millis(1)),
        ] {
            if *time < least || *time > hour {
                return Err(Error::invalid(format!("{name} is {time:?}: set it between {least:?} and 1 h")));
            }
        }
        if *beat_every >= *deaf_after / 2 {
            return Err(Error::invalid(format!(
                "beat_every ({beat_every:?}) is not less than half of deaf_after ({deaf_after:?}): lower it, or one late \
                 heartbeat suspends L1"
            )));
        }
        if deaf_after.as_nanos() / beat_every.as_nanos() > MOST_BEATS {
            return Err(Error::invalid(format!(
                "beat_every ({beat_every:?}) is less than a {MOST_BEATS}th of deaf_after ({deaf_after:?}): raise it"
            )));
        }
        if retry_after > retry_after_at_most {
            return Err(Error::invalid(format!(
                "retry_after ({retry_after:?}) is longer than retry_after_at_most ({retry_after_at_most:?}): lower it"
            )));
        }
        Ok(())
    }

    /// How long to wait before the next subscription, after so many failures in a row; `draw` is in `0.0..1.0`.
    pub(super) fn backoff(&self, failures: u32, draw: f64) -> Duration {
        let doubled = self.retry_after.saturating_mul(1 << failures.min(20));
        // Half of it at least, so that nodes that lost one server don't come back at once.
        doubled.min(self.retry_after_at_most).mul_f64(0.5 + draw / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_time_is_refused_by_its_name() {
        type Change = fn(&mut BusSettings);
        let ms = Duration::from_millis;
        let cases: [(&str, Change); 9] = [
            ("deaf_after is 0ns", |s| s.deaf_after = Duration::ZERO),
            ("deaf_after", |s| s.deaf_after = Duration::MAX),
            ("beat_every is 0ns", |s| s.beat_every = Duration::ZERO),
            ("less than half", |s| s.beat_every = Duration::from_millis(500)),
            ("raise it", |s| s.deaf_after = Duration::from_secs(3_000)),
            ("subscribe_timeout", |s| s.subscribe_timeout = Duration::ZERO),
            ("retry_after is", |s| s.retry_after = Duration::ZERO),
            ("retry_after_at_most", |s| s.retry_after_at_most = Duration::MAX),
            ("retry_after (3s)", |s| s.retry_after = Duration::from_secs(3)),
        ];
        for (named, change) in cases {
            let mut settings = BusSettings::default();
            change(&mut settings);
            let error = settings.check().expect_err(named);
            assert!(error.to_string().contains(named), "{named}: {error}");
        }
        let mut least = BusSettings::default();
        (least.deaf_after, least.beat_every) = (ms(20), ms(9));
        least.check().expect("short, and in order");
    }

    #[test]
    fn waits_double_up_to_the_most() {
        let settings = BusSettings::default();
        for (failures, draw, ms) in [
            (0, 0.0, 50),
            (0, 1.0, 100),
            (1, 1.0, 200),
            (4, 0.0, 800),
            (5, 1.0, 2_000),
            (u32::MAX, 0.0, 1_000),
        ] {
            assert_eq!(settings.backoff(failures, draw), Duration::from_millis(ms), "{failures} {draw}");
        }
    }
}
