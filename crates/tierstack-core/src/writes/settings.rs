//! The limits and times of a namespace's writes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Limits and times of the write side of one namespace.
///
/// ```
/// let mut settings = tierstack_core::WriteSettings::default();
/// settings.max_rows = 500;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WriteSettings {
    /// How long an invalidation keeps loads that began before it out of L2. Longer than the right to fill of any cache.
    /// Default: 1 minute.
    pub floor_life: Duration,
    /// What one request to L2 may take before it counts as failed. Default: 250 ms.
    pub l2_timeout: Duration,
    /// Most keys in one request to L2; longer ones are split. Default: 1,000.
    pub max_batch: usize,
    /// Most rows of one entity that one write touches by their keys; a write that touches more touches the whole entity.
    /// Default: 10,000.
    pub max_rows: usize,
}

impl Default for WriteSettings {
    fn default() -> Self {
        WriteSettings {
            floor_life: Duration::from_secs(60),
            l2_timeout: Duration::from_millis(250),
            max_batch: 1_000,
            max_rows: 10_000,
        }
    }
}

impl WriteSettings {
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        let WriteSettings { floor_life, l2_timeout, max_batch, max_rows } = self;
        for (name, value, most) in [("max_batch", *max_batch, 100_000), ("max_rows", *max_rows, 1_000_000)] {
            if value == 0 || value > most {
                return Err(Error::invalid(format!("{name} is {value}: set it between 1 and {most}")));
            }
        }
        let hour = Duration::from_secs(3_600);
        for (name, time) in [("floor_life", floor_life), ("l2_timeout", l2_timeout)] {
            if *time < Duration::from_millis(1) || *time > hour {
                return Err(Error::invalid(format!("{name} is {time:?}: set it between 1 ms and 1 h")));
            }
        }
        Ok(())
    }
}
