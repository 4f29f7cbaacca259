//! Many rows at once: order, duplicates and holes kept.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use smallvec::SmallVec;

use super::{Cache, Event, Half, row};
use crate::recorder::Traced;
use crate::tier::BoxFuture;
use crate::{Answers, Entity, Error, IntoKey, Key, Lookup, Moment, Terms};

/// At least one key of a batch failed. It carries what became of all of them.
pub struct BatchError<V> {
    error: Error,
    outcomes: Vec<Result<Option<Arc<V>>, Error>>,
}

impl<V> BatchError<V> {
    /// The first failure.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// One result per key asked, in order.
    #[must_use]
    pub fn into_outcomes(self) -> Vec<Result<Option<Arc<V>>, Error>> {
        self.outcomes
    }

    pub(super) fn of_all(error: Error, count: usize) -> Self {
        BatchError { outcomes: (0..count).map(|_| Err(error.clone())).collect(), error }
    }

    pub(super) fn or_rows(outcomes: Vec<Result<Option<Arc<V>>, Error>>) -> Result<Vec<Option<Arc<V>>>, Self> {
        match outcomes.iter().find_map(|outcome| outcome.as_ref().err()) {
            Some(error) => Err(BatchError { error: error.clone(), outcomes }),
            None => Ok(outcomes.into_iter().flatten().collect()),
        }
    }
}

impl<V> fmt::Display for BatchError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.outcomes.iter().filter(|outcome| outcome.is_err()).count();
        write!(f, "{failed} of {} keys failed, the first with: {}", self.outcomes.len(), self.error)
    }
}

impl<V> fmt::Debug for BatchError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchError").field("error", &self.error).field("keys", &self.outcomes.len()).finish()
    }
}

impl<V> std::error::Error for BatchError<V> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<V> From<BatchError<V>> for Error {
    fn from(batch: BatchError<V>) -> Self {
        batch.error
    }
}

impl<E: Entity> Cache<E> {
    /// The rows with those keys: one per key asked, in that order, a duplicate as often as it was asked (the same
    /// `Arc`), `None` where the origin has no row.
    ///
    /// What L1 lacks costs one read of L2; what L2 lacks a lease, one load and a fill. So for each `max_batch` keys.
    ///
    /// # Errors
    /// [`BatchError`] if any key failed, with the outcomes of all.
    pub async fn objects_by_pks<I>(&self, pks: I) -> Result<Vec<Option<Arc<E>>>, BatchError<E>>
    where
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        self.objects(pks, None).await
    }

    /// The same by a deadline, if there is one already.
    pub(super) async fn objects<I>(
        &self,
        pks: I,
        deadline: Option<Moment>,
    ) -> Result<Vec<Option<Arc<E>>>, BatchError<E>>
    where
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let pks = pks.into_iter();
        let mut rows: Vec<Option<Arc<E>>> = Vec::with_capacity(pks.size_hint().0);
        // Where a key that L1 lacks is wanted, by its place among the missing.
        let mut holes: Vec<(usize, usize)> = Vec::new();
        let mut missing = Missing::default();
        let now = self.0.clock.coarse();
        let store = self.l1();
        for pk in pks {
            let pk = pk.into_key();
            let hit = store.and_then(|store| store.hit(&pk, now));
            rows.push(match hit {
                Some(entry) => entry.into_present(),
                None => {
                    holes.push((rows.len(), missing.place(pk)));
                    None
                }
            });
        }
        if holes.is_empty() {
            if let Some(traced) = self.0.counters.traced() {
                traced.hit(rows.len(), rows.iter().any(Option::is_none), &Vec::new);
            }
            return Ok(rows);
        }
        // Boxed, so that the future of a batch of hits is small.
        Box::pin(self.fill_holes(rows, holes, missing.keys, deadline)).await
    }

    async fn fill_holes(
        &self,
        mut rows: Vec<Option<Arc<E>>>,
        holes: Vec<(usize, usize)>,
        missing: SmallVec<[E::Pk; 1]>,
        deadline: Option<Moment>,
    ) -> Result<Vec<Option<Arc<E>>>, BatchError<E>> {
        let count = missing.len();
        let lookup = Lookup::distinct(missing, Terms { deadline, ..Terms::default() });
        let found: Vec<Result<Option<Arc<E>>, Error>> = match self.lookup(lookup).await {
            Ok(answers) => answers.into_iter().map(|(_, outcome)| row(outcome)).collect(),
            Err(error) => vec![Err(error); count],
        };
        if let Some(error) = found.iter().find_map(|found| found.as_ref().err()) {
            let error = error.clone();
            let mut outcomes: Vec<Result<Option<Arc<E>>, Error>> = rows.into_iter().map(Ok).collect();
            for (at, place) in holes {
                outcomes[at] = found[place].clone();
            }
            return Err(BatchError { error, outcomes });
        }
        for (at, place) in holes {
            if let Ok(found) = &found[place] {
                rows[at] = found.clone();
            }
        }
        Ok(rows)
    }

    /// The rows with those keys that exist: the compact form of [`objects_by_pks`](Self::objects_by_pks).
    ///
    /// # Errors
    /// [`BatchError`] if any key failed.
    pub async fn present_by_pks<I>(&self, pks: I) -> Result<Vec<Arc<E>>, BatchError<E>>
    where
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        Ok(self.objects_by_pks(pks).await?.into_iter().flatten().collect())
    }

    /// By when a lookup that begins now is due, if it doesn't say.
    pub(super) fn deadline(&self) -> Moment {
        self.0.clock.coarse().plus(self.0.settings.lookup_timeout)
    }

    /// Asks one of the stacks, and counts what it tells of each key.
    pub(super) async fn ask<K: Key, V: Send + Sync + 'static>(
        &self,
        half: &Half<K, V>,
        lookup: Lookup<K>,
    ) -> Result<Answers<K, V>, Error> {
        let count = lookup.keys().len();
        let answers = self.begin(half, lookup).await;
        self.told(count, &answers);
        answers
    }

    /// Begins to ask one of the stacks.
    pub(super) fn begin<'a, K: Key, V: Send + Sync + 'static>(
        &'a self,
        half: &'a Half<K, V>,
        lookup: Lookup<K>,
    ) -> BoxFuture<'a, Result<Answers<K, V>, Error>> {
        self.0.namespace.listen();
        match self.0.counters.traced() {
            None => self.ask_stack(half, lookup),
            Some(traced) => Box::pin(self.ask_traced(traced, half, lookup)),
        }
    }

    /// Counts what a stack told of so many keys.
    pub(super) fn told<K, V>(&self, keys: usize, answers: &Result<Answers<K, V>, Error>) {
        match answers {
            Ok(answers) => answers.iter().for_each(|(_, outcome)| self.0.counters.told(outcome)),
            Err(_) => self.0.counters.add(Event::Error, keys),
        }
    }

    /// Asks within a span; without one where nobody is recorded and L1 holds all.
    async fn ask_traced<K: Key, V: Send + Sync + 'static>(
        &self,
        traced: &Traced,
        half: &Half<K, V>,
        lookup: Lookup<K>,
    ) -> Result<Answers<K, V>, Error> {
        let terms = lookup.terms;
        let now = self.0.clock.coarse();
        let store = half.store.as_ref().filter(|_| terms.read_l1 && self.1.is_none());
        let in_l1 = |key: &K| store.is_some_and(|store| store.peek(key, now, terms.accept).is_some());
        if traced.is_alone() && lookup.keys().iter().all(in_l1) {
            return self.ask_stack(half, lookup).await;
        }
        let mut doing = traced.look(lookup.keys().len(), &|| self.texts(lookup.keys()));
        let answers = doing.scope(self.ask_stack(half, lookup)).await;
        doing.told(&answers);
        answers
    }

    /// Asks a stack, by a deadline. The future of one key is the stack's own, and small.
    fn ask_stack<'a, K: Key, V: Send + Sync + 'static>(
        &'a self,
        half: &'a Half<K, V>,
        mut lookup: Lookup<K>,
    ) -> BoxFuture<'a, Result<Answers<K, V>, Error>> {
        lookup.terms.deadline.get_or_insert_with(|| self.deadline());
        if let Some(write) = &self.1 {
            lookup = lookup.seen(write);
        }
        if lookup.keys().len() == 1 && self.0.format.admit(&lookup.keys()[0]).is_ok() {
            return half.stack.ask_boxed(lookup);
        }
        Box::pin(self.ask_in_parts(half, lookup))
    }

    /// Asks in parts of at most `max_batch` keys, a few at a time.
    async fn ask_in_parts<K: Key, V: Send + Sync + 'static>(
        &self,
        half: &Half<K, V>,
        lookup: Lookup<K>,
    ) -> Result<Answers<K, V>, Error> {
        let settings = &self.0.settings;
        let (terms, extras) = (lookup.terms, lookup.extras.clone());
        // A key over the limit is refused before any tier is asked, and costs the others nothing.
        let mut answers: SmallVec<[_; 1]> = SmallVec::with_capacity(lookup.keys().len());
        let mut refused = Vec::new();
        let mut admitted: SmallVec<[K; 1]> = SmallVec::with_capacity(lookup.keys().len());
        for (place, key) in lookup.into_keys().into_iter().enumerate() {
            match self.0.format.admit(&key) {
                Ok(()) => admitted.push(key),
                Err(error) => refused.push((place, (key, Err(error)))),
            }
        }
        if admitted.len() <= settings.max_batch {
            if !admitted.is_empty() {
                answers.extend(half.stack.ask(Lookup::distinct(admitted, terms).with(extras)).await?);
            }
        } else {
            let mut parts = Vec::new();
            let mut rest = admitted.into_iter().peekable();
            while rest.peek().is_some() {
                let keys = rest.by_ref().take(settings.max_batch).collect();
                parts.push(half.stack.ask(Lookup::distinct(keys, terms).with(extras.clone())));
            }
            let mut parts = stream::iter(parts).buffered(settings.batches_in_flight);
            while let Some(part) = parts.next().await {
                answers.extend(part?);
            }
        }
        for (place, row) in refused {
            answers.insert(place, row);
        }
        Ok(Answers::new(answers))
    }
}

/// Distinct keys that L1 lacks, each with its place.
struct Missing<K> {
    keys: SmallVec<[K; 1]>,
    places: HashMap<K, usize, foldhash::quality::RandomState>,
}

impl<K> Default for Missing<K> {
    fn default() -> Self {
        Missing { keys: SmallVec::new(), places: HashMap::default() }
    }
}

impl<K: Key> Missing<K> {
    fn place(&mut self, key: K) -> usize {
        let next = self.keys.len();
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.keys.push(key);
        }
        place
    }
}
