//! What is explored: who acts, what may fail, what is taken out.

use crate::mechanism::{Mechanism, Without};

/// How a writer tells L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Writer {
    /// Floors before COMMIT, asserted again after it.
    Strict { put: bool },
    /// After COMMIT only, with the xid.
    Fast { put: bool },
    /// After the write was acknowledged, without an xid: `invalidate`.
    Manual,
    /// No code in the writer: the feed tells.
    Feed,
    /// An origin without transactions: a hold before, dropped after.
    Hold { put: bool },
    /// Writes nothing, and calls `invalidate`.
    Bystander,
    /// Deletes after COMMIT.
    DeleteAfter,
    /// Deletes before COMMIT.
    DeleteInside,
    /// Deletes before COMMIT and after it.
    DeleteTwice,
}

impl Writer {
    pub(crate) fn puts(self) -> bool {
        matches!(self, Writer::Strict { put: true } | Writer::Fast { put: true } | Writer::Hold { put: true })
    }
}

/// How a reader fills L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    /// By our scripts.
    Ours,
    /// SET.
    Set,
    /// SET NX.
    SetIfNothing,
    /// SET if what is there has a lower version.
    SetIfNewer,
    /// Under a lease with a token of the request.
    Lease,
    /// Under a lease with a token of the client.
    ClientLease,
}

/// What may go wrong, besides aborts, loads that fail, and the end of any life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// A writer dies before any of its steps.
    pub(crate) crash: bool,
    /// L2 loses any record at any time.
    pub(crate) evict: bool,
    /// L2 loses its last changes, once; up to so many.
    pub(crate) failover: u8,
    /// A reply is lost: of a COMMIT, or of a lease.
    pub(crate) lost: bool,
    /// The connection of a node's bus breaks, with all that was not delivered.
    pub(crate) cut: bool,
    /// Messages overtake each other.
    pub(crate) reorder: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Each with its node.
    pub(crate) writers: Vec<(Writer, u8)>,
    /// The nodes of the readers.
    pub(crate) readers: Vec<u8>,
    pub(crate) reader: Reader,
    pub(crate) faults: Faults,
    /// All write one row, so that one waits for the other's end.
    pub(crate) one_row: bool,
    /// What is cached is a list, which rests on a dependency record; writers touch that.
    pub(crate) list: bool,
    /// Two nodes with L1 and a bus.
    pub(crate) l1: bool,
    /// The change feed is at work besides.
    pub(crate) feed: bool,
    /// Loads ask a standby, which follows later.
    pub(crate) standby: bool,
    pub(crate) without: Without,
}

impl Scenario {
    /// Writers of one kind on node 0, readers of one kind on node 0, no fault.
    pub(crate) fn new(writer: Writer, writers: usize, reader: Reader, readers: usize) -> Self {
        Scenario {
            name: String::new(),
            writers: vec![(writer, 0); writers],
            readers: vec![0; readers],
            reader,
            faults: Faults::default(),
            one_row: !matches!(writer, Writer::Hold { .. }),
            list: false,
            l1: false,
            feed: writer == Writer::Feed,
            standby: false,
            without: Without::none(),
        }
    }

    /// Whether that mechanism is at work.
    pub(crate) fn has(&self, mechanism: Mechanism) -> bool {
        self.without.has(mechanism)
    }

    /// Whether the origin has transactions and snapshots.
    pub(crate) fn has_snapshots(&self) -> bool {
        !self.writers.iter().any(|(writer, _)| matches!(writer, Writer::Hold { .. }))
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn with(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    pub(crate) fn without(mut self, mechanisms: &[Mechanism]) -> Self {
        self.without = Without::of(mechanisms);
        self
    }
}
