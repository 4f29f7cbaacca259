//! A namespace: what the caches of one application share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::cache::CacheBuilder;
use crate::tier::BoxFuture;
use crate::{Clock, Entity, Error, Moment, Random, Tier};

/// A set of caches over one shared tier, whose keys begin with one name: one *node* of it, in this process.
///
/// Cloning it counts one reference up. It builds with the tier down.
#[derive(Clone)]
pub struct Namespace(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) name: Box<str>,
    pub(crate) tier: Option<Arc<dyn Tier>>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// The caches of each entity, by table: what an invalidation on this node must reach.
    caches: Mutex<HashMap<String, Vec<Weak<dyn Local>>>>,
}

/// What an invalidation does to one cache of this node, after it was done in the shared tier.
pub(crate) trait Local: Send + Sync {
    /// The name of the projection this cache holds; `None` for whole rows.
    fn projection(&self) -> Option<&str>;
    /// Drops the rows with those key texts, and everything derived from the entity's rows.
    fn invalidate(&self, rows: &[&str]);
    /// Waits for work behind answers.
    fn drained(&self) -> BoxFuture<'_, ()>;
}

impl Namespace {
    /// A namespace with that name, which begins every key of it.
    pub fn builder(name: impl Into<Box<str>>) -> NamespaceBuilder {
        NamespaceBuilder { name: name.into(), tier: None, clock: Clock::system(), random: Random::system() }
    }

    /// Begins a cache of an entity.
    pub fn cache<E: Entity>(&self) -> CacheBuilder<E> {
        CacheBuilder::new(self.clone())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Now, on the clock by which the lives and deadlines of its caches are judged.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.coarse()
    }

    /// Waits until no refresh is under way behind an answer. Lookups that come later may start another.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped; it can be called again.
    pub async fn shutdown(&self) {
        let caches: Vec<Arc<dyn Local>> =
            self.caches().values().flatten().filter_map(Weak::upgrade).collect();
        for cache in caches {
            cache.drained().await;
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    fn caches(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Weak<dyn Local>>>> {
        self.0.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a cache, unless there is one of that entity and projection: two would not hear of each other's settings.
    pub(crate) fn enter(&self, table: &str, cache: &Arc<impl Local + 'static>) -> Result<(), Error> {
        let mut caches = self.caches();
        let of_entity = caches.entry(table.to_owned()).or_default();
        of_entity.retain(|cache| cache.strong_count() > 0);
        let twice =
            of_entity.iter().filter_map(Weak::upgrade).any(|there| there.projection() == cache.projection());
        if twice {
            return Err(Error::invalid(format!(
                "namespace {:?} has a cache of {table:?}{} already: clone that one, or name another projection",
                self.0.name,
                cache.projection().map(|name| format!(" projected as {name:?}")).unwrap_or_default()
            )));
        }
        let cache: Arc<dyn Local> = Arc::clone(cache) as Arc<dyn Local>;
        of_entity.push(Arc::downgrade(&cache));
        Ok(())
    }

    /// Drops rows from every cache of that entity on this node.
    pub(crate) fn invalidate_locally(&self, table: &str, rows: &[&str]) {
        let caches: Vec<Arc<dyn Local>> =
            self.caches().get(table).into_iter().flatten().filter_map(Weak::upgrade).collect();
        for cache in caches {
            cache.invalidate(rows);
        }
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.0.name).field("l2", &self.0.tier.is_some()).finish()
    }
}

/// A namespace being built.
#[must_use = "a namespace exists once build() has checked it"]
pub struct NamespaceBuilder {
    name: Box<str>,
    tier: Option<Arc<dyn Tier>>,
    clock: Clock,
    random: Random,
}

impl NamespaceBuilder {
    /// Sets the shared tier. Without one, L1 over the origin works.
    pub fn l2(self, tier: impl Tier) -> Self {
        self.l2_shared(Arc::new(tier))
    }

    /// Sets a tier that others hold too.
    pub fn l2_shared(mut self, tier: Arc<dyn Tier>) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the source of random draws. Default: the system's.
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Checks the settings. Asks no server, and needs no runtime.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, over 64 bytes, or has a character that would have to
    /// be escaped in every key.
    pub fn build(self) -> Result<Namespace, Error> {
        let NamespaceBuilder { name, tier, clock, random } = self;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(Error::invalid(format!(
                "namespace {:?}: name it with 1 to 64 letters, digits and _ . -",
                crate::key::shown(&name)
            )));
        }
        Ok(Namespace(Arc::new(Shared { name, tier, clock, random, caches: Mutex::default() })))
    }
}

impl fmt::Debug for NamespaceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
