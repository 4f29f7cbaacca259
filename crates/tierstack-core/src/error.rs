//! What can go wrong, by what the caller does next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// A boxed error, as tower's services have them.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What the caller of a failed call does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The argument or the setting is wrong: mend it; trying again will fail again.
    Invalid,
    /// The origin has no such row, and the caller asked for an error then.
    NotFound,
    /// The origin failed to load: its error is the [`source`](StdError::source). Never stored; try again later.
    Origin,
    /// The loader broke its contract (a row nobody asked for, a row twice): mend the loader.
    Loader,
    /// The deadline passed first. The next call may succeed.
    Timeout,
    /// A limit of the settings is reached: shed load, or raise the limit.
    Overloaded,
    /// A shared tier can't be reached. Reads go round it; only writes report it.
    Unavailable,
    /// An invalidation did not reach L2: other nodes may answer the old value until it does, or its life ends. It is kept and
    /// sent again; tell whoever must know.
    Undelivered,
}

/// An error of tierstack: cheap to clone, as one failed load goes to all who wait for it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    text: String,
    source: Option<BoxError>,
}

impl Error {
    /// An error of `kind` that says `text`: lower case, no full stop, and what to try.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error(Arc::new(Inner { kind, text: text.into(), source: None }))
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(kind: ErrorKind, text: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Error(Arc::new(Inner { kind, text: text.into(), source: Some(source.into()) }))
    }

    /// Takes `error` back if it is one of ours that went through a tower service; else `wrap`s it with a kind.
    #[must_use]
    pub fn from_box(error: BoxError, kind: ErrorKind, text: &str) -> Self {
        match error.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::with_source(kind, text, other),
        }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, text)
    }

    /// What the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The first error of type `E` among the causes, outermost first.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<E>() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Error");
        shown.field("kind", &self.0.kind).field("text", &self.0.text);
        if let Some(source) = &self.0.source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
