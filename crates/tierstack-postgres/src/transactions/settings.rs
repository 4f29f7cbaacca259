//! What a transaction promises, and how long it may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tierstack_core::{Error, ErrorKind, WithoutL2};

/// When a transaction's invalidation happens. See the [table](crate::transactions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mode {
    /// L2 is closed to loads that have not seen the transaction before it commits, and until they have.
    #[default]
    Strict,
    /// L2 is told after COMMIT was answered.
    Fast,
}

/// How a namespace's transactions commit.
///
/// ```
/// use tierstack_postgres::transactions::{Mode, TransactionSettings};
/// let mut settings = TransactionSettings::default();
/// settings.mode = Mode::Fast;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TransactionSettings {
    /// What it promises. Default: [`Mode::Strict`].
    pub mode: Mode,
    /// What becomes of a strict one if L2 can't be reached before COMMIT: it is rolled back, or commits as a fast one would.
    /// Default: [`WithoutL2::Refuse`].
    pub without_l2: WithoutL2,
    /// How long COMMIT may take; then its outcome counts as unknown. Default: 1 minute.
    pub commit_timeout: Duration,
    /// How long an unknown outcome is asked for, and what it wrote kept closed meanwhile. Default: 10 minutes.
    pub resolve_for: Duration,
    /// Most unknown outcomes that are asked for at once; of a further one the marks stand for the life of a floor.
    /// Default: 1,000.
    pub max_unresolved: usize,
}

impl Default for TransactionSettings {
    fn default() -> Self {
        TransactionSettings {
            mode: Mode::default(),
            without_l2: WithoutL2::default(),
            commit_timeout: Duration::from_secs(60),
            resolve_for: Duration::from_secs(600),
            max_unresolved: 1_000,
        }
    }
}

impl TransactionSettings {
    pub(super) fn check(&self) -> Result<(), Error> {
        let TransactionSettings { mode: _, without_l2: _, commit_timeout, resolve_for, max_unresolved } =
            self;
        let day = Duration::from_secs(86_400);
        for (name, time) in [("commit_timeout", commit_timeout), ("resolve_for", resolve_for)] {
            if *time < Duration::from_millis(1) || *time > day {
                let text = format!("{name} is {time:?}: set it between 1 ms and 1 day");
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        }
        if *max_unresolved == 0 || *max_unresolved > 1_000_000 {
            let text = format!("max_unresolved is {max_unresolved}: set it between 1 and 1,000,000");
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        Ok(())
    }
}
