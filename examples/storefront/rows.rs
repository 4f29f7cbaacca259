//! Rows by their keys, and from where they came.

use std::collections::HashMap;
use std::sync::Arc;

use tierstack::http::CacheStatus;
use tierstack::{Bound, Cache, Entity, Lookup};

use crate::failure::Failure;
use crate::shop::Shop;

/// One per key asked, in that order: `None` where there is no such row.
pub(crate) struct Rows<E> {
    pub(crate) rows: Vec<Option<Arc<E>>>,
    pub(crate) status: CacheStatus,
}

impl Shop {
    /// # Errors
    /// If any key failed: a page is answered whole or not at all.
    pub(crate) async fn rows<E: Entity>(&self, of: &Cache<E>, pks: &[E::Pk]) -> Result<Rows<E>, Failure> {
        let answers = of.lookup(Lookup::batch(pks.iter().cloned())).await?;
        let status = CacheStatus::of(&answers, self.now());
        let mut found = HashMap::with_capacity(answers.len());
        for (pk, outcome) in answers {
            let answer = outcome.map_err(|error| Failure::from(error).with(status.clone()))?;
            found.insert(pk, answer.and_then(|answer| answer.entry.into_present()));
        }
        let rows = pks.iter().map(|pk| found.get(pk).cloned().flatten()).collect();
        Ok(Rows { rows, status })
    }

    /// The primary keys of a list, in its order.
    ///
    /// # Errors
    /// If it could not be loaded.
    pub(crate) async fn pks<E: Entity>(
        &self,
        of: &Cache<E>,
        query: Bound<E>,
    ) -> Result<(Vec<E::Pk>, CacheStatus), Failure> {
        let answers = of.lookup_queries(Lookup::one(query)).await?;
        let status = CacheStatus::of(&answers, self.now());
        let mut pks = Vec::new();
        for (_, outcome) in answers {
            let answer = outcome.map_err(|error| Failure::from(error).with(status.clone()))?;
            let list = answer.and_then(|answer| answer.entry.into_present());
            pks.extend(list.iter().flat_map(|list| list.iter().cloned()));
        }
        Ok((pks, status))
    }

    /// The row that a path names.
    ///
    /// # Errors
    /// 400 if the text is no key, 404 if there is no such row.
    pub(crate) async fn named<E: Entity>(
        &self,
        of: &Cache<E>,
        text: &str,
    ) -> Result<(Arc<E>, CacheStatus), Failure> {
        let pk = of.parse_pk(text).map_err(Failure::bad_request)?;
        let Rows { mut rows, status } = self.rows(of, &[pk]).await?;
        match rows.pop().flatten() {
            Some(row) => Ok((row, status)),
            None => Err(Failure::not_found(format!("there is no {} {text}", E::schema().table)).with(status)),
        }
    }
}
