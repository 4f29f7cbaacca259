//! The handle: what an application calls.

mod batch;
mod builder;
pub(crate) mod invalidation;
mod queries;
pub(crate) mod stack_parts;

use std::fmt;
use std::sync::Arc;

pub use batch::BatchError;
pub use builder::CacheBuilder;

use crate::counters::{Counters, Event};
use crate::l2::L2Options;
use crate::single_flight::Flights;
use crate::store::Store;
use crate::tier::BoxFuture;
use crate::{
    Answers, Bound, Clock, Entity, Error, ErrorKind, Health, IntoKey, Key, KeyFormat, Lookup, Namespace,
    Outcome, RowKey, Schema, Settings, Stack, Stats, WireKey, WriteToken,
};

/// A read-through cache of one entity. Cloning it counts one reference up.
///
/// Built by [`Namespace::cache`], or [`Cache::builder`] for a namespace of one entity.
///
/// # Concurrent calls on the same key
/// A hit is answered from L1. Of several misses in this process one is looked up, and the others follow it, each until
/// its own deadline; of several nodes one takes the right to fill the key in L2 and loads, and the others wait for it a
/// bounded time. A caller that asks after an invalidation has returned follows nothing that began before it.
///
/// # Runtimes
/// What it looks up runs in tasks of the runtime of whoever asked. Several may share a cache, and each may end; one that
/// stands still, as between two `block_on` of a runtime of one thread, holds up whoever waits for its tasks.
///
/// # Cancel safety
/// Every method may be dropped at any await. What it looked up goes on, for others and for the tiers; an
/// `invalidate` that was polled takes effect, though it is dropped.
pub struct Cache<E: Entity>(Arc<Parts<E>>, Seen);

/// What every lookup of a handle must have seen; mostly nothing.
type Seen = Option<Arc<WriteToken>>;

/// What the clones of a cache share.
struct Parts<E: Entity> {
    namespace: Namespace,
    schema: Schema,
    settings: Settings,
    format: KeyFormat,
    /// The format of whole rows, and the record that everything derived rests on.
    rows_format: KeyFormat,
    depends_on: WireKey,
    /// The record that all whole rows rest on.
    all_rows: WireKey,
    clock: Clock,
    counters: Arc<Counters>,
    objects: Half<E::Pk, E>,
    /// `None` if the origin answers no queries.
    index: Option<Half<Bound<E>, Vec<E::Pk>>>,
}

/// One of the two stacks of an entity, with what the handle reaches past it.
pub(crate) struct Half<K, V> {
    stack: Stack<K, V>,
    store: Option<Arc<Store<K, V>>>,
    flights: Arc<Flights<K, V>>,
    /// What its records are written with; `None` if there is no L2.
    l2: Option<Arc<L2Options>>,
}

impl<E: Entity> Cache<E> {
    /// Begins a cache in a namespace of its own.
    ///
    /// # Errors
    /// Those of [`NamespaceBuilder::build`](crate::NamespaceBuilder::build).
    pub fn builder(namespace: &str) -> Result<CacheBuilder<E>, Error> {
        Ok(Namespace::builder(namespace).build()?.cache())
    }

    /// The row with that key, or `None` if the origin has none.
    ///
    /// ```
    /// # use tierstack_core::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)] struct Film { film_id: i32 }
    /// # impl Entity for Film {
    /// #     type Pk = i32;
    /// #     fn schema() -> Schema { Schema::table("film").pk(["film_id"]).columns(["film_id"]) }
    /// #     fn pk(&self) -> i32 { self.film_id }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let films = Cache::<Film>::builder("shop")?
    ///     .l1(L1::capacity(1_000))
    ///     .origin(origin_fn(|keys: Vec<i32>| async move {
    ///         let rows = keys.into_iter().filter(|id| *id < 100).map(|film_id| (film_id, Film { film_id }));
    ///         Ok::<_, std::io::Error>(rows.collect())
    ///     }))
    ///     .build()?;
    /// assert_eq!(films.get(7).await?.unwrap().film_id, 7);
    /// assert!(films.get(100).await?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Origin`](ErrorKind::Origin) and its like if it had to be loaded and that failed; [`Invalid`](ErrorKind::Invalid)
    /// for a key over the limit. A failing L2 is none.
    pub async fn get(&self, pk: impl IntoKey<E::Pk>) -> Result<Option<Arc<E>>, Error> {
        let pk = pk.into_key();
        if let Some(store) = self.l1()
            && let Some(entry) = store.hit(&pk, self.0.clock.coarse())
        {
            if let Some(traced) = self.0.counters.traced() {
                traced.hit(1, entry.is_absent(), &|| self.texts(std::slice::from_ref(&pk)));
            }
            return Ok(entry.into_present());
        }
        // All that it holds meanwhile is the stack's future, boxed: what is moved before it is polled is small.
        let answers = self.begin_one(pk).await;
        self.told(1, &answers);
        row(answers?.into_iter().next().map_or(Ok(None), |(_, outcome)| outcome))
    }

    #[cold]
    fn begin_one(&self, pk: E::Pk) -> BoxFuture<'_, Result<Answers<E::Pk, E>, Error>> {
        self.begin(&self.0.objects, Lookup::one(pk))
    }

    /// The row with that key.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the origin has none, which is cached as for [`get`](Self::get); else those
    /// of `get`.
    pub async fn require(&self, pk: impl IntoKey<E::Pk>) -> Result<Arc<E>, Error> {
        self.get(pk).await?.ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("{} has no such row", self.0.schema.table))
    }

    /// The key in a user's text: a path segment, a query parameter. Asks no tier.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the text and what was expected.
    pub fn parse_pk(&self, text: &str) -> Result<E::Pk, Error> {
        E::Pk::parse(text)
    }

    /// A handle of the same cache, none of whose lookups and lists is answered with anything older than that write; see
    /// [`Lookup::seen`]. For one who reads his own write, on whatever node he made it.
    ///
    /// ```
    /// # use tierstack_core::{Cache, Entity, Error, WriteToken};
    /// # async fn example<E: Entity<Pk = i32>>(films: Cache<E>, written: &str) -> Result<(), Error> {
    /// let written: WriteToken = written.parse()?;
    /// let film = films.seen(&written).get(7).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn seen(&self, write: &WriteToken) -> Self {
        let seen = self.1.as_ref().map_or_else(|| write.clone(), |before| before.and(write));
        Cache(Arc::clone(&self.0), (!seen.is_empty()).then(|| Arc::new(seen)))
    }

    /// The rows in L1, if this handle may be answered from there.
    #[inline]
    fn l1(&self) -> Option<&Arc<Store<E::Pk, E>>> {
        if self.1.is_some() { None } else { self.0.objects.store.as_ref() }
    }

    /// Asks with terms: per-key results, source and age, options. A batch longer than `max_batch` is split.
    ///
    /// # Errors
    /// What concerns all keys; one key's failure is its outcome.
    pub async fn lookup(&self, lookup: Lookup<E::Pk>) -> Result<Answers<E::Pk, E>, Error> {
        self.ask(&self.0.objects, lookup).await
    }

    /// What was counted since the cache was built: rows and queries together.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.stats()
    }

    /// How many rows L1 holds, about.
    #[must_use]
    pub fn l1_len(&self) -> u64 {
        self.0.objects.store.as_ref().map_or(0, |store| store.len())
    }

    /// Takes a row out of L1 as an eviction would. The other tiers, and loads under way, don't notice.
    pub fn evict_l1(&self, pk: impl IntoKey<E::Pk>) {
        if let Some(store) = &self.0.objects.store {
            store.evict(&pk.into_key());
        }
    }

    /// The text of a row's key in the shared tier.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a key over the limit.
    pub fn key_text(&self, pk: impl IntoKey<E::Pk>) -> Result<String, Error> {
        let mut wires = self.0.format.wire(&[pk.into_key()]);
        wires.pop().map_or_else(|| Ok(String::new()), |wire| wire.map(|wire| wire.as_str().to_owned()))
    }

    /// The texts of keys, for whoever may record them.
    fn texts<K: Key>(&self, keys: &[K]) -> Vec<String> {
        let wires = self.0.format.wire(keys).into_iter().flatten();
        wires.map(|wire| wire.as_str().to_owned()).collect()
    }

    /// How whole rows are written into L2, if there is one; `None` for a projection.
    pub(crate) fn rows_in_l2(&self) -> Option<(&KeyFormat, Option<&Arc<L2Options>>)> {
        let parts = &*self.0;
        parts.schema.projection.is_none().then_some((&parts.rows_format, parts.objects.l2.as_ref()))
    }

    /// The health of its namespace, with this cache alone among its caches. See [`Namespace::health`].
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn health(&self) -> Health {
        let schema = &self.0.schema;
        let (entity, projection) = (schema.entity(), schema.projection.as_deref());
        self.0.namespace.health_of(|table, of| table == &*entity && of == projection).await
    }

    /// The namespace it is in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }
}

/// The row of an outcome.
fn row<E>(outcome: Outcome<E>) -> Result<Option<Arc<E>>, Error> {
    Ok(outcome?.and_then(|answer| answer.entry.into_present()))
}

impl<E: Entity> Clone for Cache<E> {
    fn clone(&self) -> Self {
        Cache(Arc::clone(&self.0), self.1.clone())
    }
}

impl<E: Entity> fmt::Debug for Cache<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.0.namespace.name())
            .field("table", &self.0.schema.table)
            .field("projection", &self.0.schema.projection)
            .finish_non_exhaustive()
    }
}
