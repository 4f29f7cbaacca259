//! Invalidations of an entity, and what one does to a cache of this node.

use std::borrow::Cow;

use super::{Cache, Parts};
use crate::counters::{Counters, Event};
use crate::namespace::Local;
use crate::{CacheStats, Entity, Error, IntoKey, Mark, Token, Touched};

impl<E: Entity> Cache<E> {
    /// Makes every tier forget those rows, and everything derived from rows of the entity (lists, secondary keys,
    /// projections). Called after the write was acknowledged by the origin.
    ///
    /// When it returns, no lookup that begins on this node, and no answer from L2 on any node, gives an older row; other
    /// nodes' L1 follow when they have heard of it, and within their own life if the tier tells nobody: see
    /// [`Bus`](crate::Bus).
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered) if the shared tier could not be told: this node answers no older row, and
    /// goes on telling the tier till it succeeds; until then other nodes may answer one from there.
    /// [`Invalid`](crate::ErrorKind::Invalid) for a key over the limit, whose row no tier holds; the others are invalidated,
    /// and so are lists. [`Invalid`](crate::ErrorKind::Invalid), too, if the task that calls it has a transaction of this
    /// namespace open (of `tierstack_postgres`, say): the rows are invalidated, but before others can see the write, so that
    /// older ones may be cached again. Touch them in the transaction, or invalidate after its commit. Outside a task of
    /// tokio (in `main`, say) that can't be told.
    ///
    /// # Cancel safety
    /// If it is dropped after it was first polled, it takes effect all the same; in the shared tier, some time later.
    ///
    /// # Concurrent calls on the same key
    /// Each makes every load that began before it unable to fill.
    pub async fn invalidate<I>(&self, pks: I) -> Result<(), Error>
    where
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let parts = &*self.0;
        let mut refused = None;
        let admitted =
            pks.into_iter().map(IntoKey::into_key).filter(|pk: &E::Pk| match parts.rows_format.admit(pk) {
                Ok(()) => true,
                Err(error) => {
                    refused = Some(error);
                    false
                }
            });
        let mut touched = Touched::new(&parts.namespace);
        let rows = touched.rows::<E>(admitted).map(drop);
        if refused.is_some() {
            touched.derived_of(&parts.rows_format);
        }
        if touched.is_empty() {
            return rows;
        }
        parts.counters.add(Event::Invalidation, touched.rows_len());
        let delivered = touched.mark(Mark::finished()).await;
        delivered.and(rows).and(refused.map_or(Ok(()), Err)).and(self.check_none_open())
    }

    /// Makes every tier forget every row of the entity, and everything derived from them: for a write of which it can't be
    /// told which rows it concerns. It costs L2 two records, however many rows there are.
    ///
    /// When it returns, what is true after [`invalidate`](Self::invalidate) is true of all rows.
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered), and [`Invalid`](crate::ErrorKind::Invalid) inside an open transaction, as
    /// for `invalidate`.
    ///
    /// # Cancel safety
    /// As for `invalidate`.
    pub async fn invalidate_all(&self) -> Result<(), Error> {
        let parts = &*self.0;
        let mut touched = Touched::new(&parts.namespace);
        touched.all_of(&parts.rows_format);
        parts.counters.add(Event::Invalidation, 1);
        touched.mark(Mark::finished()).await.map(drop).and(self.check_none_open())
    }

    fn check_none_open(&self) -> Result<(), Error> {
        self.namespace().shared().writes.check_none_open()
    }
}

impl<E: Entity> Local for Parts<E> {
    fn projection(&self) -> Option<&str> {
        self.schema.projection.as_deref()
    }

    fn forget(&self, key: &str, token: Option<Token>) {
        if !self.rows_format.is_of(key) {
            return;
        }
        let (all, derived) = (key == self.all_rows.as_str(), key == self.depends_on.as_str());
        let is_projection = self.schema.projection.is_some();
        if let Some(index) = self.index.as_ref().filter(|_| all || derived) {
            index.flights.forget_all();
        }
        if all || (derived && is_projection) {
            self.objects.flights.forget_all();
        } else if !is_projection
            && !derived
            && let Some(pk) = self.rows_format.read::<E::Pk>(key)
        {
            self.objects.flights.forget(&pk, token);
        }
    }

    fn pk_columns(&self) -> Option<&[Cow<'static, str>]> {
        Some(&self.schema.pk)
    }

    fn l1_entries(&self) -> Option<u64> {
        self.objects.store.as_ref().map(|store| store.len())
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn counted(&self) -> Option<CacheStats> {
        let len = |store: Option<u64>| store.unwrap_or_default();
        let index = self.index.as_ref();
        let lists = index.and_then(|index| index.store.as_ref()).map(|store| store.len());
        Some(CacheStats {
            scope: self.counters.traced()?.scope.clone(),
            stats: self.counters.stats(),
            l1_len: len(self.objects.store.as_ref().map(|store| store.len())) + len(lists),
            flights: self.objects.flights.under_way() + index.map_or(0, |index| index.flights.under_way()),
        })
    }
}
