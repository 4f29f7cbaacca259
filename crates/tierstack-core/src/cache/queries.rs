//! Lists, single rows by any fields, and secondary keys.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{BatchError, Cache, Half};
use crate::query::{Mode, Params};
use crate::{Answers, Bound, Entity, Entry, Error, ErrorKind, Lookup, Moment, Query};

impl<E: Entity> Cache<E> {
    /// The rows of a list, in its order. A row that is gone since the list was cached is left out.
    ///
    /// The list is cached as primary keys and hydrated by [`objects_by_pks`](Self::objects_by_pks): two lists share one
    /// copy of each row. An empty list is a value. Any [`invalidate`](Self::invalidate) of the entity makes its lists
    /// load again.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the query was declared with `one()` or the origin answers no queries; else
    /// those of [`get`](Self::get).
    pub async fn list(&self, query: &Bound<E>) -> Result<Vec<Arc<E>>, Error> {
        let deadline = self.deadline();
        let pks = self.pks_by(query, deadline).await?;
        let rows = self.objects(pks.iter(), Some(deadline)).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// The primary keys of a list, in its order.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn pks(&self, query: &Bound<E>) -> Result<Arc<Vec<E::Pk>>, Error> {
        self.pks_by(query, self.deadline()).await
    }

    async fn pks_by(&self, query: &Bound<E>, deadline: Moment) -> Result<Arc<Vec<E::Pk>>, Error> {
        self.is_declared_as(query, Mode::List)?;
        let mut found = self.find(std::slice::from_ref(query), deadline).await?;
        found.pop().map_or_else(|| Ok(Arc::default()), |found| Ok(found?.unwrap_or_default()))
    }

    /// Asks for the primary keys of queries with terms: per-query results, source and age, options.
    ///
    /// # Errors
    /// What concerns all of them; one query's failure is its outcome. [`Invalid`](ErrorKind::Invalid) if the origin
    /// answers no queries.
    pub async fn lookup_queries(
        &self,
        lookup: Lookup<Bound<E>>,
    ) -> Result<Answers<Bound<E>, Vec<E::Pk>>, Error> {
        self.ask(self.index()?, lookup).await
    }

    /// The row that a query declared with `one()` finds, or `None`: an absence, cached as one.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the query was declared with `list()`; [`Loader`](ErrorKind::Loader) if it
    /// finds two rows; else those of [`get`](Self::get).
    pub async fn one(&self, query: &Bound<E>) -> Result<Option<Arc<E>>, Error> {
        self.is_declared_as(query, Mode::One)?;
        Ok(self.hydrate(std::slice::from_ref(query)).await?.pop().flatten())
    }

    /// The row that a query declared with `one()` finds.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none; else those of [`one`](Self::one).
    pub async fn require_one(&self, query: &Bound<E>) -> Result<Arc<E>, Error> {
        self.one(query).await?.ok_or_else(|| self.not_found())
    }

    /// The rows with those values of a secondary key (a query declared with `one()` and one parameter): one per value, in
    /// order, duplicates kept, `None` where there is none. Costs one read of L2 and one load for all that L1 lacks,
    /// and as much again for the rows.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the query is no secondary key; [`BatchError`] if any value failed.
    pub async fn objects_by<T, I>(
        &self,
        query: &Query<E, (T,)>,
        values: I,
    ) -> Result<Vec<Option<Arc<E>>>, BatchError<E>>
    where
        T: crate::KeyPart,
        I: IntoIterator<Item: Into<T>>,
        (T,): Params,
    {
        let bound: Vec<Bound<E>> = values.into_iter().map(|value| query.bind((value.into(),))).collect();
        if let Some(first) = bound.first() {
            self.is_declared_as(first, Mode::One).map_err(|error| BatchError::of_all(error, bound.len()))?;
        }
        self.hydrate(&bound).await
    }

    /// Primary keys of each query, in order; `None` where a `one()` query found no row.
    async fn find(
        &self,
        queries: &[Bound<E>],
        deadline: Moment,
    ) -> Result<Vec<Result<Option<Arc<Vec<E::Pk>>>, Error>>, Error> {
        let answers = self.lookup_queries(Lookup::batch(queries.iter().cloned()).deadline(deadline)).await?;
        let found: std::collections::HashMap<_, _> = answers.into_iter().collect();
        let one = |query| match found.get(query) {
            Some(Ok(Some(answer))) => Ok(match &answer.entry {
                Entry::Present(pks) => Some(Arc::clone(pks)),
                Entry::Absent => None,
            }),
            Some(Ok(None)) | None => Ok(None),
            Some(Err(error)) => Err(error.clone()),
        };
        Ok(queries.iter().map(one).collect())
    }

    /// The row of each query, by its primary key.
    async fn hydrate(&self, queries: &[Bound<E>]) -> Result<Vec<Option<Arc<E>>>, BatchError<E>> {
        let deadline = self.deadline();
        let found =
            self.find(queries, deadline).await.map_err(|error| BatchError::of_all(error, queries.len()))?;
        let pks: Vec<Result<Option<E::Pk>, Error>> = found
            .into_iter()
            .map(|found| found.map(|pks| pks.and_then(|pks| pks.first().cloned())))
            .collect();
        let wanted: SmallVec<[E::Pk; 1]> = pks.iter().flatten().flatten().cloned().collect();
        let mut rows = match self.objects(wanted, Some(deadline)).await {
            Ok(rows) => rows.into_iter().map(Ok).collect::<Vec<_>>().into_iter(),
            Err(failed) => failed.into_outcomes().into_iter(),
        };
        let outcomes = pks.into_iter().map(|pk| match pk {
            Ok(Some(_)) => rows.next().unwrap_or(Ok(None)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        });
        BatchError::or_rows(outcomes.collect())
    }

    fn is_declared_as(&self, query: &Bound<E>, mode: Mode) -> Result<(), Error> {
        let def = query.def();
        match (def.mode(), mode) {
            (Mode::One, Mode::List) => Err(Error::invalid(format!(
                "query {:?} is declared with one(): call one() or objects_by()",
                def.name()
            ))),
            (Mode::List, Mode::One) => Err(Error::invalid(format!(
                "query {:?} is declared with list(): call list() or pks()",
                def.name()
            ))),
            _ => Ok(()),
        }
    }

    fn index(&self) -> Result<&Half<Bound<E>, Vec<E::Pk>>, Error> {
        self.0.index.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                format!(
                    "the origin of {:?} answers no queries: give it Origin::with_queries",
                    self.0.schema.table
                ),
            )
        })
    }
}
