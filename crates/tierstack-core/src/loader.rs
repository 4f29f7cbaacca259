//! The loader: what reads the origin.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::sync::Arc;

use tower_service::Service;

use crate::tier::BoxFuture;
use crate::{BoxError, Error, ErrorKind, Stamp, System};

/// What a load found. Rows are matched by key: their order doesn't matter, a missing one means *absent*.
///
/// ```
/// use tierstack_core::Loaded;
/// let mut loaded = Loaded::rows(vec![(1, "ACADEMY DINOSAUR")]);
/// loaded.fail(2, std::io::Error::other("its shard is down"));
/// assert_eq!((loaded.rows.len(), loaded.failed.len()), (1, 1));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded<K, V> {
    /// The rows. One that nobody asked for, or a key twice, breaks the contract and is seen.
    pub rows: Vec<(K, V)>,
    /// Keys of which it could not be told whether they have a row, each with why. One that nobody asked for, that is here
    /// twice, or that has a row as well, breaks the contract and is seen.
    pub failed: Vec<(K, Error)>,
    /// What the origin says about the moment of the load.
    pub stamp: Option<Stamp>,
    /// Whether the rows hold for everybody; false for what only this caller may see (a standby's, or a transaction's own
    /// rows): those are answered to who asked first, and kept nowhere, and whoever else asked loads for himself.
    pub shared: bool,
}

impl<K, V> Loaded<K, V> {
    /// Rows that hold for everybody, from an origin that says nothing about the moment.
    #[must_use]
    pub fn rows(rows: Vec<(K, V)>) -> Self {
        Loaded { rows, failed: Vec::new(), stamp: None, shared: true }
    }

    /// The same with what the origin says about the moment.
    #[must_use]
    pub fn stamped(self, stamp: Option<Stamp>) -> Self {
        Loaded { stamp, ..self }
    }

    /// The same for everybody, or for this caller only.
    #[must_use]
    pub fn shared(self, shared: bool) -> Self {
        Loaded { shared, ..self }
    }

    /// Says that one key failed, with `error` as its [`source`](std::error::Error::source). An [`Error`] is taken as it is.
    pub fn fail(&mut self, key: K, error: impl Into<BoxError>) {
        self.failed.push((key, origin_failed(error.into())));
    }
}

impl<K, V> From<Vec<(K, V)>> for Loaded<K, V> {
    fn from(rows: Vec<(K, V)>) -> Self {
        Loaded::rows(rows)
    }
}

/// Reads rows from the origin.
///
/// 1. It is asked for a batch of distinct keys and replies with the rows that exist, each with its key. They may be of many
///    callers, who know nothing of each other.
/// 2. It reads at or after the moment it is called, from a source that has seen every acknowledged write.
/// 3. It fails as a whole if no key can be told of. If it can tell of some, the others are [`failed`](Loaded::failed): a key
///    that fails each time must not fail all that are loaded with it. No error is ever stored, or taken for an absence.
/// 4. It may be called many times at once. Its future may be dropped at any await.
/// 5. It may ask caches, its own as well. For a key of the load at hand, whoever that was asked by, it is told at once that it
///    would wait for itself, unless it asks in a task of its own: then its load is late.
pub trait Loader<K, V>: Send + Sync + 'static {
    /// Loads those keys.
    fn load<'a>(&'a self, keys: &'a [K]) -> BoxFuture<'a, Result<Loaded<K, V>, Error>>;

    /// Whether the tiers may keep a row that it loaded; one that they may not is answered to all who asked. Default: yes.
    fn keeps(&self, _key: &K, _row: &V) -> bool {
        true
    }

    /// What it reads from, for telemetry. Default: that is not said.
    fn system(&self) -> Option<System> {
        None
    }
}

impl<K: 'static, V: 'static, L: Loader<K, V> + ?Sized> Loader<K, V> for Arc<L> {
    fn load<'a>(&'a self, keys: &'a [K]) -> BoxFuture<'a, Result<Loaded<K, V>, Error>> {
        (**self).load(keys)
    }

    fn keeps(&self, key: &K, row: &V) -> bool {
        (**self).keeps(key, row)
    }

    fn system(&self) -> Option<System> {
        (**self).system()
    }
}

/// A closure as a loader; made by [`loader_fn`].
pub struct LoaderFn<F, K, V> {
    load: F,
    rows: PhantomData<fn(K) -> V>,
}

/// A loader that calls `load` with the keys and takes the rows it finds.
///
/// ```
/// use tierstack_core::loader_fn;
/// let squares = loader_fn(|keys: Vec<i32>| async move {
///     Ok::<_, std::io::Error>(keys.into_iter().filter(|n| *n > 0).map(|n| (n, n * n)).collect())
/// });
/// # let _ = squares;
/// ```
pub fn loader_fn<F, Fut, K, V, E>(load: F) -> LoaderFn<F, K, V>
where
    F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<(K, V)>, E>> + Send,
    E: Into<BoxError>,
{
    LoaderFn { load, rows: PhantomData }
}

impl<F, Fut, K, V, E> Loader<K, V> for LoaderFn<F, K, V>
where
    F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<(K, V)>, E>> + Send + 'static,
    K: Clone + Send + Sync + 'static,
    V: Send + 'static,
    E: Into<BoxError>,
{
    fn load<'a>(&'a self, keys: &'a [K]) -> BoxFuture<'a, Result<Loaded<K, V>, Error>> {
        let found = (self.load)(keys.to_vec());
        Box::pin(async move { found.await.map(Loaded::rows).map_err(|error| origin_failed(error.into())) })
    }
}

impl<F, K, V> fmt::Debug for LoaderFn<F, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoaderFn")
    }
}

/// Drives `service` ready, and calls it; what it fails with is the origin's error.
pub(crate) async fn call_ready<R, S>(mut service: S, request: R) -> Result<S::Response, Error>
where
    S: Service<R, Error: Into<BoxError>>,
{
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| origin_failed(error.into()))?;
    service.call(request).await.map_err(|error| origin_failed(error.into()))
}

/// The error of a lookup whose load failed with `error`; one of ours is taken as it is.
pub(crate) fn origin_failed(error: BoxError) -> Error {
    Error::from_box(
        error,
        ErrorKind::Origin,
        "the origin failed to load: see the source of this error, try again later",
    )
}

/// The error of what the user's code panicked over.
pub(crate) fn panicked() -> Error {
    Error::new(ErrorKind::Origin, "the loader panicked: see its message on stderr")
}
