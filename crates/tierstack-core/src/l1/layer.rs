//! How L1 is sized, and the layer over a store.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::service::L1Service;
use crate::bus::Hearing;
use crate::counters::Counters;
use crate::store::{Eviction, Size, Store, Weigh};
use crate::{Clock, Error, Key, Settings};

/// The size and life of L1.
///
/// ```
/// use std::time::Duration;
/// use tierstack_core::L1;
/// let by_count = L1::<String>::capacity(100_000).life(Duration::from_secs(5));
/// let by_size = L1::weighed(64 << 20, |title: &String| title.len() as u32);
/// ```
#[must_use]
pub struct L1<V> {
    capacity: u64,
    weigh: Option<Weigh<V>>,
    eviction: Eviction,
    life: Option<Duration>,
}

impl<V> L1<V> {
    /// At most `entries` entries.
    pub fn capacity(entries: u64) -> Self {
        L1 { capacity: entries, weigh: None, eviction: Eviction::default(), life: None }
    }

    /// Entries of at most `weight` in all, each weighed by `weigh`; an absence weighs 1.
    pub fn weighed(weight: u64, weigh: impl Fn(&V) -> u32 + Send + Sync + 'static) -> Self {
        L1 { weigh: Some(Arc::new(weigh)), ..L1::capacity(weight) }
    }

    /// Sets how long an entry may answer from L1. Default: its own life, where invalidations are heard, or there is no L2;
    /// 5 s over an L2 that tells nobody of them.
    pub fn life(mut self, life: Duration) -> Self {
        self.life = Some(life);
        self
    }

    /// Sets what makes way when it is full. Default: the least recently used.
    pub fn eviction(mut self, eviction: Eviction) -> Self {
        self.eviction = eviction;
        self
    }

    /// The same for the lists of an entity: so many primary keys in all.
    pub(crate) fn for_lists<K: Send + Sync + 'static>(&self, pks: u64) -> L1<Vec<K>> {
        let weigh = |list: &Vec<K>| u32::try_from(list.len()).unwrap_or(u32::MAX);
        L1 { eviction: self.eviction, life: self.life, ..L1::weighed(pks, weigh) }
    }

    /// The store, over an L2 or not. It hears of no other node's invalidations.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a capacity of zero or beyond any memory, or a life of zero.
    pub fn store<K: Key>(
        &self,
        over_l2: bool,
        settings: &Settings,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Result<Store<K, V>, Error>
    where
        V: Send + Sync + 'static,
    {
        let life = over_l2.then_some(Store::<K, V>::DEFAULT_LIFE_OVER_L2);
        self.store_that_hears(life, settings, clock, counters, Hearing::without_bus())
    }

    /// The store, whose entries answer for `life` if nothing else was said.
    pub(crate) fn store_that_hears<K: Key>(
        &self,
        life: Option<Duration>,
        settings: &Settings,
        clock: Clock,
        counters: Arc<Counters>,
        hearing: Arc<Hearing>,
    ) -> Result<Store<K, V>, Error>
    where
        V: Send + Sync + 'static,
    {
        if self.capacity == 0 {
            return Err(Error::invalid(
                "L1's capacity is 0: leave l1() out to go without, or give it a capacity",
            ));
        }
        if self.weigh.is_none() && self.capacity > u64::from(u32::MAX) {
            return Err(Error::invalid(format!(
                "L1's capacity is {} entries: set it to what fits in memory, at most {}",
                self.capacity,
                u32::MAX
            )));
        }
        if self
            .life
            .is_some_and(|life| life < Duration::from_millis(1) || life > crate::freshness::LONGEST_LIFE)
        {
            return Err(Error::invalid("L1's life is set below 1 ms or above 366 days: set it in between"));
        }
        let size = Size {
            capacity: self.capacity,
            weigh: self.weigh.clone(),
            eviction: self.eviction,
            life: self.life.or(life),
        };
        Ok(Store::new(size, settings.brief_for, clock, counters, hearing))
    }
}

impl<V> Clone for L1<V> {
    fn clone(&self) -> Self {
        L1 { weigh: self.weigh.clone(), ..*self }
    }
}

impl<V> fmt::Debug for L1<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let L1 { capacity, weigh, eviction, life } = self;
        let mut shown = f.debug_struct("L1");
        shown.field("capacity", capacity).field("weighed", &weigh.is_some());
        shown.field("eviction", eviction).field("life", life).finish()
    }
}

/// Answers lookups from a [`Store`], and publishes there what it finds below.
#[derive(Debug)]
pub struct L1Layer<K, V> {
    store: Arc<Store<K, V>>,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> L1Layer<K, V> {
    /// A layer over `store`; all services it makes share it.
    #[must_use]
    pub fn new(store: Arc<Store<K, V>>) -> Self {
        L1Layer { store, types: PhantomData }
    }
}

impl<K, V> Clone for L1Layer<K, V> {
    fn clone(&self) -> Self {
        L1Layer::new(Arc::clone(&self.store))
    }
}

impl<K, V, S> Layer<S> for L1Layer<K, V> {
    type Service = L1Service<K, V, S>;

    fn layer(&self, inner: S) -> Self::Service {
        L1Service::new(Arc::clone(&self.store), inner)
    }
}
