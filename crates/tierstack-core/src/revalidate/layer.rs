//! The layer.

use std::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;

use super::refreshes::Refreshes;
use super::service::RevalidateService;

/// Answers stale entries at once, and refreshes them behind the answer.
#[derive(Debug)]
pub struct RevalidateLayer<K, V> {
    refreshes: Arc<Refreshes<K>>,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> RevalidateLayer<K, V> {
    /// A layer whose services share the limit and the keys under way.
    #[must_use]
    pub fn new(refreshes: Arc<Refreshes<K>>) -> Self {
        RevalidateLayer { refreshes, types: PhantomData }
    }
}

impl<K, V> Clone for RevalidateLayer<K, V> {
    fn clone(&self) -> Self {
        RevalidateLayer::new(Arc::clone(&self.refreshes))
    }
}

impl<K, V, S: Clone> Layer<S> for RevalidateLayer<K, V> {
    type Service = RevalidateService<K, V, S>;

    fn layer(&self, inner: S) -> Self::Service {
        RevalidateService::new(Arc::clone(&self.refreshes), inner)
    }
}
