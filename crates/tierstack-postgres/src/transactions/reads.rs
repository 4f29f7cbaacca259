//! Reads inside a transaction: its own rows from its own connection, all others from the cache.

use std::collections::HashMap;
use std::sync::Arc;

use tierstack_core::{Bound, Cache, Error, ErrorKind, IntoKey};

use super::transaction::Transaction;
use crate::PgEntity;
use crate::index::Find;
use crate::rows::Select;

/// Most keys of one statement.
pub(super) const MOST_KEYS: usize = 1_000;

impl Transaction<'_> {
    /// The row with that key: as this transaction sees it, if it has touched it, and kept nowhere then; else as
    /// [`Cache::get`] does.
    ///
    /// # Errors
    /// [`Origin`](ErrorKind::Origin) if it was asked of Postgres and that failed; then the transaction has failed, too.
    /// Else those of [`Cache::get`].
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn get<E: PgEntity>(
        &self,
        cache: &Cache<E>,
        pk: impl IntoKey<E::Pk>,
    ) -> Result<Option<Arc<E>>, Error> {
        Ok(self.objects_by_pks(cache, [pk]).await?.pop().flatten())
    }

    /// The rows with those keys, each as [`get`](Self::get) would give it: order, duplicates and holes kept.
    ///
    /// # Errors
    /// As [`get`](Self::get), for any of them.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn objects_by_pks<E, I>(&self, cache: &Cache<E>, pks: I) -> Result<Vec<Option<Arc<E>>>, Error>
    where
        E: PgEntity,
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let pks: Vec<E::Pk> = pks.into_iter().map(IntoKey::into_key).collect();
        let (own, others): (Vec<E::Pk>, Vec<E::Pk>) =
            pks.iter().cloned().partition(|pk| self.touched.touches::<E>(pk));
        let mut rows: HashMap<E::Pk, Arc<E>, foldhash::quality::RandomState> = HashMap::default();
        if !own.is_empty() {
            let select = Select::<E>::new();
            for part in own.chunks(MOST_KEYS) {
                let found = select.read_inside(self.client, part).await?;
                rows.extend(found.into_iter().map(|(pk, row)| (pk, Arc::new(row))));
            }
        }
        if !others.is_empty() {
            let found = cache.objects_by_pks(others.iter().cloned()).await;
            let found = found.map_err(|failed| failed.error().clone())?;
            rows.extend(others.into_iter().zip(found).filter_map(|(pk, row)| Some((pk, row?))));
        }
        Ok(pks.iter().map(|pk| rows.get(pk).cloned()).collect())
    }

    /// The rows of a list, in its order: found and ordered by this transaction, if it has touched any row of the entity, and
    /// kept nowhere then; else as [`Cache::list`] does.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Invalid`](ErrorKind::Invalid) for a query that was declared with `one()`, and for one whose
    /// parameter can't be compared with its column.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn list<E: PgEntity>(&self, cache: &Cache<E>, query: &Bound<E>) -> Result<Vec<Arc<E>>, Error> {
        if !self.has_touched::<E>() || query.def().mode() != tierstack_core::Mode::List {
            return cache.list(query).await;
        }
        let pks = Find::<E>::new().read_inside(self.client, query).await?;
        Ok(self.objects_by_pks(cache, pks).await?.into_iter().flatten().collect())
    }

    /// The row that a query declared with `one()` finds, in the same way as [`list`](Self::list).
    ///
    /// # Errors
    /// As [`list`](Self::list), with `list()` in place of `one()`; [`Loader`](ErrorKind::Loader) if it finds two rows.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn one<E: PgEntity>(
        &self,
        cache: &Cache<E>,
        query: &Bound<E>,
    ) -> Result<Option<Arc<E>>, Error> {
        if !self.has_touched::<E>() || query.def().mode() != tierstack_core::Mode::One {
            return cache.one(query).await;
        }
        let mut pks = Find::<E>::new().read_inside(self.client, query).await?;
        let pk = pks.pop();
        if !pks.is_empty() {
            let text =
                "a query that finds one row found two: declare it with list(), or make its columns unique";
            return Err(Error::new(ErrorKind::Loader, text));
        }
        let Some(pk) = pk else { return Ok(None) };
        self.get(cache, pk).await
    }

    fn has_touched<E: PgEntity>(&self) -> bool {
        self.entities.contains(&Self::entity::<E>())
    }
}
