//! Builds a cache of an entity: checks, and its two stacks.

use std::fmt;
use std::sync::Arc;

use super::stack_parts::{Make, Of};
use super::{Cache, Parts};
use crate::counters::Counters;
use crate::l1::L1;
use crate::origin::Origin;
use crate::{Entity, Error, Freshness, Namespace, Schema, Settings};

/// A cache being built. Only the origin is required.
#[must_use = "a cache exists once build() has checked it"]
pub struct CacheBuilder<E: Entity> {
    namespace: Namespace,
    l1: Option<L1<E>>,
    lists: u64,
    origin: Option<Origin<E>>,
    freshness: Freshness,
    settings: Settings,
}

/// How many primary keys L1 holds in lists, unless said otherwise.
const DEFAULT_LISTED: u64 = 1_000_000;

impl<E: Entity> CacheBuilder<E> {
    pub(crate) fn new(namespace: Namespace) -> Self {
        CacheBuilder {
            namespace,
            l1: None,
            lists: DEFAULT_LISTED,
            origin: None,
            freshness: Freshness::default(),
            settings: Settings::default(),
        }
    }

    /// Sets the size and life of L1. Default: no L1.
    pub fn l1(mut self, l1: L1<E>) -> Self {
        self.l1 = Some(l1);
        self
    }

    /// Sets how many primary keys L1 holds in lists, besides the rows; an empty list and a secondary key count as one. 0:
    /// lists are looked up in L2. Default: 1,000,000.
    pub fn l1_listed_pks(mut self, pks: u64) -> Self {
        self.lists = pks;
        self
    }

    /// Sets the source of truth.
    pub fn origin(mut self, origin: impl Into<Origin<E>>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sets how long entries live.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Sets the limits and times.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Checks the settings and composes the stacks. Asks no server, and needs no runtime.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change: no origin, a wrong schema, lives,
    /// limits or times that can't be, a second cache of the same entity and projection.
    pub fn build(self) -> Result<Cache<E>, Error> {
        let CacheBuilder { namespace, l1, lists, origin, freshness, settings } = self;
        let schema = E::schema();
        schema.check::<E::Pk>()?;
        freshness.check()?;
        settings.check()?;
        namespace.check_right(&settings)?;
        let origin = origin.ok_or_else(|| {
            Error::invalid(format!("cache of {:?}: it has no origin, set one", schema.table))
        })?;
        let format = schema.key_format(namespace.name(), settings.max_key_bytes)?;
        let rows_format = Schema { projection: None, ..schema.clone() }
            .key_format(namespace.name(), settings.max_key_bytes)?;
        let (depends_on, all_rows) = (rows_format.special("rows"), rows_format.special("all"));
        let shared = namespace.shared();
        let traced = shared.traced.as_ref().map(|traced| {
            let fresh_for = (freshness.fresh_for, freshness.absent_for);
            traced.of(&schema.entity().replace('\0', "."), schema.projection.as_deref(), fresh_for)
        });
        let (clock, counters) = (shared.clock.clone(), Arc::new(Counters::recorded(traced)));
        let make = Make::new(&namespace, &settings, &freshness, &counters);
        let rows = Of {
            schema: schema.fingerprint("row"),
            format: &format,
            depends_on: Some(if schema.projection.is_some() { &depends_on } else { &all_rows }),
            one_by_one: false,
        };
        let objects = make.parts(&rows, l1.as_ref())?.half(origin.rows);
        let index_l1 = l1.as_ref().filter(|_| lists > 0).map(|l1| l1.for_lists(lists));
        let lists = Of {
            schema: schema.fingerprint("list"),
            format: &format,
            depends_on: Some(&depends_on),
            one_by_one: false,
        };
        let index = match origin.index {
            Some(index) => Some(make.parts(&lists, index_l1.as_ref())?.half(index)),
            None => None,
        };
        let entity = schema.entity();
        let parts = Arc::new(Parts {
            namespace: namespace.clone(),
            schema,
            settings,
            format,
            rows_format,
            depends_on,
            all_rows,
            clock,
            counters,
            objects,
            index,
        });
        namespace.enter(&entity, &parts)?;
        Ok(Cache(parts, None))
    }
}

impl<E: Entity> fmt::Debug for CacheBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("namespace", &self.namespace)
            .field("l1", &self.l1)
            .field("origin", &self.origin)
            .field("freshness", &self.freshness)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
