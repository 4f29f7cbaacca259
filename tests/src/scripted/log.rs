//! What was asked of the origin.

use tokio::time::Instant;

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With rows.
    Rows,
    /// With an error, of all its keys or of some.
    Failed,
    /// With a panic.
    Panicked,
    /// Its future was dropped.
    Dropped,
}

/// A point of the log. No two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Counts up.
    pub order: u64,
    /// The time.
    pub at: Instant,
}

/// A load in the log.
#[derive(Clone, Debug)]
pub struct Load {
    /// The keys of the rows asked; none if queries were.
    pub keys: Vec<i32>,
    /// How many queries were asked.
    pub queries: usize,
    /// When it began.
    pub began: Mark,
    /// How it ended, and when; `None` while it is under way.
    pub ended: Option<(Ended, Mark)>,
}

/// All loads, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) loads: Vec<Load>,
    /// Most loads that were under way at once.
    pub(super) peak: usize,
    running: usize,
    marks: u64,
}

impl Log {
    pub(super) fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark { order: self.marks, at: Instant::now() }
    }

    /// A load begins; gives its place in the log.
    pub(super) fn begin(&mut self, keys: &[i32], queries: usize) -> usize {
        let began = self.mark();
        self.loads.push(Load { keys: keys.to_vec(), queries, began, ended: None });
        self.running += 1;
        self.peak = self.peak.max(self.running);
        self.loads.len() - 1
    }

    pub(super) fn end(&mut self, at: usize, ended: Ended) {
        let mark = self.mark();
        self.loads[at].ended = Some((ended, mark));
        self.running -= 1;
    }
}
