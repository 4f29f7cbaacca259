//! How a row is written: the ways of a writer.

use tierstack_core::BoxFuture;

use crate::record::Outcome;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is on that shelf, with that slug, if it is there.
    Update {
        /// The shelf.
        shelf: u8,
        /// Which slug.
        parity: u8,
    },
    /// The same, if it isn't there; else the write is refused.
    Insert {
        /// The shelf.
        shelf: u8,
        /// Which slug.
        parity: u8,
    },
    /// It goes.
    Delete,
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// Its number, unique in the run.
    pub op: u64,
    /// The key.
    pub pk: u32,
    /// What becomes of the row.
    pub change: Change,
    /// It is taken back before anybody sees it.
    pub rolled_back: bool,
}

/// How a write ended.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// What its caller was told.
    pub outcome: Outcome,
    /// Whether the tiers were told, too. If not, the node invalidates, unless it was rolled back.
    pub told: bool,
}

/// A way to write.
pub trait Writer: Send + Sync {
    /// Whether it names its keys to the tiers before it commits.
    fn is_strict(&self) -> bool {
        false
    }

    /// Writes, and says how that ended.
    fn write<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Done>;
}
