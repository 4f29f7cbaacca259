//! What an entity is loaded from: rows by key, and primary keys by query.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tower_service::Service;

use super::each::Each;
use crate::loader::{Loader, call_ready, loader_fn};
use crate::tier::BoxFuture;
use crate::{Bound, BoxError, Entity, Error, Loaded};

/// Answers queries with primary keys.
type Index<E> = Arc<dyn Loader<Bound<E>, Vec<<E as Entity>::Pk>>>;

/// The source of truth of an entity: one loader for rows, and one for queries if it answers any.
pub struct Origin<E: Entity> {
    pub(crate) rows: Arc<dyn Loader<E::Pk, E>>,
    pub(crate) index: Option<Index<E>>,
}

impl<E: Entity> Origin<E> {
    /// Rows from a loader; no queries.
    pub fn new(rows: impl Loader<E::Pk, E>) -> Self {
        Origin { rows: Arc::new(rows), index: None }
    }

    /// Rows from a tower service over a batch of keys, which responds with rows, or with [`Loaded`] if it has more to say.
    pub fn service<S>(repository: S) -> Self
    where
        S: Service<Vec<E::Pk>, Response: Into<Loaded<E::Pk, E>>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        Origin::new(ServiceLoader::new(repository))
    }

    /// Rows from a tower service over one key, at most `at_once` of them asked at a time: by [`Each`], so that a key which
    /// fails does so by itself.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if `at_once` is 0.
    pub fn each<S>(repository: S, at_once: usize) -> Result<Self, Error>
    where
        S: Service<E::Pk, Response = Option<E>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        Ok(Origin::service(Each::new(repository, at_once)?))
    }

    /// The same origin with a loader that answers queries with primary keys, in the order of the list. A query for which
    /// it brings no row is answered with the empty list, or absence.
    #[must_use]
    pub fn with_queries(mut self, index: impl Loader<Bound<E>, Vec<E::Pk>>) -> Self {
        self.index = Some(Arc::new(index));
        self
    }
}

impl<E: Entity> Clone for Origin<E> {
    fn clone(&self) -> Self {
        Origin { rows: Arc::clone(&self.rows), index: self.index.clone() }
    }
}

impl<E: Entity> fmt::Debug for Origin<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("queries", &self.index.is_some()).finish_non_exhaustive()
    }
}

/// An origin that calls `load` with a batch of keys and takes the rows it finds.
pub fn origin_fn<E, F, Fut, Err>(load: F) -> Origin<E>
where
    E: Entity,
    F: Fn(Vec<E::Pk>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<(E::Pk, E)>, Err>> + Send + 'static,
    Err: Into<BoxError> + 'static,
{
    Origin::new(loader_fn(load))
}

/// A tower service over a batch of keys, as a loader.
pub(super) struct ServiceLoader<S>(Mutex<S>);

impl<S> ServiceLoader<S> {
    pub(super) fn new(repository: S) -> Self {
        ServiceLoader(Mutex::new(repository))
    }
}

impl<K, V, S> Loader<K, V> for ServiceLoader<S>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + 'static,
    S: Service<Vec<K>, Response: Into<Loaded<K, V>>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    fn load<'a>(&'a self, keys: &'a [K]) -> BoxFuture<'a, Result<Loaded<K, V>, Error>> {
        // The lock is for the clone alone: a service need not be `Sync`.
        let repository = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { call_ready(repository, keys.to_vec()).await.map(Into::into) })
    }
}

impl<S> fmt::Debug for ServiceLoader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceLoader")
    }
}
