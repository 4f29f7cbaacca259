//! The layer: one tier, one entity.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;

use super::options::L2Options;
use super::service::L2Service;
use crate::Error;

/// Answers lookups from a shared tier, and fills it with what is found below, under the protocol's rights.
pub struct L2Layer<K, V> {
    pub(crate) options: Arc<L2Options>,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> L2Layer<K, V> {
    /// A layer over a tier.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if lives, limits or times can't be, with what to change.
    pub fn new(options: L2Options) -> Result<Self, Error> {
        options.settings.check()?;
        options.freshness.check()?;
        Ok(L2Layer { options: Arc::new(options), types: PhantomData })
    }
}

impl<K, V> Clone for L2Layer<K, V> {
    fn clone(&self) -> Self {
        L2Layer { options: Arc::clone(&self.options), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for L2Layer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L2Layer").field("options", &self.options).finish()
    }
}

impl<K, V, S> Layer<S> for L2Layer<K, V> {
    type Service = L2Service<K, V, S>;

    fn layer(&self, inner: S) -> Self::Service {
        L2Service::new(Arc::clone(&self.options), inner)
    }
}
