//! The limits and times of a stack.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Limits and times of one cache. Every queue, batch and wait is bounded by a field of it.
///
/// ```
/// let mut settings = tierstack_core::Settings::default();
/// settings.max_batch = 500;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// Most keys in one lookup of the stack: one MGET, one statement. Longer batches are split. Default: 1,000.
    pub max_batch: usize,
    /// Most parts of a split batch under way at once. Default: 4.
    pub batches_in_flight: usize,
    /// Most keys being looked up below L1 at once, in one stack; further ones fail with
    /// [`Overloaded`](crate::ErrorKind::Overloaded). Default: 100,000.
    pub max_flights: usize,
    /// Most reads of L2 under way at once, in one stack; what is asked meanwhile goes in the next one. Default: 4.
    pub reads_in_flight: usize,
    /// Most loads under way at once at the origin of one cache, rows and queries together. Default: 16.
    pub loads_in_flight: usize,
    /// Most loads that wait for one of those places, held by the cache's other stack, or in a stack without single flight;
    /// further ones fail with [`Overloaded`](crate::ErrorKind::Overloaded). What waits above is bounded by `max_flights`.
    /// Default: 1,024.
    pub loads_waiting: usize,
    /// While loads are under way, keys gather for the next one until one of them ends, and no longer than this for each of
    /// them. A key that is asked alone never waits. Default: 1 ms.
    pub gather_for: Duration,
    /// Most bytes of text in one key, before escaping. Default: 1,024.
    pub max_key_bytes: usize,
    /// A lookup that names no deadline is answered within this. Default: 10 s.
    pub lookup_timeout: Duration,
    /// What one request to L2 may take before it is a miss. Default: 250 ms.
    pub l2_timeout: Duration,
    /// What one load may take. Default: 5 s.
    pub load_timeout: Duration,
    /// How long a lookup waits for another node's load before it loads too, and at most half of its time. Default: 2 s.
    pub wait_for_load: Duration,
    /// How long an entry that was loaded without a right may answer from L1, from the start of its load; on a node that is
    /// deaf, any. This and [`deaf_after`](crate::BusSettings::deaf_after), whichever is longer, is how far a node may be
    /// behind another's write. Default: 1 s.
    pub brief_for: Duration,
    /// Most refreshes behind stale answers under way at once; further ones are left to the next lookup. Default: 64.
    pub refreshes_in_flight: usize,
    /// After a failed refresh, the key is not refreshed again for this long. Default: 1 s.
    pub refresh_retry_after: Duration,
    /// Most bytes of a row in L2, before compression. Default: 1 MiB.
    pub max_payload_bytes: usize,
    /// Most bytes that one lookup stores in L2 at once; what is beyond is answered and not stored. Default: 16 MiB.
    pub max_fill_bytes: usize,
    /// Rows from this size on are compressed in L2, in bytes; needs the feature `lz4`. Default: `None`.
    pub compress_from_bytes: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_batch: 1_000,
            batches_in_flight: 4,
            max_flights: 100_000,
            reads_in_flight: 4,
            loads_in_flight: 16,
            loads_waiting: 1_024,
            gather_for: Duration::from_millis(1),
            max_key_bytes: 1_024,
            lookup_timeout: Duration::from_secs(10),
            l2_timeout: Duration::from_millis(250),
            load_timeout: Duration::from_secs(5),
            wait_for_load: Duration::from_secs(2),
            brief_for: Duration::from_secs(1),
            refreshes_in_flight: 64,
            refresh_retry_after: Duration::from_secs(1),
            max_payload_bytes: 1 << 20,
            max_fill_bytes: 16 << 20,
            compress_from_bytes: None,
        }
    }
}

/// No cache takes longer keys.
pub(crate) const MOST_KEY_BYTES: usize = 64 << 10;

/// A right outlives the longest load by this much.
const RIGHT_MARGIN: Duration = Duration::from_secs(1);

impl Settings {
    /// How long a right to fill lasts: the load's time, and a margin.
    #[must_use]
    pub fn right_life(&self) -> Duration {
        self.load_timeout + RIGHT_MARGIN
    }

    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        let Settings {
            max_batch,
            batches_in_flight,
            max_flights,
            reads_in_flight,
            loads_in_flight,
            loads_waiting,
            gather_for,
            max_key_bytes,
            lookup_timeout,
            l2_timeout,
            load_timeout,
            wait_for_load,
            brief_for,
            refreshes_in_flight,
            refresh_retry_after,
            max_payload_bytes,
            max_fill_bytes,
            compress_from_bytes,
        } = self;
        let counts = [
            ("max_batch", *max_batch, 100_000),
            ("batches_in_flight", *batches_in_flight, 1_000),
            ("max_flights", *max_flights, 10_000_000),
            ("reads_in_flight", *reads_in_flight, 1_000),
            ("loads_in_flight", *loads_in_flight, 10_000),
            ("loads_waiting", *loads_waiting, 1_000_000),
            ("max_key_bytes", *max_key_bytes, MOST_KEY_BYTES),
            ("refreshes_in_flight", *refreshes_in_flight, 100_000),
            ("max_payload_bytes", *max_payload_bytes, 512 << 20),
            ("max_fill_bytes", *max_fill_bytes, 512 << 20),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return Err(Error::invalid(format!("{name} is {value}: set it between 1 and {most}")));
            }
        }
        let hour = Duration::from_secs(3_600);
        let times = [
            ("lookup_timeout", lookup_timeout),
            ("l2_timeout", l2_timeout),
            ("load_timeout", load_timeout),
            ("wait_for_load", wait_for_load),
            ("brief_for", brief_for),
            ("gather_for", gather_for),
            ("refresh_retry_after", refresh_retry_after),
        ];
        for (name, time) in times {
            if *time < Duration::from_millis(1) || *time > hour {
                return Err(Error::invalid(format!("{name} is {time:?}: set it between 1 ms and 1 h")));
            }
        }
        if l2_timeout > lookup_timeout {
            return Err(Error::invalid(format!(
                "l2_timeout ({l2_timeout:?}) is longer than lookup_timeout ({lookup_timeout:?}): lower it, or a slow L2 takes all of a lookup's time"
            )));
        }
        if wait_for_load >= lookup_timeout {
            return Err(Error::invalid(format!(
                "wait_for_load ({wait_for_load:?}) is not shorter than lookup_timeout ({lookup_timeout:?}): lower it, or no time is left to load"
            )));
        }
        if *max_flights < *max_batch {
            return Err(Error::invalid(format!(
                "max_flights ({max_flights}) is less than max_batch ({max_batch}): raise it, or a single batch is refused"
            )));
        }
        if compress_from_bytes.is_some() && !cfg!(feature = "lz4") {
            return Err(Error::invalid(
                "compress_from_bytes is set and the feature `lz4` is off: turn it on, or unset it",
            ));
        }
        Ok(())
    }
}
