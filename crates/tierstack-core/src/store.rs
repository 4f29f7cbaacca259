//! The store that the L1 layer, single flight, the handle and invalidations share.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bus::Hearing;
use crate::counters::Counters;
use crate::freshness::{judge, satisfies};
use crate::mutants::{Mechanism, is_off};
use crate::{Accept, Age, Answer, Clock, Entry, Keep, Key, Level, Meta, Moment, Token};

type Hasher = foldhash::quality::RandomState;

/// What makes way for what when L1 is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eviction {
    /// The least recently used goes.
    #[default]
    Lru,
    /// A newcomer is let in only if it is asked more often than what it would replace (TinyLFU).
    TinyLfu,
}

/// An entry as L1 holds it: 56 bytes, inline in moka.
struct Held<V> {
    entry: Entry<V>,
    meta: Meta,
    /// The store's generation at its reservation: an entry of another generation never answers.
    generation: u32,
    /// The subscription under which its invalidation would be heard: it answers only while that lasts. 0: it ends soon
    /// enough by itself, or there is no bus.
    heard: u32,
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Self {
        Held { entry: self.entry.clone(), ..*self }
    }
}

const STRIPES: usize = 1_024;

/// A lock and a count of the invalidations of the keys that share it.
#[derive(Default)]
struct Stripe {
    publishing: Mutex<()>,
    epoch: AtomicU64,
}

/// The right to publish one key, as long as nothing invalidates it.
#[derive(Clone, Copy, Debug)]
pub struct Reservation {
    stripe: u32,
    generation: u32,
    heard: u32,
    epoch: u64,
    /// When it was taken: the entry's life in L1 is counted from here, as what is found below may be that old.
    at: Moment,
}

/// Decoded entries in memory, by typed key.
pub struct Store<K, V> {
    cache: moka::sync::Cache<K, Held<V>, Hasher>,
    generation: AtomicU32,
    stripes: Box<[Stripe]>,
    hasher: Hasher,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
    life: Option<Duration>,
    brief_for: Duration,
    pub(crate) hearing: Arc<Hearing>,
}

/// Weighs a row.
pub(crate) type Weigh<V> = Arc<dyn Fn(&V) -> u32 + Send + Sync>;

/// How the store of an entity is sized; see [`L1`](crate::L1).
pub(crate) struct Size<V> {
    pub(crate) capacity: u64,
    pub(crate) weigh: Option<Weigh<V>>,
    pub(crate) eviction: Eviction,
    pub(crate) life: Option<Duration>,
}

impl<K, V> Store<K, V> {
    /// Over an L2 that tells nobody of invalidations, an entry answers from L1 this long at most, unless
    /// [`L1::life`](crate::L1::life) says otherwise: so long may another node's write go unseen here.
    pub const DEFAULT_LIFE_OVER_L2: Duration = Duration::from_secs(5);

    /// How long an entry may answer from L1; `None` if its own life is the only bound.
    #[must_use]
    pub fn life(&self) -> Option<Duration> {
        self.life
    }
}

impl<K: Key, V: Send + Sync + 'static> Store<K, V> {
    pub(crate) fn new(
        size: Size<V>,
        brief_for: Duration,
        clock: Clock,
        counters: Arc<Counters>,
        hearing: Arc<Hearing>,
    ) -> Self {
        let Size { capacity, weigh, eviction, life } = size;
        let policy = match eviction {
            Eviction::Lru => moka::policy::EvictionPolicy::lru(),
            Eviction::TinyLfu => moka::policy::EvictionPolicy::tiny_lfu(),
        };
        let mut cache = moka::sync::Cache::builder().max_capacity(capacity).eviction_policy(policy);
        if let Some(weigh) = weigh {
            cache = cache.weigher(move |_: &K, held: &Held<V>| match &held.entry {
                Entry::Present(value) => weigh(value).max(1),
                Entry::Absent => 1,
            });
        }
        Store {
            cache: cache.build_with_hasher(Hasher::default()),
            generation: AtomicU32::new(0),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
            hasher: Hasher::default(),
            clock,
            counters,
            life,
            brief_for,
            hearing,
        }
    }

    /// The entry at `key`, if it satisfies `accept` at `now`. Counts nothing.
    #[inline]
    pub fn peek(&self, key: &K, now: Moment, accept: Accept) -> Option<(Entry<V>, Meta, Age)> {
        let hears_until = self.hearing.until();
        let held = self.cache.get(key)?;
        if held.generation != self.generation.load(Ordering::Acquire) {
            return None;
        }
        let is_deaf = now > hears_until || held.heard != self.hearing.generation();
        if held.heard != 0 && is_deaf && !is_off(Mechanism::Heartbeat) {
            return None;
        }
        let age = judge(&held.meta, now);
        satisfies(age, accept).then_some((held.entry, held.meta, age))
    }

    /// The entry at `key` if it is fresh, counted: what the handle peeks at before it asks the stack.
    #[inline]
    pub(crate) fn hit(&self, key: &K, now: Moment) -> Option<Entry<V>> {
        let (entry, meta, _) = self.peek(key, now, Accept::Fresh)?;
        self.counters.hit(entry.is_absent(), &meta, now);
        Some(entry)
    }

    /// The same as an answer; counts nothing.
    #[inline]
    pub(crate) fn answer(&self, key: &K, now: Moment, accept: Accept) -> Option<Answer<V>> {
        let (entry, meta, age) = self.peek(key, now, accept)?;
        Some(Answer {
            entry,
            meta,
            source: Level::L1,
            age,
            keep: Keep::Life,
            followed: false,
            published: true,
        })
    }

    /// Reserves the publication of what will be found below for `key`. Taken before asking there.
    pub fn reserve(&self, key: &K) -> Reservation {
        self.reserve_at(key, self.clock.coarse())
    }

    /// The same for each of `keys`, at one reading of the clock.
    pub(crate) fn reserve_all<R: FromIterator<Reservation>>(&self, keys: &[K]) -> R {
        let at = self.clock.coarse();
        keys.iter().map(|key| self.reserve_at(key, at)).collect()
    }

    fn reserve_at(&self, key: &K, at: Moment) -> Reservation {
        let generation = self.generation.load(Ordering::Acquire);
        let stripe = self.stripe_of(key);
        let epoch = self.stripes[stripe].epoch.load(Ordering::Acquire);
        let heard = self.hearing.generation();
        Reservation { stripe: stripe as u32, generation, heard, epoch, at }
    }

    /// Keeps what was found below, if nothing invalidated the key since it was reserved; whether it did.
    ///
    /// Briefly, if an invalidation since then may have gone unheard: what L2 holds, or has taken, was not older than any
    /// write that was acknowledged when it was reserved.
    ///
    /// # Concurrent calls on the same key
    /// The last one wins, unless an invalidation came first.
    pub fn publish(&self, key: &K, reservation: Reservation, answer: &Answer<V>) -> bool {
        let Reservation { at, heard, .. } = reservation;
        let is_heard = heard == 0 || self.hearing.heard(self.clock.coarse()) == Some(heard);
        let (end, heard) = match answer.keep {
            Keep::Nothing | Keep::Private => return false,
            Keep::Life if is_heard => (self.life.map_or(Moment::NEVER, |life| at.plus(life)), heard),
            Keep::Life => (at.plus(self.brief_for.min(self.life.unwrap_or(self.brief_for))), 0),
            Keep::BriefSince(began) => (began.plus(self.brief_for), 0),
        };
        let held = Held {
            entry: answer.entry.clone(),
            meta: answer.meta.ending_by(end),
            generation: reservation.generation,
            heard,
        };
        let stripe = &self.stripes[reservation.stripe as usize];
        let _publishing = stripe.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = is_off(Mechanism::Reservation)
            || stripe.epoch.load(Ordering::Acquire) == reservation.epoch
                && self.generation.load(Ordering::Acquire) == reservation.generation;
        if stands {
            self.cache.insert(key.kept(), held);
        }
        stands
    }

    /// Voids the reservations of `key` that were taken until now; its entry stays.
    pub(crate) fn supersede(&self, key: &K) {
        let stripe = &self.stripes[self.stripe_of(key)];
        let _publishing = stripe.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        stripe.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Drops the entry at `key`, and voids reservations of it.
    pub fn invalidate(&self, key: &K) {
        self.invalidate_unless(key, None);
    }

    /// The same, but keeps an entry that bears `token`: it is what L2 holds since the invalidation.
    pub(crate) fn invalidate_unless(&self, key: &K, token: Option<Token>) {
        let stripe = &self.stripes[self.stripe_of(key)];
        let _publishing = stripe.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        stripe.epoch.fetch_add(1, Ordering::AcqRel);
        let kept =
            token.is_some_and(|token| self.cache.get(key).is_some_and(|held| held.meta.token == token));
        if !kept {
            self.cache.invalidate(key);
        }
    }

    /// Drops every entry, and voids every reservation, at once: entries of an older generation never answer, and make
    /// way as others come.
    pub fn invalidate_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes an entry away as an eviction would: reservations stand.
    pub fn evict(&self, key: &K) {
        self.cache.invalidate(key);
    }

    /// How many entries it holds, about.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.cache.run_pending_tasks();
        self.cache.entry_count()
    }

    /// Whether it holds none, about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn stripe_of(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % STRIPES
    }
}

impl<K, V> fmt::Debug for Store<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("life", &self.life).finish_non_exhaustive()
    }
}
