//! The layer, and what all services it makes share.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_layer::Layer;
use tower_service::Service;

use super::key::RequestKey;
use super::loader::{KeepIf, RequestLoader};
use super::service::CacheService;
use crate::cache::stack_parts::StackParts;
use crate::counters::{Counters, Event};
use crate::namespace::Local;
use crate::writes::deliver;
use crate::{
    BoxError, CacheKey, CacheStats, Error, KeyFormat, Mark, Namespace, Settings, Stats, Token, WireKey,
};

/// Caches the responses of a service. Built by [`Namespace::cache_layer`]; cloning it counts one reference up.
///
/// All services that it makes share their entries, whatever service each is over.
pub struct CacheLayer<Req: CacheKey, Res>(pub(super) Arc<Parts<Req, Res>>);

/// What the clones of a layer and its services share.
pub(super) struct Parts<Req: CacheKey, Res> {
    pub(super) namespace: Namespace,
    pub(super) name: Box<str>,
    pub(super) settings: Settings,
    pub(super) format: KeyFormat,
    /// The record that every response rests on.
    pub(super) depends_on: WireKey,
    pub(super) counters: Arc<Counters>,
    pub(super) stack: StackParts<RequestKey<Req>, Res>,
    pub(super) keep_if: Option<KeepIf<Req, Res>>,
}

impl<Req: CacheKey, Res> Parts<Req, Res> {
    /// The key of a request that a lookup may be made for.
    pub(super) fn key(&self, request: &Req) -> Result<RequestKey<Req>, Error> {
        RequestKey::of(request, self.settings.max_key_bytes)
    }

    /// The text of a key, for whoever may record it.
    pub(super) fn texts(&self, key: &RequestKey<Req>) -> Vec<String> {
        let wires = self.format.wire(std::slice::from_ref(key)).into_iter().flatten();
        wires.map(|wire| wire.as_str().to_owned()).collect()
    }

    async fn deliver(&self, keys: &[WireKey], forget: impl Fn() + Send) -> Result<(), Error> {
        self.counters.add(Event::Invalidation, keys.len());
        let delivered = deliver(&self.namespace, keys, &Mark::finished(), &BTreeMap::new(), forget).await;
        delivered.map(drop).and(self.namespace.shared().writes.check_none_open())
    }
}

impl<Req, Res> CacheLayer<Req, Res>
where
    Req: CacheKey,
    Res: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Makes every tier forget the responses to those requests. Called after the write that changes them was acknowledged.
    ///
    /// When it returns, no call that begins on this node, and no answer from L2 on any node, gives an older response; other
    /// nodes' L1 follow when they have heard of it, and within their own life if the tier tells nobody: see
    /// [`Bus`](crate::Bus).
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered) if the shared tier could not be told: this node answers no older
    /// response, and goes on telling the tier till it succeeds; until then other nodes may answer one from there.
    /// [`Invalid`](crate::ErrorKind::Invalid) for a request over the limit, whose response no tier holds; the others are
    /// invalidated. The same inside an open transaction, as for [`Cache::invalidate`](crate::Cache::invalidate).
    ///
    /// # Cancel safety
    /// If it is dropped after it was first polled, it takes effect all the same; in the shared tier, some time later.
    ///
    /// # Concurrent calls on the same key
    /// Each makes every load that began before it unable to fill.
    pub async fn invalidate<I>(&self, requests: I) -> Result<(), Error>
    where
        I: IntoIterator<Item: Borrow<Req>>,
    {
        let parts = &*self.0;
        let mut refused = None;
        let mut keys = Vec::new();
        for request in requests {
            match parts.key(request.borrow()) {
                Ok(key) => keys.push(key),
                Err(error) => refused = Some(error),
            }
        }
        let wires: Vec<WireKey> = parts.format.wire(&keys).into_iter().collect::<Result<_, _>>()?;
        let forget = || keys.iter().for_each(|key| parts.stack.flights.forget(key, None));
        let delivered = if wires.is_empty() { Ok(()) } else { parts.deliver(&wires, forget).await };
        delivered.and(refused.map_or(Ok(()), Err))
    }

    /// Makes every tier forget every response: for a write of which it can't be told which requests it concerns.
    ///
    /// It is one request to the shared tier, however many responses there are. When it returns, what is true after
    /// [`invalidate`](Self::invalidate) is true of all.
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered), and [`Invalid`](crate::ErrorKind::Invalid) inside an open transaction, as
    /// for `invalidate`.
    ///
    /// # Cancel safety
    /// If it is dropped after it was first polled, it takes effect all the same; in the shared tier, some time later.
    pub async fn invalidate_all(&self) -> Result<(), Error> {
        let parts = &*self.0;
        let forget = || parts.stack.flights.forget_all();
        parts.deliver(std::slice::from_ref(&parts.depends_on), forget).await
    }

    /// What was counted since the layer was built, for all its services together; a request is a key.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.stats()
    }

    /// How many responses L1 holds, about.
    #[must_use]
    pub fn l1_len(&self) -> u64 {
        self.0.stack.store.as_ref().map_or(0, |store| store.len())
    }

    /// The text of a response's key in the shared tier.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a request over the limit.
    pub fn key_text(&self, request: &Req) -> Result<String, Error> {
        let mut wires = self.0.format.wire(&[self.0.key(request)?]);
        wires.pop().map_or_else(|| Ok(String::new()), |wire| wire.map(|wire| wire.as_str().to_owned()))
    }

    /// The namespace it is in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }
}

impl<Req, Res, S> Layer<S> for CacheLayer<Req, Res>
where
    Req: CacheKey + Clone,
    Res: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: Service<Req, Response = Res, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Service = CacheService<Req, Res>;

    fn layer(&self, service: S) -> Self::Service {
        let loader = RequestLoader::new(service, self.0.keep_if.clone());
        CacheService::new(Arc::clone(&self.0), self.0.stack.over(Arc::new(loader)))
    }
}

impl<Req, Res> Local for Parts<Req, Res>
where
    Req: CacheKey,
    Res: Send + Sync + 'static,
{
    fn projection(&self) -> Option<&str> {
        None
    }

    fn forget(&self, key: &str, token: Option<Token>) {
        let Some(text) = self.format.text_of(key) else { return };
        // Of a shortened text, the hash doesn't say which request's it is.
        if key == self.depends_on.as_str() || KeyFormat::is_shortened(text) {
            self.stack.flights.forget_all();
        } else {
            self.stack.flights.forget(&RequestKey::read(text), token);
        }
    }

    fn pk_columns(&self) -> Option<&[Cow<'static, str>]> {
        None
    }

    fn l1_entries(&self) -> Option<u64> {
        self.stack.store.as_ref().map(|store| store.len())
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn counted(&self) -> Option<CacheStats> {
        Some(CacheStats {
            scope: self.counters.traced()?.scope.clone(),
            stats: self.counters.stats(),
            l1_len: self.stack.store.as_ref().map_or(0, |store| store.len()),
            flights: self.stack.flights.under_way(),
        })
    }
}

impl<Req: CacheKey, Res> Clone for CacheLayer<Req, Res> {
    fn clone(&self) -> Self {
        CacheLayer(Arc::clone(&self.0))
    }
}

impl<Req: CacheKey, Res> fmt::Debug for CacheLayer<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<Req: CacheKey, Res> fmt::Debug for Parts<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("namespace", &self.namespace.name())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
