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
    /// Most keys that are kept because their invalidation did not reach L2; beyond them, a key's whole entity is invalidated
    /// as soon as L2 is back. Default: 10,000.
    pub max_undelivered: usize,
    /// After about this long what is kept is sent again, and after twice as long each time it fails. Default: 100 ms.
    pub retry_first: Duration,
    /// The longest pause between two of those. Default: 10 s.
    pub retry_most: Duration,
    /// What becomes of a write that is begun while L2 can't be reached. Default: it is refused.
    pub without_l2: WithoutL2,
    /// How long a shutdown tries to deliver what is kept. Default: 5 s.
    pub drain_for: Duration,
}

/// What becomes of a write that is begun while L2 can't be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WithoutL2 {
    /// It is refused: L2 may hold rows that it would make old, and this node could not close it to them.
    #[default]
    Refuse,
    /// It is made without a hold, and counted. Other nodes may answer older rows from L2, and fill it with some, until L2 is
    /// told of its end.
    Write,
}

impl Default for WriteSettings {
    fn default() -> Self {
        WriteSettings {
            floor_life: Duration::from_secs(60),
            l2_timeout: Duration::from_millis(250),
            max_batch: 1_000,
            max_rows: 10_000,
            max_undelivered: 10_000,
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(10),
            without_l2: WithoutL2::Refuse,
            drain_for: Duration::from_secs(5),
        }
    }
}

impl WriteSettings {
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        let WriteSettings {
            floor_life,
            l2_timeout,
            max_batch,
            max_rows,
            max_undelivered,
            retry_first,
            retry_most,
            without_l2: _,
            drain_for,
        } = self;
        for (name, value, most) in [
            ("max_batch", *max_batch, 100_000),
            ("max_rows", *max_rows, 1_000_000),
            ("max_undelivered", *max_undelivered, 1_000_000),
        ] {
            if value == 0 || value > most {
                return Err(Error::invalid(format!("{name} is {value}: set it between 1 and {most}")));
            }
        }
        let hour = Duration::from_secs(3_600);
        for (name, time) in [
            ("floor_life", floor_life),
            ("l2_timeout", l2_timeout),
            ("retry_first", retry_first),
            ("retry_most", retry_most),
            ("drain_for", drain_for),
        ] {
            if *time < Duration::from_millis(1) || *time > hour {
                return Err(Error::invalid(format!("{name} is {time:?}: set it between 1 ms and 1 h")));
            }
        }
        if retry_first > retry_most {
            return Err(Error::invalid(format!(
                "retry_first ({retry_first:?}) is longer than retry_most ({retry_most:?}): lower it"
            )));
        }
        Ok(())
    }
}
