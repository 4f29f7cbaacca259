//! The layer over shared flights.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::flights::Flights;
use super::service::SingleFlightService;
use crate::stack::Inner;
use crate::{Key, Stack};

/// Makes of lookups of the same key at the same time one.
pub struct SingleFlightLayer<K, V> {
    flights: Arc<Flights<K, V>>,
}

impl<K, V> SingleFlightLayer<K, V> {
    /// A layer over `flights`; all services it makes share them. A batch is asked of the service that led it, so the
    /// services under one layer must give the same answers.
    #[must_use]
    pub fn new(flights: Arc<Flights<K, V>>) -> Self {
        SingleFlightLayer { flights }
    }
}

impl<K, V> Clone for SingleFlightLayer<K, V> {
    fn clone(&self) -> Self {
        SingleFlightLayer::new(Arc::clone(&self.flights))
    }
}

impl<K, V> fmt::Debug for SingleFlightLayer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlightLayer").field("flights", &self.flights).finish()
    }
}

impl<K: Key, V: Send + Sync + 'static, S: Inner<K, V> + Sync> Layer<S> for SingleFlightLayer<K, V> {
    type Service = SingleFlightService<K, V>;

    fn layer(&self, inner: S) -> Self::Service {
        SingleFlightService::new(Arc::clone(&self.flights), Stack::new(inner))
    }
}
