use std::fmt;

use http::HeaderName;
use tierstack_core::{Error, ErrorKind, Freshness, Namespace, Settings};

use super::GrpcCacheLayer;
use super::rules::GrpcRules;
use crate::Wishes;
use crate::kept::{Make, Options, check};

/// A [`GrpcCacheLayer`] being built. A name and a method are required.
#[must_use = "a layer exists once build() has checked it"]
pub struct GrpcCacheBuilder {
    namespace: Namespace,
    name: Box<str>,
    options: Options,
    methods: Vec<String>,
}

impl GrpcCacheBuilder {
    pub(super) fn new(namespace: Namespace, name: Box<str>) -> Self {
        GrpcCacheBuilder { namespace, name, options: Options::default(), methods: Vec::new() }
    }

    /// Chooses a unary method whose responses are kept, by its path: `/package.Service/Method`.
    pub fn method(mut self, path: impl Into<String>) -> Self {
        self.methods.push(path.into());
        self
    }

    /// Chooses an entry of a call's metadata that a response depends on. Its values become part of keys, which stand in L2
    /// for others to read. Default: none.
    pub fn metadata(mut self, name: HeaderName) -> Self {
        self.options.headers.push(name);
        self
    }

    /// Says that responses are the same whoever asks: calls with `authorization` or `cookie` get what others got, and others
    /// what they got. Check who may ask in a layer above this one. Default: they go past it.
    pub fn ignore_credentials(mut self) -> Self {
        self.options.ignores_credentials = true;
        self
    }

    /// Sets which wishes of a client are granted. Default: none.
    pub fn grant(mut self, wishes: Wishes) -> Self {
        self.options.wishes = wishes;
        self
    }

    /// Sets up to which size messages are looked at and kept, in bytes; longer ones pass. What is asked with must fit into a
    /// key, too: each of its bytes takes two of `max_key_bytes`. Default: 256 KiB.
    pub fn max_message_bytes(mut self, size: usize) -> Self {
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
    /// [`Invalid`](ErrorKind::Invalid) with a sentence that says what to change: no method, a credential as part of the key,
    /// a size that can't be, and what [`CacheLayerBuilder::build`](tierstack_core::CacheLayerBuilder::build) says.
    pub fn build(self) -> Result<GrpcCacheLayer, Error> {
        let GrpcCacheBuilder { namespace, name, options, methods } = self;
        check(&options)?;
        let is_path = |path: &String| path.starts_with('/') && path[1..].split('/').count() == 2;
        if methods.is_empty() || !methods.iter().all(is_path) {
            let text = "choose the methods whose responses are kept, each as /package.Service/Method";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let rules = GrpcRules { name: name.clone(), options: options.clone(), methods };
        Ok(GrpcCacheLayer(Make::new(&namespace, &name, options, rules)?))
    }
}

impl fmt::Debug for GrpcCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCacheBuilder")
            .field("name", &self.name)
            .field("options", &self.options)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}
