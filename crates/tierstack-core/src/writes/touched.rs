//! What a write touches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::future::join;

use super::delivery::deliver;
use super::mark::{Mark, Marked};
use crate::l2::TierSync;
use crate::namespace::Shared;
use crate::settings::MOST_KEY_BYTES;
use crate::{Entity, Error, Ground, IntoKey, KeyFormat, LeaseFor, Leased, Namespace, Schema, Token, WireKey};

/// What a write touches: rows of entities of one namespace, or whole entities.
///
/// It asks no tier until it is [marked](Touched::mark), and needs no cache of an entity on this node: a service that only
/// writes has none. Each row is named once, however often it was touched; if more than
/// [`max_rows`](crate::WriteSettings::max_rows) of an entity are, the whole entity is.
#[derive(Clone)]
pub struct Touched {
    pub(super) namespace: Namespace,
    /// By what their keys begin with.
    entities: BTreeMap<Box<str>, OfEntity>,
}

/// What is touched of one entity.
#[derive(Clone)]
struct OfEntity {
    rows: BTreeSet<WireKey>,
    whole: bool,
    /// The record that all its rows rest on.
    all: WireKey,
    /// The record that all that is derived from its rows rests on.
    derived: WireKey,
}

/// How many keys are written at a time.
const CHUNK: usize = 1_000;

impl Touched {
    /// Nothing yet.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        Touched { namespace: namespace.clone(), entities: BTreeMap::new() }
    }

    /// Adds those rows, and all that is derived from rows of the entity: lists, secondary keys, projections.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a key that is longer than any cache takes, whose row no tier holds; the
    /// others are added.
    pub fn rows<E: Entity>(
        &mut self,
        pks: impl IntoIterator<Item: IntoKey<E::Pk>>,
    ) -> Result<&mut Self, Error> {
        let most = self.namespace.shared().writes.settings.max_rows;
        let mut pks = pks.into_iter().map(IntoKey::into_key).peekable();
        if pks.peek().is_none() {
            return Ok(self);
        }
        let format = self.format::<E>()?;
        let of_entity = self.of_entity(&format);
        let mut refused = None;
        while pks.peek().is_some() && !of_entity.whole {
            let chunk: Vec<E::Pk> = pks.by_ref().take(CHUNK).collect();
            for wire in format.wire(&chunk) {
                match wire {
                    Ok(wire) => drop(of_entity.rows.insert(wire)),
                    Err(error) => refused = Some(error),
                }
            }
            if of_entity.rows.len() > most {
                of_entity.touch_all();
            }
        }
        refused.map_or(Ok(self), Err)
    }

    /// Adds every row of the entity, and all that is derived from them. It costs L2 two records, however many rows there
    /// are.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a name of the entity's schema is empty.
    pub fn entity<E: Entity>(&mut self) -> Result<&mut Self, Error> {
        let format = self.format::<E>()?;
        self.of_entity(&format).touch_all();
        Ok(self)
    }

    /// Adds what is derived from rows whose keys have that format.
    pub(crate) fn derived_of(&mut self, format: &KeyFormat) {
        self.of_entity(format);
    }

    /// How many rows are touched by their keys.
    pub(crate) fn rows_len(&self) -> usize {
        self.entities.values().map(|of_entity| of_entity.rows.len()).sum()
    }

    /// Adds every row, or response, whose keys have that format.
    pub(crate) fn all_of(&mut self, format: &KeyFormat) {
        self.of_entity(format).touch_all();
    }

    /// Whether nothing is touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Whether that row is touched, by itself or with its whole entity.
    #[must_use]
    pub fn touches<E: Entity>(&self, pk: &E::Pk) -> bool {
        let Ok(format) = self.format::<E>() else { return false };
        self.entities.get(format.prefix()).is_some_and(|of_entity| {
            let wire = || format.wire(std::slice::from_ref(pk)).pop();
            of_entity.whole || matches!(wire(), Some(Ok(wire)) if of_entity.rows.contains(&wire))
        })
    }

    /// Marks all that is touched in L2, which tells every node. Then this node forgets it, whatever L2 answered: nobody
    /// joins what is looking it up, and L1 drops it.
    ///
    /// # Errors
    /// If L2 could not be told of all of it: [`Undelivered`](crate::ErrorKind::Undelivered) if the write has ended,
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if not; then the write must not be made under this mark, as a part of
    /// what it touches is open to fills that have not seen it.
    ///
    /// # Cancel safety
    /// If it is dropped after it was first polled, this node has forgotten, and L2 may or may not have been told. Of a write
    /// that has ended, it is told later what it may not have been told.
    pub async fn mark(&self, mark: Mark) -> Result<Marked, Error> {
        let Some((claimed, _)) = mark.claim else { return self.mark_sparing(&mark, &BTreeMap::new()).await };
        let (marked, (grounds, sync)) =
            join(self.mark_sparing(&mark, &BTreeMap::new()), self.grounds()).await;
        Ok(Marked { claimed: Some(claimed), grounds, sync, ..marked? })
    }

    /// The same, but what bears the token beside its key stays, in every tier: all nodes are told of it, too. What did not
    /// reach L2 is sent again without sparing anything.
    pub(super) async fn mark_sparing(
        &self,
        mark: &Mark,
        spared: &BTreeMap<WireKey, Token>,
    ) -> Result<Marked, Error> {
        let keys = self.keys();
        let forget =
            || self.namespace.forget(keys.iter().map(|key| (key.as_str(), spared.get(key).copied())));
        deliver(&self.namespace, &keys, mark, spared, forget).await
    }

    /// What the rows that are touched by their keys rest on, and the tier's clock.
    async fn grounds(&self) -> (BTreeMap<Box<str>, Ground>, Option<TierSync>) {
        let Shared { writes, tier: Some(tier), .. } = self.namespace.shared() else {
            return Default::default();
        };
        let by_key =
            self.entities.iter().filter(|(_, of_entity)| !of_entity.whole && !of_entity.rows.is_empty());
        let (prefixes, asks): (Vec<Box<str>>, Vec<LeaseFor>) = by_key
            .map(|(prefix, of_entity)| {
                let right = writes.random.token();
                (
                    prefix.clone(),
                    LeaseFor::new(of_entity.all.clone(), right, None, writes.settings.floor_life),
                )
            })
            .unzip();
        let at = writes.clock.coarse();
        let Some(reply) = writes.clock.before(writes.until(), tier.lease(&asks)).await else {
            return Default::default();
        };
        let each = prefixes.into_iter().zip(reply.each);
        let ground = |(prefix, leased): (Box<str>, Result<Leased, Error>)| {
            Some((prefix, leased.ok()?.ground()?.clone()))
        };
        (each.filter_map(ground).collect(), Some(TierSync { at, tier_ms: reply.now_ms }))
    }

    /// Whether it is of that namespace, of this node.
    pub(super) fn is_of(&self, namespace: &Namespace) -> bool {
        std::ptr::eq(self.namespace.shared(), namespace.shared())
    }

    /// How many requests a mark takes.
    pub(super) fn parts(&self) -> u32 {
        let parts = self.keys().len().div_ceil(self.namespace.shared().writes.settings.max_batch);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// Whether a row is touched by its key.
    pub(super) fn names(&self, entity: &str, key: &WireKey) -> bool {
        self.entities.get(entity).is_some_and(|of_entity| !of_entity.whole && of_entity.rows.contains(key))
    }

    /// Leaves it to a task to mark all that is touched, by a write that has ended: for one whose caller can't wait. No lookup
    /// of this node is answered with anything older from now on.
    pub fn mark_later(&self, mark: Mark) {
        let keys = self.keys();
        let mark = Mark { finished: true, ..mark };
        self.namespace.shared().writes.keep(keys.iter(), &mark);
        self.namespace.forget(keys.iter().map(|key| (key.as_str(), None)));
    }

    /// The records that are touched: rows first, then what rests on them.
    fn keys(&self) -> Vec<WireKey> {
        let of_entity = |of_entity: &OfEntity| {
            let all = of_entity.whole.then(|| of_entity.all.clone());
            let rows: Vec<WireKey> = of_entity.rows.iter().cloned().collect();
            rows.into_iter().chain(all).chain([of_entity.derived.clone()])
        };
        self.entities.values().flat_map(of_entity).collect()
    }

    /// The format of an entity's whole rows, with the limit of keys that the most liberal cache may have.
    fn format<E: Entity>(&self) -> Result<KeyFormat, Error> {
        Schema { projection: None, ..E::schema() }.key_format(self.namespace.name(), MOST_KEY_BYTES)
    }

    fn of_entity(&mut self, format: &KeyFormat) -> &mut OfEntity {
        self.entities.entry(format.prefix().into()).or_insert_with(|| OfEntity {
            rows: BTreeSet::new(),
            whole: false,
            all: format.special("all"),
            derived: format.special("rows"),
        })
    }
}

impl OfEntity {
    fn touch_all(&mut self) {
        self.whole = true;
        self.rows.clear();
    }
}

impl fmt::Debug for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entities = self.entities.iter().map(|(prefix, of_entity)| {
            (prefix, if of_entity.whole { "all".into() } else { format!("{} rows", of_entity.rows.len()) })
        });
        f.debug_map().entries(entities).finish()
    }
}
