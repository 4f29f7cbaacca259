//! What a tier holds for a key, and what a lookup is told of it.

use std::sync::Arc;

use crate::{Moment, Token};

/// What is known about a key: its row, or that the origin has none.
///
/// A *miss* is neither: it is the lack of an `Entry`. No value of `V` can be mistaken for an absence.
#[derive(Debug)]
pub enum Entry<V> {
    /// The row.
    Present(Arc<V>),
    /// The origin is known to have no such row: a cached fact.
    Absent,
}

impl<V> Entry<V> {
    /// The row, if there is one.
    #[must_use]
    pub fn into_present(self) -> Option<Arc<V>> {
        match self {
            Entry::Present(value) => Some(value),
            Entry::Absent => None,
        }
    }

    /// Whether the origin is known to have no such row.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Entry::Absent)
    }
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        match self {
            Entry::Present(value) => Entry::Present(Arc::clone(value)),
            Entry::Absent => Entry::Absent,
        }
    }
}

/// The facts about an entry that every tier keeps: born in Origin, copied by L2, judged by all, changed by none.
///
/// L1 may hold it with an earlier end (its own life, or a brief entry); nothing ever makes it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What is at the key in L2 when this entry is the one there.
    pub token: Token,
    /// Up to here the entry answers as it is.
    pub fresh_until: Moment,
    /// Up to here it answers while, or if, it can't be renewed.
    pub stale_until: Moment,
    /// What its load cost, in microseconds.
    pub cost_us: u32,
}

impl Meta {
    /// The same with both ends no later than `end`.
    #[must_use]
    pub fn ending_by(self, end: Moment) -> Self {
        Meta { fresh_until: self.fresh_until.min(end), stale_until: self.stale_until.min(end), ..self }
    }
}

/// How an entry may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Age {
    /// Answers as it is.
    Fresh,
    /// Answers while, or if, it can't be renewed.
    Stale,
    /// Never answers.
    Expired,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// This process's memory.
    L1,
    /// The shared tier.
    L2,
    /// The source of truth.
    Origin,
}

/// What a tier above may keep of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// For its whole life: it is what L2 holds (or the stack has no L2).
    Life,
    /// As a brief entry: it was loaded without a right, or its fill was refused. Ends a bounded time after the instant
    /// at which its load began.
    BriefSince(Moment),
    /// Not at all: the loader says that it is not to be kept.
    Nothing,
    /// Not at all, and nobody else may be told: the loader says that what it read holds for this caller only.
    Private,
}
