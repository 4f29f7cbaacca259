use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Extensions;
use tierstack_core::{Answers, Bound, Cache, Entity, Error, IntoKey, Lookup, Terms, WriteToken};

use crate::CacheStatus;

/// The lookups of one request: asked as its headers want, and told in the headers of its response.
///
/// A [`LookupsLayer`](crate::LookupsLayer) puts it into the request's extensions. A handler of axum takes it as an argument;
/// elsewhere, [`Lookups::of`] has it. Cloning it counts one reference up, and what clones note goes into one response.
///
/// 1. A lookup is on the terms that the client wishes, where the application grants [`Wishes`](crate::Wishes), and none
///    is answered with anything older than the write whose token the client brings.
/// 2. What its lookups were answered becomes one member of `Cache-Status`.
/// 3. What it [`wrote`](Self::wrote) goes back to the client as a token.
///
/// Without the layer all of its methods work, nobody's wishes are granted, and nothing is told.
#[derive(Clone, Debug, Default)]
pub struct Lookups(Arc<Request>);

#[derive(Debug)]
struct Request {
    terms: Option<Terms>,
    seen: Result<WriteToken, Error>,
    noted: Mutex<Noted>,
}

/// What the response is to tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) status: Option<CacheStatus>,
    pub(crate) wrote: Option<WriteToken>,
}

impl Default for Request {
    fn default() -> Self {
        Request { terms: None, seen: Ok(WriteToken::default()), noted: Mutex::default() }
    }
}

impl Lookups {
    pub(crate) fn new(terms: Option<Terms>, seen: Result<WriteToken, Error>) -> Self {
        Lookups(Arc::new(Request { terms, seen, noted: Mutex::default() }))
    }

    /// Those of the request with these extensions; without the layer, of none.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Lookups>().cloned().unwrap_or_default()
    }

    /// The write that all of them must see.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) if the client's header brings what is no token: it is to be answered
    /// with a 400. So is every lookup.
    pub fn seen(&self) -> Result<&WriteToken, Error> {
        self.0.seen.as_ref().map_err(Error::clone)
    }

    /// The row with that key, or `None` if the origin has none.
    ///
    /// # Errors
    /// Those of [`Cache::get`], and of [`seen`](Self::seen).
    pub async fn get<E: Entity>(
        &self,
        of: &Cache<E>,
        pk: impl IntoKey<E::Pk>,
    ) -> Result<Option<Arc<E>>, Error> {
        Ok(self.objects_by_pks(of, [pk.into_key()]).await?.pop().flatten())
    }

    /// The rows with those keys, in their order: one for each key, however often it is asked, `None` where there is none.
    ///
    /// # Errors
    /// The first key's that failed, and that of [`seen`](Self::seen).
    pub async fn objects_by_pks<E, I>(&self, of: &Cache<E>, pks: I) -> Result<Vec<Option<Arc<E>>>, Error>
    where
        E: Entity,
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let pks: Vec<E::Pk> = pks.into_iter().map(IntoKey::into_key).collect();
        let mut found = HashMap::with_capacity(pks.len());
        for (pk, outcome) in self.lookup(of, Lookup::batch(pks.iter().cloned())).await? {
            found.insert(pk, outcome?.and_then(|answer| answer.entry.into_present()));
        }
        Ok(pks.iter().map(|pk| found.get(pk).cloned().flatten()).collect())
    }

    /// The rows of a list, in its order. A row that is gone since the list was cached is left out.
    ///
    /// # Errors
    /// Those of [`Cache::list`], and that of [`seen`](Self::seen).
    pub async fn list<E: Entity>(&self, of: &Cache<E>, query: &Bound<E>) -> Result<Vec<Arc<E>>, Error> {
        let pks = self.pks(of, query).await?;
        Ok(self.objects_by_pks(of, pks).await?.into_iter().flatten().collect())
    }

    /// The primary keys of a list, in its order.
    ///
    /// # Errors
    /// Those of [`Cache::pks`], and that of [`seen`](Self::seen).
    pub async fn pks<E: Entity>(&self, of: &Cache<E>, query: &Bound<E>) -> Result<Vec<E::Pk>, Error> {
        let lookup = self.asked(Lookup::one(query.clone()))?;
        let terms = lookup.terms;
        let answers = of.lookup_queries(lookup).await?;
        self.note(CacheStatus::of(&answers, of.namespace().now()).asked_with(terms));
        let mut pks = Vec::new();
        for (_, outcome) in answers {
            let list = outcome?.and_then(|answer| answer.entry.into_present());
            pks.extend(list.iter().flat_map(|list| list.iter().cloned()));
        }
        Ok(pks)
    }

    /// Per-key results, source and age, on terms of the handler's own, where the client's wishes don't go beyond them.
    ///
    /// # Errors
    /// Those of [`Cache::lookup`], and that of [`seen`](Self::seen).
    pub async fn lookup<E: Entity>(
        &self,
        of: &Cache<E>,
        lookup: Lookup<E::Pk>,
    ) -> Result<Answers<E::Pk, E>, Error> {
        let lookup = self.asked(lookup)?;
        let terms = lookup.terms;
        let answers = of.lookup(lookup).await?;
        self.note(CacheStatus::of(&answers, of.namespace().now()).asked_with(terms));
        Ok(answers)
    }

    /// The lookup, as the client wants it.
    fn asked<K>(&self, mut lookup: Lookup<K>) -> Result<Lookup<K>, Error> {
        if let Some(wish) = self.0.terms {
            let terms = &mut lookup.terms;
            terms.read_l1 &= wish.read_l1;
            terms.read_l2 &= wish.read_l2;
            terms.use_l2 &= wish.use_l2;
        }
        Ok(lookup.seen(self.seen()?))
    }

    /// Notes the status of what was looked up by another way.
    pub fn note(&self, status: CacheStatus) {
        let mut noted = self.noted();
        noted.status = Some(match noted.status.take() {
            Some(before) => before.and(status),
            None => status,
        });
    }

    /// Notes a write of this request, whose token the client is to bring from now on.
    pub fn wrote(&self, token: &WriteToken) {
        let mut noted = self.noted();
        noted.wrote = Some(noted.wrote.take().map_or_else(|| token.clone(), |before| before.and(token)));
    }

    /// What the response is to tell.
    pub(crate) fn take_noted(&self) -> Noted {
        std::mem::take(&mut *self.noted())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
