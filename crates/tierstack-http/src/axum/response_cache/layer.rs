use std::convert::Infallible;
use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use tierstack_core::{Error, Namespace, Stats};
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseCacheBuilder;
use super::rules::HttpRules;
use super::service::ResponseCacheService;
use crate::kept::{Call, Keeper, Make};

/// Keeps the responses of GET handlers. See the [module](super) for what it keeps, and what it doesn't.
///
/// All routes below one layer and its clones share their entries, and are told apart by their paths. Put it above what makes
/// a response (handlers, and layers such as compression that say `Vary`), and below what is for each client: checks of who
/// asks, CORS, traces.
#[derive(Clone)]
pub struct ResponseCacheLayer(pub(super) Make<HttpRules>);

impl ResponseCacheLayer {
    /// Begins a layer, under a name that nothing else in the namespace has; it is also the name in `Cache-Status`.
    pub fn builder(namespace: &Namespace, name: impl Into<Box<str>>) -> ResponseCacheBuilder {
        ResponseCacheBuilder::new(namespace.clone(), name.into())
    }

    /// Makes every tier forget the responses to those requests, as [`CacheLayer::invalidate`] does: GETs with the path, host,
    /// query and headers that the key is made of.
    ///
    /// # Errors
    /// Those of [`CacheLayer::invalidate`].
    ///
    /// # Cancel safety
    /// That of [`CacheLayer::invalidate`].
    ///
    /// [`CacheLayer::invalidate`]: tierstack_core::CacheLayer::invalidate
    pub async fn invalidate<I>(&self, requests: I) -> Result<(), Error>
    where
        I: IntoIterator<Item = Request<()>>,
    {
        let call = |request: Request<()>| {
            let (parts, ()) = request.into_parts();
            Call::new(self.0.rules.text(&parts), parts, Bytes::new())
        };
        let calls: Vec<_> = requests.into_iter().map(call).collect();
        self.0.cached.invalidate(&calls).await
    }

    /// Makes every tier forget every response: for a write of which it can't be told which it concerns. It is one request to
    /// L2, however many there are.
    ///
    /// # Errors
    /// Those of [`CacheLayer::invalidate_all`](tierstack_core::CacheLayer::invalidate_all).
    ///
    /// # Cancel safety
    /// That of [`CacheLayer::invalidate_all`](tierstack_core::CacheLayer::invalidate_all).
    pub async fn invalidate_all(&self) -> Result<(), Error> {
        self.0.cached.invalidate_all().await
    }

    /// What was counted since the layer was built; a request is a key.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.cached.stats()
    }
}

impl<S> Layer<S> for ResponseCacheLayer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Service = ResponseCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResponseCacheService(Keeper::new(&self.0, inner))
    }
}

impl fmt::Debug for ResponseCacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseCacheLayer").field(&self.0.cached).finish()
    }
}
