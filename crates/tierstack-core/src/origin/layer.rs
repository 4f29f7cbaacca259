//! The layer over a repository.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use super::options::OriginOptions;
use super::service::OriginService;
use super::sources::ServiceLoader;
use crate::loader::Loader;
use crate::{BoxError, Error, Key, Loaded};

/// Makes a stack's lowest service of a repository: a service over `Vec<K>` that responds with rows, `Vec<(K, V)>`, or with
/// [`Loaded`] if it has more to say.
pub struct OriginLayer<K, V> {
    options: Arc<OriginOptions>,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Send + Sync + 'static> OriginLayer<K, V> {
    /// A layer over a repository.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if lives, limits or times can't be, with what to change.
    pub fn new(options: OriginOptions) -> Result<Self, Error> {
        options.settings.check()?;
        options.freshness.check()?;
        Ok(OriginLayer { options: Arc::new(options), types: PhantomData })
    }

    /// The service over a loader, which need not be a tower service.
    pub fn over(&self, loader: Arc<dyn Loader<K, V>>) -> OriginService<K, V> {
        OriginService::new(Arc::clone(&self.options), loader)
    }
}

impl<K, V> Clone for OriginLayer<K, V> {
    fn clone(&self) -> Self {
        OriginLayer { options: Arc::clone(&self.options), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for OriginLayer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginLayer").field("options", &self.options).finish()
    }
}

impl<K, V, S> Layer<S> for OriginLayer<K, V>
where
    K: Key,
    V: Send + Sync + 'static,
    S: Service<Vec<K>, Response: Into<Loaded<K, V>>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Service = OriginService<K, V>;

    fn layer(&self, repository: S) -> Self::Service {
        self.over(Arc::new(ServiceLoader::new(repository)))
    }
}
