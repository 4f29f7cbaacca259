use std::fmt;

use axum::http::HeaderName;
use tierstack_core::{Error, Freshness, Namespace, Settings};

use super::ResponseCacheLayer;
use super::rules::HttpRules;
use crate::Wishes;
use crate::kept::{Make, Options, check};

/// A [`ResponseCacheLayer`] being built. Nothing but the name is required.
#[must_use = "a layer exists once build() has checked it"]
pub struct ResponseCacheBuilder {
    namespace: Namespace,
    name: Box<str>,
    options: Options,
    query: Option<Vec<String>>,
    any_host: bool,
}

impl ResponseCacheBuilder {
    pub(super) fn new(namespace: Namespace, name: Box<str>) -> Self {
        ResponseCacheBuilder { namespace, name, options: Options::default(), query: None, any_host: false }
    }

    /// Chooses the parameters of the query that a response depends on; any others make no difference. Names are compared as
    /// a form decodes them. Default: the whole query, as it is written.
    pub fn query<I>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.query = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Chooses a header of requests that a response depends on, as handlers say by `Vary`. Its values become part of keys,
    /// which stand in L2 for others to read. Default: none.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.options.headers.push(name);
        self
    }

    /// Says that responses are the same for all hosts that the application is asked by. Default: each has its own.
    pub fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Says that responses are the same whoever asks: requests with `Authorization` or `Cookie` get what others got, and
    /// others what they got. Check who may ask in a layer above this one. Default: they go past it.
    pub fn ignore_credentials(mut self) -> Self {
        self.options.ignores_credentials = true;
        self
    }

    /// Sets which wishes of a client are granted. Default: none.
    pub fn grant(mut self, wishes: Wishes) -> Self {
        self.options.wishes = wishes;
        self
    }

    /// Sets up to which size bodies are kept, in bytes; longer ones pass. Default: 256 KiB.
    pub fn max_body_bytes(mut self, size: usize) -> Self {
        self.options.max_body_bytes = size;
        self
    }

    /// Sets how much memory the responses of L1 take, about, in bytes; `None` goes without. Default: 64 MiB.
    pub fn l1_bytes(mut self, size: Option<u64>) -> Self {
        self.options.l1_bytes = size;
        self
    }

    /// Sets how long responses live. `absent_for` is of no matter.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.options.freshness = freshness;
        self
    }

    /// Sets the limits and times; see [`CacheLayerBuilder::settings`](tierstack_core::CacheLayerBuilder::settings).
    pub fn settings(mut self, settings: Settings) -> Self {
        self.options.settings = settings;
        self
    }

    /// Checks the settings. Asks no server, and needs no runtime.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) with a sentence that says what to change: a credential as part of
    /// the key, a size that can't be, and what [`CacheLayerBuilder::build`](tierstack_core::CacheLayerBuilder::build) says.
    pub fn build(self) -> Result<ResponseCacheLayer, Error> {
        let ResponseCacheBuilder { namespace, name, options, query, any_host } = self;
        check(&options)?;
        let rules = HttpRules { name: name.clone(), options: options.clone(), query, any_host };
        Ok(ResponseCacheLayer(Make::new(&namespace, &name, options, rules)?))
    }
}

impl fmt::Debug for ResponseCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCacheBuilder")
            .field("name", &self.name)
            .field("options", &self.options)
            .field("query", &self.query)
            .field("any_host", &self.any_host)
            .finish_non_exhaustive()
    }
}
