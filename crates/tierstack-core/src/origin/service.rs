//! The service: a load, bounded in time, and its outcomes.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tower_service::Service;

use super::matching::match_rows;
use super::options::OriginOptions;
use crate::causes::Causes;
use crate::counters::Event;
use crate::loader::Loader;
use crate::recorder::Work;
use crate::tier::BoxFuture;
use crate::{Age, Answer, Answers, Entry, Error, ErrorKind, Keep, Key, Level, Loaded, Lookup, Meta, Moment};

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
        match self.load(&keys, deadline).await {
            Ok((loaded, cost_us)) => self.answers(keys, loaded, cost_us),
            Err(error) => {
                counters.add(Event::FailedLoad, 1);
                counters.load_fault.note(self.options.clock.coarse(), &error);
                Answers::all(keys, &Err(error))
            }
        }
    }

    /// Loads, and says of each row whether it may be kept, and what it cost in microseconds.
    async fn load(&self, keys: &[K], deadline: Moment) -> Result<(Loaded<K, (V, bool)>, u32), Error> {
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
            let Loaded { rows, stamp, shared } = self.loader.load(keys).await?;
            let judged = |(key, row): (K, V)| {
                let keeps = self.loader.keeps(&key, &row);
                (key, (row, keeps))
            };
            Ok::<_, Error>(Loaded { rows: rows.into_iter().map(judged).collect(), stamp, shared })
        };
        let loading = async {
            AssertUnwindSafe(loading).catch_unwind().await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Origin, "the loader panicked: see its message on stderr"))
            })
        };
        let in_time = async { clock.before(until, loading).await.unwrap_or_else(|| Err(late())) };
        let loaded = match self.options.counters.traced() {
            None => in_time.await?,
            Some(traced) => {
                let mut doing = Causes::current().begin(traced, Work::Load, keys.len(), self.loader.system());
                let loaded = doing.scope(in_time).await;
                doing.ended(&loaded);
                loaded?
            }
        };
        let cost = clock.coarse().since(began).as_micros();
        Ok((loaded, u32::try_from(cost).unwrap_or(u32::MAX)))
    }

    fn answers(
        &self,
        keys: smallvec::SmallVec<[K; 1]>,
        loaded: Loaded<K, (V, bool)>,
        cost_us: u32,
    ) -> Answers<K, V> {
        let Loaded { rows, stamp, shared } = loaded;
        let OriginOptions { freshness, clock, random, .. } = &*self.options;
        let now = clock.coarse();
        let found = match_rows(&keys, rows);
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
        let rows = keys.into_iter().zip(found).map(|(key, row)| (key, row.map(|row| Some(answer(row)))));
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
