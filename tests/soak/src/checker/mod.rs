//! Holds every read of a run against what was written, and against what was promised. Pure: no clock, no server.
//!
//! What is known of a write: when it was *begun* (nothing can show it before), by when it was *visible* in Postgres (its
//! COMMIT was acknowledged, or somebody had seen it, or so had a later version of the row, or its node was gone with its
//! sessions), and when it was *acknowledged*: when the first invalidation of its key returned that began after it was
//! visible. A write of unknown outcome is one that the log has; what the log lacks never was.
//!
//! Of a read, the newest version is taken that fits what was seen and had begun before the read ended. The version after
//! it made it old. A read is
//!
//! | class | when |
//! |---|---|
//! | phantom | no version fits: the row never was like that, or never was absent |
//! | future | only versions fit that were begun after the read had ended |
//! | own | the next version was acknowledged on this very node before the read began |
//! | old | L2 or the origin, asked for this lookup, gave what was acknowledged as old before it began (G2), or was *visible* as old: for the origin, and for any write that was strict (G1) |
//! | late | L1, or a lookup begun earlier, gave what was acknowledged as old longer ago than L1 may answer (G4) |
//! | undead | any tier gave what was visible as old longer ago than L2 and L1 live, acknowledged or not (G3) |
//! | slow | it took longer than its deadline, though its node ran (G7) |
//!
//! After L2 went back to old data, acknowledgements before it count for nothing: such a read is held against *undead* only.

mod judge;
mod report;
#[cfg(test)]
mod tests;
mod timeline;

use std::time::Duration;

pub use judge::Judge;
pub use report::Report;
pub use timeline::Timeline;

/// One process, from its start to its end; a node that was started again is another.
pub type Node = u32;

/// A row, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The column that lists are asked by.
    pub shelf: u8,
    /// Which slug it has.
    pub parity: u8,
}

/// A committed version, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The key.
    pub pk: u32,
    /// The version.
    pub version: u64,
    /// The write; 0 for what was there before the run.
    pub op: u64,
    /// The row; `None` for a deletion.
    pub state: Option<State>,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From L1 of a node that didn't write, or from a lookup under way: how long after the acknowledgement.
    pub l1: Duration,
    /// From any tier: how long after the write was visible, whatever became of its invalidation.
    pub life: Duration,
    /// How long a lookup may take.
    pub deadline: Duration,
    /// Whether strict writes are held to G1: not where L2 may lose records.
    pub strict: bool,
}

/// What is wrong with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the page of the module has a table of them")]
pub enum Anomaly {
    Phantom,
    Future,
    Own,
    Old,
    Late,
    Undead,
    Slow,
}

impl Anomaly {
    /// All of them, in a fixed order.
    pub const ALL: [Anomaly; 7] = [
        Anomaly::Phantom,
        Anomaly::Future,
        Anomaly::Own,
        Anomaly::Old,
        Anomaly::Late,
        Anomaly::Undead,
        Anomaly::Slow,
    ];
}
