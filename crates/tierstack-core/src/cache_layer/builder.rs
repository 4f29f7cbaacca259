//! Builds a layer: checks, and the parts of its stacks.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::layer::{CacheLayer, Parts};
use super::loader::KeepIf;
use crate::cache::stack_parts::{Make, Of};
use crate::counters::Counters;
use crate::schema::versioned;
use crate::{CacheKey, Error, Freshness, KeyFormat, L1, Namespace, Settings};

/// A [`CacheLayer`] being built. Nothing but the name is required.
#[must_use = "a layer exists once build() has checked it"]
pub struct CacheLayerBuilder<Req: CacheKey, Res> {
    namespace: Namespace,
    name: Box<str>,
    version: u16,
    l1: Option<L1<Res>>,
    keep_if: Option<KeepIf<Req, Res>>,
    freshness: Freshness,
    settings: Settings,
}

impl<Req, Res> CacheLayerBuilder<Req, Res>
where
    Req: CacheKey,
    Res: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    pub(crate) fn new(namespace: Namespace, name: Box<str>) -> Self {
        CacheLayerBuilder {
            namespace,
            name,
            version: 0,
            l1: None,
            keep_if: None,
            freshness: Freshness::default(),
            settings: Settings::default(),
        }
    }

    /// Sets the version, which is raised when responses change their type or their meaning. Of two releases that run side by
    /// side, the one with the higher version replaces the other's responses in L2, and the other reads past them. Default:
    /// 0.
    pub fn version(mut self, version: u16) -> Self {
        self.version = version;
        self
    }

    /// Sets the size and life of L1. Default: no L1.
    pub fn l1(mut self, l1: L1<Res>) -> Self {
        self.l1 = Some(l1);
        self
    }

    /// Keeps a response only if `keep` says so; any other is answered, and kept in no tier. Default: all are kept.
    ///
    /// Errors are never kept, and `keep` isn't asked of them.
    pub fn keep_if(mut self, keep: impl Fn(&Req, &Res) -> bool + Send + Sync + 'static) -> Self {
        self.keep_if = Some(Arc::new(keep));
        self
    }

    /// Sets how long responses live. There are no absences: an empty response is one like any other, and `absent_for` is of
    /// no matter.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Sets the limits and times. `loads_in_flight` bounds the calls of the service at once, for all services of the layer
    /// together. `max_batch` bounds one request of an invalidation to L2 only: each request of a caller is looked up and
    /// loaded by itself, so that a slow one delays no other.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Checks the settings and makes what the services will share. Asks no server, and needs no runtime.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change: a name that can't be or is taken by
    /// another layer or an entity, lives, limits or times that can't be.
    pub fn build(self) -> Result<CacheLayer<Req, Res>, Error> {
        let CacheLayerBuilder { namespace, name, version, l1, keep_if, mut freshness, settings } = self;
        crate::namespace::check_name("cache of a service", &name)?;
        freshness.absent_for = freshness.fresh_for;
        freshness.check()?;
        settings.check()?;
        namespace.check_right(&settings)?;
        let format = KeyFormat::new(namespace.name(), &name, None, &[], settings.max_key_bytes)?;
        let depends_on = format.special("all");
        let traced = namespace.shared().traced.as_ref();
        let traced = traced.map(|traced| traced.of(&name, None, (freshness.fresh_for, freshness.absent_for)));
        let counters = Arc::new(Counters::recorded(traced));
        let make = Make::new(&namespace, &settings, &freshness, &counters);
        let responses = Of {
            schema: versioned(version, &format!("response of {name:?}")),
            format: &format,
            depends_on: Some(&depends_on),
            one_by_one: true,
        };
        let stack = make.parts(&responses, l1.as_ref())?;
        let parts = Parts { namespace, name, settings, format, depends_on, counters, stack, keep_if };
        let parts = Arc::new(parts);
        parts.namespace.enter(&parts.name, &parts)?;
        Ok(CacheLayer(parts))
    }
}

impl<Req: CacheKey, Res> fmt::Debug for CacheLayerBuilder<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayerBuilder")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("l1", &self.l1)
            .field("freshness", &self.freshness)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
