//! A namespace: what the caches of one application share.

mod builder;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use builder::NamespaceBuilder;

use crate::bus::{Hearing, Listening};
use crate::cache::CacheBuilder;
use crate::counters::Counters;
use crate::recorder::Traced;
use crate::tier::BoxFuture;
use crate::writes::{Touched, WriteStats, Writes};
use crate::{
    BusStats, CacheKey, CacheLayerBuilder, CacheStats, Clock, Entity, Error, KeyFormat, Mark, Moment, Random,
    Settings, Tier, Token,
};

/// A set of caches over one shared tier, whose keys begin with one name: one *node* of it, in this process.
///
/// If the tier tells of invalidations, a task of the namespace hears them, from the first lookup that L1 can't answer until
/// a shutdown, or until the namespace and its caches are dropped. See [`Bus`](crate::Bus).
///
/// What the tier could not be told of is sent again by a task of its own, which outlives the namespace: until it is
/// delivered, the runtime ends, or the namespace was [shut down](Self::shutdown).
///
/// Cloning it counts one reference up. It builds with the tier down.
#[derive(Clone)]
pub struct Namespace(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) name: Box<str>,
    /// As lookups see it.
    pub(crate) tier: Option<Arc<dyn Tier>>,
    pub(crate) writes: Arc<Writes>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// What to record with; `None` unless a recorder was handed in.
    pub(crate) traced: Option<Traced>,
    /// `None` if there is no tier, or it tells nobody.
    listening: Option<Listening>,
    /// The caches of each entity, by table: what an invalidation on this node must reach.
    caches: Mutex<HashMap<String, Vec<Weak<dyn Local>>>>,
    /// Keys of what other services cache, and this node need not.
    also: Box<[KeyFormat]>,
    drains: Mutex<Vec<Weak<dyn Drain>>>,
    /// A shutdown has begun.
    pub(crate) is_ending: AtomicBool,
}

/// What an invalidation does to one cache of this node, after it was done in the shared tier.
pub(crate) trait Local: Send + Sync {
    /// The name of the projection this cache holds; `None` for whole rows.
    fn projection(&self) -> Option<&str>;
    /// Forgets what it holds of that key of the shared tier, whoever's key it is: nobody joins what is looking it up, and
    /// L1 drops it unless it bears `token`. A key that all rows, or all that is derived from them, rest on is forgotten
    /// with what rests on it.
    fn forget(&self, key: &str, token: Option<Token>);
    /// The columns of the primary key; `None` if it caches a service's responses.
    fn pk_columns(&self) -> Option<&[Cow<'static, str>]>;
    /// How many entries L1 holds, about; `None` without one.
    fn l1_entries(&self) -> Option<u64>;
    /// What it has counted, and what failed last.
    fn counters(&self) -> &Counters;
    /// What it has counted; `None` if nothing is recorded.
    fn counted(&self) -> Option<CacheStats>;
}

/// Work behind answers, which goes on when the cache that began it is dropped.
pub trait Drain: Send + Sync {
    /// Begins none from now on, and waits until what is under way has ended.
    fn drain(&self) -> BoxFuture<'_, ()>;
}

impl Namespace {
    /// A namespace with that name, which begins every key of it.
    pub fn builder(name: impl Into<Box<str>>) -> NamespaceBuilder {
        NamespaceBuilder::new(name.into())
    }

    /// Begins a cache of an entity.
    pub fn cache<E: Entity>(&self) -> CacheBuilder<E> {
        CacheBuilder::new(self.clone())
    }

    /// Begins a layer that caches the responses of a service, under a name that nothing else in the namespace has. See
    /// [`cache_layer`](crate::cache_layer).
    pub fn cache_layer<Req, Res>(&self, name: impl Into<Box<str>>) -> CacheLayerBuilder<Req, Res>
    where
        Req: CacheKey,
        Res: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        CacheLayerBuilder::new(self.clone(), name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What was counted of its writes on this node.
    #[must_use]
    pub fn write_stats(&self) -> WriteStats {
        self.0.writes.stats()
    }

    /// Now, on the clock by which the lives and deadlines of its caches are judged.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.coarse()
    }

    /// The clock by which the lives and deadlines of its caches are judged.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Whether it hears of other nodes' invalidations, and what it has heard; `None` if its tier tells nobody.
    #[must_use]
    pub fn bus_stats(&self) -> Option<BusStats> {
        self.0.listening.as_ref().map(Listening::stats)
    }

    /// Ends the work behind answers: no refresh begins from now on, those under way are waited for, and nothing is heard of
    /// other nodes any more. Then what did not reach L2 of invalidations is delivered, as far as that succeeds within
    /// [`drain_for`](crate::WriteSettings::drain_for): it says of how many keys it did not. Lookups go on to be answered;
    /// what L1 takes from then on is brief.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped; it can be called again.
    pub async fn shutdown(&self) -> usize {
        self.0.is_ending.store(true, Ordering::Release);
        let drains: Vec<Arc<dyn Drain>> = self.drains().iter().filter_map(Weak::upgrade).collect();
        for drain in drains {
            drain.drain().await;
        }
        if let Some(listening) = &self.0.listening {
            listening.shutdown().await;
        }
        self.0.writes.drain().await
    }

    /// The caches that are there, each with its table or name.
    pub(crate) fn caches_by_table(&self) -> Vec<(String, Arc<dyn Local>)> {
        let caches = self.entered();
        let of_table = |(table, caches): (&String, &Vec<Weak<dyn Local>>)| {
            let there = caches.iter().filter_map(Weak::upgrade);
            there.map(|cache| (table.clone(), cache)).collect::<Vec<_>>()
        };
        caches.iter().flat_map(of_table).collect()
    }

    /// What hears, if the tier tells of invalidations.
    pub(crate) fn listening(&self) -> Option<&Listening> {
        self.0.listening.as_ref()
    }

    /// What says whether L1 may answer.
    pub(crate) fn hearing(&self) -> Arc<Hearing> {
        self.0
            .listening
            .as_ref()
            .map_or_else(Hearing::without_bus, |listening| Arc::clone(listening.hearing()))
    }

    /// How far what is heard may be behind; `None` if nothing is.
    pub(crate) fn deaf_after(&self) -> Option<Duration> {
        self.0.listening.as_ref().map(Listening::deaf_after)
    }

    /// Begins to hear, if that has not been done. For lookups that L1 can't answer; within a runtime.
    #[inline]
    pub(crate) fn listen(&self) {
        if let Some(listening) = &self.0.listening {
            listening.begin(|| {
                // Not a clone: the task must not keep the namespace.
                let shared = Arc::downgrade(&self.0);
                Arc::new(move |keys| {
                    let Some(shared) = shared.upgrade() else { return ControlFlow::Break(()) };
                    Namespace(shared).forget(keys.iter().map(|(key, token)| (&**key, *token)));
                    ControlFlow::Continue(())
                })
            });
        }
    }

    fn drains(&self) -> MutexGuard<'_, Vec<Weak<dyn Drain>>> {
        self.0.drains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters work that a shutdown must wait for, as long as it is there.
    pub fn enter_drain(&self, drain: Weak<dyn Drain>) {
        let mut drains = self.drains();
        drains.retain(|drain| drain.strong_count() > 0);
        drains.push(drain);
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    fn entered(&self) -> MutexGuard<'_, HashMap<String, Vec<Weak<dyn Local>>>> {
        self.0.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caches that are there.
    pub(crate) fn locals(&self) -> Vec<Arc<dyn Local>> {
        self.entered().values().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Enters a cache, unless there is one of that entity and projection, or of a service of that name: two would not hear
    /// of each other's settings.
    pub(crate) fn enter(&self, table: &str, cache: &Arc<impl Local + 'static>) -> Result<(), Error> {
        let mut caches = self.entered();
        let of_entity = caches.entry(table.to_owned()).or_default();
        of_entity.retain(|cache| cache.strong_count() > 0);
        let there: Vec<Arc<dyn Local>> = of_entity.iter().filter_map(Weak::upgrade).collect();
        let is_service = cache.pk_columns().is_none();
        if there.iter().any(|there| is_service || there.pk_columns().is_none()) {
            return Err(Error::invalid(format!(
                "namespace {:?} has a cache named {table:?} already, and a service's shares its name with no other: choose \
                 another for it, or clone its layer",
                self.0.name
            )));
        }
        if there.iter().any(|there| there.projection() == cache.projection()) {
            return Err(Error::invalid(format!(
                "namespace {:?} has a cache of {table:?}{} already: clone that one, or name another projection",
                self.0.name,
                cache.projection().map(|name| format!(" projected as {name:?}")).unwrap_or_default()
            )));
        }
        if there.iter().any(|there| there.pk_columns() != cache.pk_columns()) {
            return Err(Error::invalid(format!(
                "two caches of {table:?} name other primary key columns, or in another order: an invalidation by one \
                 would miss the rows of the other, make their schemas agree"
            )));
        }
        let cache: Arc<dyn Local> = Arc::clone(cache) as Arc<dyn Local>;
        of_entity.push(Arc::downgrade(&cache));
        Ok(())
    }

    /// Makes every tier forget all rows and responses of every entity and service that this node has a cache of, or was told
    /// of when it was built ([`also`](NamespaceBuilder::also)), and all that is derived from them. It costs L2 two records
    /// for each entity, however many rows there are.
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered) if the shared tier could not be told of all of it, and
    /// [`Invalid`](crate::ErrorKind::Invalid) inside an open transaction, as for
    /// [`Cache::invalidate`](crate::Cache::invalidate).
    ///
    /// # Cancel safety
    /// As for [`Cache::invalidate`](crate::Cache::invalidate).
    pub async fn invalidate_all(&self) -> Result<(), Error> {
        let entities: Vec<String> = self.entered().keys().cloned().collect();
        let mut touched = Touched::new(self);
        for entity in entities {
            touched.all_of(&KeyFormat::new(self.name(), &entity, None, &[], 0)?);
        }
        self.0.also.iter().for_each(|format| touched.all_of(format));
        if touched.is_empty() {
            return Ok(());
        }
        touched.mark(Mark::finished()).await.map(drop).and(self.0.writes.check_none_open())
    }

    /// Whether a floor stands longer than any load of a cache with those settings.
    pub(crate) fn check_right(&self, settings: &Settings) -> Result<(), Error> {
        let (floor_life, right_life) = (self.0.writes.settings.floor_life, settings.right_life());
        if floor_life > right_life {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "floor_life of the namespace's writes ({floor_life:?}) is not longer than a load may take ({right_life:?}): raise \
             it, or lower load_timeout"
        )))
    }

    /// Makes every cache of this node forget those keys of the shared tier, but for what bears the token beside the key.
    pub(crate) fn forget<'k>(&self, keys: impl IntoIterator<Item = (&'k str, Option<Token>)>) {
        let caches = self.locals();
        for (key, token) in keys {
            caches.iter().for_each(|cache| cache.forget(key, token));
        }
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.0.name).field("l2", &self.0.tier.is_some()).finish()
    }
}

/// Whether `name`, that of a `what`, can begin keys as it is.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Err(Error::invalid(format!(
            "{what} {:?}: name it with 1 to 64 letters, digits and _ . -",
            crate::key::shown(name)
        )));
    }
    Ok(())
}
