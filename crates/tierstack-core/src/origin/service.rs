//! The service: a load, bounded in time, and its outcomes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tower_service::Service;

use super::matching::match_rows;
use super::options::OriginOptions;
use crate::causes::Causes;
use crate::counters::Event;
use crate::loader::{Loader, panicked};
use crate::recorder::Work;
use crate::tier::BoxFuture;
use crate::{
    Age, Answer, Answers, Entry, Error, ErrorKind, Keep, Key, Level, Loaded, Lookup, Meta, Moment, Stamp,
};

/// Answers lookups by loading them.
///
/// # Cancel safety
/// Dropping the future drops the load.
pub struct OriginService<K, V> {
    options: Arc<OriginOptions>,
    loader: Arc<dyn Loader<K, V>>,
}

impl<K, V> OriginService<K, V> {
    pub(super) fn new(options: Arc<OriginOptions>, loader: Arc<dyn Loader<K, V>>) -> Self {
        OriginService { options, loader }
    }
}

/// What a load found of each of its keys.
struct Found<V> {
    /// In the order of the keys: a row, and whether it may be kept.
    rows: Vec<Result<Option<(V, bool)>, Error>>,
    stamp: Option<Stamp>,
    shared: bool,
    cost_us: u32,
}

/// What a load failed with: as a whole, or first of its keys.
fn failure<V>(found: &Result<Found<V>, Error>) -> Option<&Error> {
    match found {
        Ok(found) => found.rows.iter().find_map(|row| row.as_ref().err()),
        Err(error) => Some(error),
    }
}

impl<K: Key, V: Send + Sync + 'static> Service<Lookup<K>> for OriginService<K, V> {
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Answers<K, V>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(lookup).await) })
    }
}

impl<K: Key, V: Send + Sync + 'static> OriginService<K, V> {
    async fn answer(&self, lookup: Lookup<K>) -> Answers<K, V> {
        let counters = &self.options.counters;
        let deadline = lookup.terms.deadline.unwrap_or(Moment::NEVER);
        if !lookup.terms.load {
            return Answers::all(lookup.into_keys(), &Ok(None));
        }
        let keys = lookup.into_keys();
        let found = self.load(&keys, deadline).await;
        if let Some(error) = failure(&found) {
            counters.add(Event::FailedLoad, 1);
            counters.load_fault.note(self.options.clock.coarse(), error);
        }
        match found {
            Ok(found) => self.answers(keys, found),
            Err(error) => Answers::all(keys, &Err(error)),
        }
    }

    async fn load(&self, keys: &[K], deadline: Moment) -> Result<Found<V>, Error> {
        let settings = &self.options.settings;
        if keys.len() > settings.max_batch {
            let text = format!(
                "a lookup of {} keys reached the origin and max_batch is {}: split it, or raise max_batch",
                keys.len(),
                settings.max_batch
            );
            return Err(Error::invalid(text));
        }
        let clock = &self.options.clock;
        let asked = clock.coarse();
        let until = asked.plus(settings.load_timeout).min(deadline);
        let late = || {
            let text = "the origin did not answer in time: see load_timeout and the lookup's deadline";
            Error::new(ErrorKind::Timeout, text)
        };
        let _place = clock.before(until, self.options.bulkhead.enter()).await.ok_or_else(late)??;
        self.options.counters.add(Event::Load, 1);
        let began = clock.coarse();
        // A loader that panics before its first await does so in `load`, so the call is inside as well.
        let loading = async {
            let loaded = self.loader.load(keys).await?;
            Ok(self.found(keys, loaded, began))
        };
        let loading =
            async { AssertUnwindSafe(loading).catch_unwind().await.unwrap_or_else(|_| Err(panicked())) };
        let in_time = async { clock.before(until, loading).await.unwrap_or_else(|| Err(late())) };
        let Some(traced) = self.options.counters.traced() else { return in_time.await };
        let mut doing = Causes::current().begin(traced, Work::Load, keys.len(), self.loader.system());
        let found = doing.scope(in_time).await;
        doing.failed_with(failure(&found).map(Error::kind).into_iter());
        found
    }

    /// Matches what was loaded to the keys, and asks of each row whether it may be kept.
    fn found(&self, keys: &[K], loaded: Loaded<K, V>, began: Moment) -> Found<V> {
        let Loaded { rows, mut failed, stamp, shared } = loaded;
        let mut judged = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            // Of the others, something can be told.
            match catch_unwind(AssertUnwindSafe(|| self.loader.keeps(&key, &row))) {
                Ok(keeps) => judged.push((key, (row, keeps))),
                Err(_) => failed.push((key, panicked())),
            }
        }
        let cost = self.options.clock.coarse().since(began).as_micros();
        let cost_us = u32::try_from(cost).unwrap_or(u32::MAX);
        Found { rows: match_rows(keys, judged, failed), stamp, shared, cost_us }
    }

    fn answers(&self, keys: smallvec::SmallVec<[K; 1]>, found: Found<V>) -> Answers<K, V> {
        let Found { rows, stamp, shared, cost_us } = found;
        let OriginOptions { freshness, clock, random, .. } = &*self.options;
        let now = clock.coarse();
        let answer = |row: Option<(V, bool)>| {
            let (fresh_until, stale_until) = freshness.ends(row.is_none(), now, random.unit());
            let meta = Meta { token: random.token(), fresh_until, stale_until, cost_us };
            let (entry, keeps) = match row {
                Some((row, keeps)) => (Entry::Present(Arc::new(row)), keeps),
                None => (Entry::Absent, true),
            };
            let keep = match (shared, keeps) {
                (false, _) => Keep::Private,
                (true, false) => Keep::Nothing,
                (true, true) => Keep::Life,
            };
            Answer {
                entry,
                meta,
                source: Level::Origin,
                age: Age::Fresh,
                keep,
                followed: false,
                published: false,
            }
        };
        let rows = keys.into_iter().zip(rows).map(|(key, row)| (key, row.map(|row| Some(answer(row)))));
        Answers::new(rows.collect()).stamped(stamp)
    }
}

impl<K, V> Clone for OriginService<K, V> {
    fn clone(&self) -> Self {
        OriginService { options: Arc::clone(&self.options), loader: Arc::clone(&self.loader) }
    }
}

impl<K, V> fmt::Debug for OriginService<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginService").field("options", &self.options).finish_non_exhaustive()
    }
}
