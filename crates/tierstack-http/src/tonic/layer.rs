use std::convert::Infallible;
use std::fmt;

use http::{Request, Response};
use tierstack_core::{Error, Namespace, Stats};
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::GrpcCacheBuilder;
use super::rules::GrpcRules;
use super::service::GrpcCacheService;
use crate::kept::{Keeper, Make};

/// Keeps the responses of unary calls. See the [module](super) for what it keeps, and what it doesn't.
///
/// It goes on a server (`Server::builder().layer(…)`), below what checks who asks.
#[derive(Clone)]
pub struct GrpcCacheLayer(pub(super) Make<GrpcRules>);

impl GrpcCacheLayer {
    /// Begins a layer, under a name that nothing else in the namespace has; it is also the name in `cache-status`.
    pub fn builder(namespace: &Namespace, name: impl Into<Box<str>>) -> GrpcCacheBuilder {
        GrpcCacheBuilder::new(namespace.clone(), name.into())
    }

    /// Makes every tier forget every response. It is one request to L2, however many there are.
    ///
    /// # Errors
    /// Those of [`CacheLayer::invalidate_all`](tierstack_core::CacheLayer::invalidate_all).
    ///
    /// # Cancel safety
    /// That of [`CacheLayer::invalidate_all`](tierstack_core::CacheLayer::invalidate_all).
    pub async fn invalidate_all(&self) -> Result<(), Error> {
        self.0.cached.invalidate_all().await
    }

    /// What was counted since the layer was built; a call is a key.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.cached.stats()
    }
}

impl<S> Layer<S> for GrpcCacheLayer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Service = GrpcCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcCacheService(Keeper::new(&self.0, inner))
    }
}

impl fmt::Debug for GrpcCacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcCacheLayer").field(&self.0.cached).finish()
    }
}
