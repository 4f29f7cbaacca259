//! The seam to traces and metrics: who records what a cache does.
//!
//! 1. Nothing is recorded unless a [`Recorder`] is handed to the namespace. Then an L1 hit costs one question more, and
//!    everything below it a span.
//! 2. A span begins within the *current* one of the task at hand, as the recorder keeps it. Work in a task of its own is
//!    done within the span it was begun for, so that a loader finds its caller's span, whoever's task it runs in.
//! 3. What one task does for several is part of the first; the spans of the others are linked to it.
//! 4. What is counted per key is in [`Stats`](crate::Stats), and is read from there; see [`Namespace::caches`].
//!
//! No text of a key gets out but by [`Begin::keys_text`], which a recorder need not call; no value does.

mod observed;
mod tier;
mod traced;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use observed::WeakNamespace;
pub(crate) use tier::TracedTier;
pub(crate) use traced::{Doing, Traced};

#[cfg(doc)]
use crate::Namespace;
use crate::{ErrorKind, Filled, Level};

/// Records spans and measures.
///
/// It is called on the paths of lookups: it must not block, and must not ask a cache.
pub trait Recorder: Send + Sync + 'static {
    /// Whether the task at hand is within a span. Asked at each L1 hit.
    fn current(&self) -> Current;

    /// Begins a span. Within a span that is not recorded it begins none, and what it returns is that one.
    fn begin(&self, begin: &Begin<'_>) -> Arc<dyn Span>;

    /// Takes a measure.
    fn measure(&self, measure: &Measure<'_>);

    /// A namespace was built with it: it may read what that counts, for as long as it is there.
    fn attach(&self, namespace: WeakNamespace);
}

/// Whether the task at hand is within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// It is not.
    None,
    /// It is, and the span is not recorded.
    Dropped,
    /// It is, and the span is recorded.
    Recorded,
}

/// A span under way.
pub trait Span: Send + Sync {
    /// Does `work` within it: what is begun there is its child.
    fn within(&self, work: &mut dyn FnMut());

    /// Notes what became of the work.
    fn note(&self, fact: Fact);

    /// Links it to another.
    fn link(&self, to: SpanId);

    /// Ends it; called once.
    fn end(&self);

    /// What others are linked to it by; `None` if it is not recorded.
    fn id(&self) -> Option<SpanId>;
}

/// The identity of a span: of its trace, and within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId {
    /// Of the trace.
    pub trace: [u8; 16],
    /// Of the span.
    pub span: [u8; 8],
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Work {
    /// A lookup, in the task of its caller.
    Lookup,
    /// What one or more lookups lead, looked up in a task of its own.
    Round,
    /// A wait for what another node is loading.
    Wait,
    /// A load.
    Load,
    /// A refresh behind a stale answer.
    Refresh,
    /// An invalidation, or the marks of a write, on the way to every tier.
    Invalidate,
    /// A request to the shared tier.
    Request(Request),
}

/// A request to the shared tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Of records.
    Read,
    /// Of rights.
    Lease,
    /// Of what was loaded.
    Fill,
    /// Of marks.
    Invalidate,
}

/// A span to be begun.
pub struct Begin<'a> {
    /// What it is of.
    pub work: Work,
    /// Whose work it is.
    pub scope: &'a Scope,
    /// How many keys it concerns.
    pub keys: usize,
    /// The text of those keys; `None` where it is not at hand.
    pub keys_text: Option<&'a dyn Fn() -> Vec<String>>,
    /// What is asked, if that is said.
    pub system: Option<&'a System>,
    /// What it is part of.
    pub parent: Parent,
}

/// What a span is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The current span, if there is one.
    Current,
    /// Nothing; it was caused by that one, which it is linked to, if there is one.
    CausedBy(Option<SpanId>),
}

/// Whose work is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Scope {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The entity, or the cached service; `None` for what concerns the namespace.
    pub entity: Option<Arc<str>>,
    /// The projection, if it is one.
    pub projection: Option<Arc<str>>,
}

/// What a tier or an origin says of itself. Everything may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct System {
    /// The name of its kind, as OpenTelemetry's conventions have it: `redis`, `postgresql`.
    pub name: &'static str,
    /// The command that reads.
    pub reads_by: &'static str,
    /// The command that leases, fills and invalidates.
    pub writes_by: &'static str,
    /// The address of the server, and its port.
    pub server: Option<(Arc<str>, u16)>,
    /// The database within the server.
    pub database: Option<Arc<str>>,
}

impl System {
    /// One of that kind, which reads by that command, and writes by that.
    #[must_use]
    pub fn new(name: &'static str, reads_by: &'static str, writes_by: &'static str) -> Self {
        System { name, reads_by, writes_by, server: None, database: None }
    }

    /// Names its server.
    #[must_use]
    pub fn at(mut self, address: impl Into<Arc<str>>, port: u16) -> Self {
        self.server = Some((address.into(), port));
        self
    }

    /// Names its database.
    #[must_use]
    pub fn database(mut self, name: impl Into<Arc<str>>) -> Self {
        self.database = Some(name.into());
        self
    }
}

/// What became of a span's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// What a lookup was told. Of several keys, the worst of their outcomes, and the farthest tier that answered one.
    Told(Told, Option<Level>),
    /// What became of a fill. Of several keys, the last of theirs in the order of [`Filled::ALL`].
    Filled(Filled),
    /// It failed; `None` if it was given up before it ended.
    Failed(Option<ErrorKind>),
}

/// What a caller is told of one key: exactly one of these. In the order from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// A fresh row, from a tier.
    Hit,
    /// An absence.
    Absent,
    /// A row or an absence that is stale.
    Stale,
    /// A row that had to be loaded; or nothing, as the lookup excluded that.
    Miss,
    /// A row that was loaded, and that L2 didn't take.
    Bypass,
    /// An error.
    Error,
}

/// One value of a distribution.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Measure<'a> {
    /// Work that ended.
    Ended {
        /// What it was.
        work: Work,
        /// Whose.
        scope: &'a Scope,
        /// What was asked, if that is said.
        system: Option<&'a System>,
        /// Of how many keys.
        keys: usize,
        /// How long it took.
        took: Duration,
        /// Whether it failed, as for [`Fact::Failed`].
        failed: Option<Option<ErrorKind>>,
    },
    /// The age of an entry at a fresh hit in L1, of one in 1,024: how long ago it was loaded if no life is cut by jitter, and
    /// at most by the share that is cut longer.
    AgeAtHit {
        /// Whose.
        scope: &'a Scope,
        /// How old.
        age: Duration,
    },
}

impl fmt::Debug for dyn Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl fmt::Debug for dyn Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.id()).finish()
    }
}
