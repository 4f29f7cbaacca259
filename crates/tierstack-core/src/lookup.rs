//! Request and reply of a stack: a batch of keys in, one outcome per key out.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use smallvec::SmallVec;

use crate::{Age, Entry, Error, Keep, Level, Meta, Moment, Stamp, WriteToken};

/// Which entries satisfy a lookup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Accept {
    /// Fresh or stale ones; a stale one is renewed behind the answer.
    #[default]
    Stale,
    /// Fresh ones only.
    Fresh,
}

/// What a lookup allows; `Copy`, 16 bytes. The default reads every tier, loads, and takes stale entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// Instant by which the answer is due. Default: the settings' lookup timeout, from the call.
    pub deadline: Option<Moment>,
    /// Which entries satisfy it. Default: `Stale`.
    pub accept: Accept,
    /// Whether L1 may answer; it is filled in any case. Default: true.
    pub read_l1: bool,
    /// Whether L2 may answer. Default: true.
    pub read_l2: bool,
    /// Whether L2 is asked at all, for rights and fills too. Default: true.
    pub use_l2: bool,
    /// Whether the origin may be asked. Default: true.
    pub load: bool,
    /// Whether to wait for a key that another node is loading; if not, its outcome is `Ok(None)`, as for a background
    /// refresh, which would hold a task for somebody else's load. Default: true.
    pub wait: bool,
    /// Whether L2 may be written to: by leases, and fills.
    pub(crate) fill_l2: bool,
    /// Whether the answers may come in parts, as keys become known: what single flight asks of L2.
    pub(crate) in_parts: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            deadline: None,
            accept: Accept::Stale,
            read_l1: true,
            read_l2: true,
            use_l2: true,
            load: true,
            wait: true,
            fill_l2: true,
            in_parts: false,
        }
    }
}

/// What is asked of a stack: distinct keys, and the terms.
///
/// ```
/// use tierstack_core::{Accept, Lookup};
/// let lookup = Lookup::batch([3, 1, 3]).accept(Accept::Fresh).skip_l1();
/// assert_eq!(lookup.keys(), &[3, 1]);
/// ```
#[derive(Clone, Debug)]
pub struct Lookup<K> {
    keys: SmallVec<[K; 1]>,
    /// What it allows.
    pub terms: Terms,
    /// What few lookups have.
    pub(crate) extras: Option<Arc<Extras>>,
}

/// What few lookups have, so that the others carry one pointer for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    /// A write that an entry of L2 must have seen.
    pub(crate) seen: WriteToken,
}

impl<K> Lookup<K> {
    /// A lookup of one key.
    #[must_use]
    pub fn one(key: K) -> Self {
        Lookup::distinct(SmallVec::from_buf([key]), Terms::default())
    }

    /// A lookup of keys that the caller knows to be distinct, on given terms.
    #[must_use]
    pub(crate) fn distinct(keys: SmallVec<[K; 1]>, terms: Terms) -> Self {
        Lookup { keys, terms, extras: None }
    }

    /// The same with what few lookups have.
    #[must_use]
    pub(crate) fn with(mut self, extras: Option<Arc<Extras>>) -> Self {
        self.extras = extras;
        self
    }

    /// The keys: distinct, in the order of their first mention.
    #[must_use]
    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// The keys, by value.
    #[must_use]
    pub fn into_keys(self) -> SmallVec<[K; 1]> {
        self.keys
    }

    /// Sets which entries satisfy it.
    #[must_use]
    pub fn accept(mut self, accept: Accept) -> Self {
        self.terms.accept = accept;
        self
    }

    /// Reads past L1, which is filled with what is found.
    #[must_use]
    pub fn skip_l1(mut self) -> Self {
        self.terms.read_l1 = false;
        self
    }

    /// Neither reads nor fills L2: what is loaded has no right, so L1 keeps it briefly.
    #[must_use]
    pub fn skip_l2(mut self) -> Self {
        self.terms.use_l2 = false;
        self
    }

    /// Loads at the origin, whatever the tiers hold, and fills them.
    #[must_use]
    pub fn refresh(mut self) -> Self {
        self.terms.read_l1 = false;
        self.terms.read_l2 = false;
        self
    }

    /// Answers nothing older than a write, on whatever node that was made: L1, which doesn't know what its entries have seen,
    /// is read past, and filled; an entry in L2 counts only if it has seen the write, and is replaced if not; no lookup that
    /// began earlier is followed. After a write that leaves nothing to tell an entry by, the origin is asked, as by
    /// [`refresh`](Self::refresh). May be called for several writes.
    ///
    /// What is [invalidated](crate::Cache::invalidate) is not answered from L2 anyway: it is for a reader who may ask before,
    /// or on a node whose L1 has not heard of it.
    #[must_use]
    pub fn seen(mut self, write: &WriteToken) -> Self {
        if write.is_must_load() {
            self = self.refresh();
        }
        if !write.is_empty() {
            self.terms.read_l1 = false;
            let extras = Arc::make_mut(self.extras.get_or_insert_default());
            extras.seen = extras.seen.and(write);
        }
        self
    }

    /// Answers from the tiers only; a key that none of them holds has the outcome `Ok(None)`.
    #[must_use]
    pub fn never_load(mut self) -> Self {
        self.terms.load = false;
        self
    }

    /// Sets the instant by which the answer is due.
    #[must_use]
    pub fn deadline(mut self, deadline: Moment) -> Self {
        self.terms.deadline = Some(deadline);
        self
    }
}

impl<K: Clone + Eq + Hash> Lookup<K> {
    /// A lookup of many keys; a key named again is asked once.
    #[must_use]
    pub fn batch(keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter();
        let expected = keys.size_hint().0;
        let mut kept: SmallVec<[K; 1]> = SmallVec::with_capacity(expected);
        let mut seen: HashSet<K, foldhash::quality::RandomState> =
            HashSet::with_capacity_and_hasher(expected, foldhash::quality::RandomState::default());
        for key in keys {
            if seen.insert(key.clone()) {
                kept.push(key);
            }
        }
        Lookup::distinct(kept, Terms::default())
    }
}

/// What a lookup is told of one key.
#[derive(Debug)]
pub struct Answer<V> {
    /// The row, or its absence.
    pub entry: Entry<V>,
    /// Its lives, token and cost.
    pub meta: Meta,
    /// The tier that answered.
    pub source: Level,
    /// Fresh or stale, judged where it was found.
    pub age: Age,
    /// What a tier above may keep of it.
    pub keep: Keep,
    /// It was looked up for another caller who asked before.
    pub followed: bool,
    /// It is in L1 already.
    pub published: bool,
}

impl<V> Answer<V> {
    /// How long the entry stays fresh from `now`; zero if it is stale.
    #[must_use]
    pub fn fresh_for(&self, now: Moment) -> Duration {
        self.meta.fresh_until.since(now)
    }
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        Answer { entry: self.entry.clone(), ..*self }
    }
}

/// The outcome for one key. `Ok(None)`: nothing is known, as the lookup excluded the origin.
pub type Outcome<V> = Result<Option<Answer<V>>, Error>;

/// Outcomes that become known later, each with its key's place in the lookup. A place comes once.
pub(crate) type Rest<V> = Pin<Box<dyn Stream<Item = Vec<(usize, Outcome<V>)>> + Send>>;

/// The reply of a stack: the keys of the lookup, in its order, each with an outcome of its own.
pub struct Answers<K, V> {
    rows: SmallVec<[(K, Outcome<V>); 1]>,
    /// What is to come, if the lookup takes its answers in parts; its keys are `Ok(None)` till then.
    rest: Option<Rest<V>>,
    /// What the origin said about the moment of the load; taken by the layer that fills L2, and seen no higher.
    pub(crate) stamp: Option<Arc<Stamp>>,
}

impl<K, V> Answers<K, V> {
    /// The reply with these rows, in the lookup's order.
    #[must_use]
    pub fn new(rows: SmallVec<[(K, Outcome<V>); 1]>) -> Self {
        Answers { rows, rest: None, stamp: None }
    }

    /// The same outcome for all of `keys`.
    #[must_use]
    pub fn all(keys: SmallVec<[K; 1]>, outcome: &Outcome<V>) -> Self {
        Answers::new(keys.into_iter().map(|key| (key, outcome.clone())).collect())
    }

    /// Notes what the origin said about the moment of the load.
    #[must_use]
    pub fn stamped(mut self, stamp: Option<Stamp>) -> Self {
        self.stamp = stamp.map(Arc::new);
        self
    }

    /// Notes what is to come.
    pub(crate) fn with_rest(mut self, rest: Rest<V>) -> Self {
        self.rest = Some(rest);
        self
    }

    /// What is to come.
    pub(crate) fn take_rest(&mut self) -> Option<Rest<V>> {
        self.rest.take()
    }

    /// How many keys were asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Keys and outcomes, in the lookup's order.
    pub fn iter(&self) -> std::slice::Iter<'_, (K, Outcome<V>)> {
        self.rows.iter()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Answers<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<K, V> IntoIterator for Answers<K, V> {
    type Item = (K, Outcome<V>);
    type IntoIter = smallvec::IntoIter<[(K, Outcome<V>); 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Answers<K, V> {
    type Item = &'a (K, Outcome<V>);
    type IntoIter = std::slice::Iter<'a, (K, Outcome<V>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
