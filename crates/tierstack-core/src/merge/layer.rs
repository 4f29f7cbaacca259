//! The layer over a shared merger.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::merger::Merger;
use super::service::MergeService;

/// Makes of concurrent lookups one.
pub struct MergeLayer<K, V> {
    merger: Arc<Merger<K, V>>,
}

impl<K, V> MergeLayer<K, V> {
    /// A layer over `merger`. All services it makes share it, and any of them may be asked for all.
    #[must_use]
    pub fn new(merger: Arc<Merger<K, V>>) -> Self {
        MergeLayer { merger }
    }
}

impl<K, V> Clone for MergeLayer<K, V> {
    fn clone(&self) -> Self {
        MergeLayer::new(Arc::clone(&self.merger))
    }
}

impl<K, V> fmt::Debug for MergeLayer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MergeLayer")
    }
}

impl<K, V, S> Layer<S> for MergeLayer<K, V> {
    type Service = MergeService<K, V, S>;

    fn layer(&self, inner: S) -> Self::Service {
        MergeService::new(Arc::clone(&self.merger), inner)
    }
}
