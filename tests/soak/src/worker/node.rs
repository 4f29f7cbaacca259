//! One node: its caches, and the calls it makes and notes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tierstack_core::{Accept, Answer, Cache, Entry, L1, Level, Lookup, Namespace, Outcome, Query};
use tierstack_postgres::deadpool_postgres::{Config, Pool, PoolConfig, Runtime};
use tierstack_postgres::tokio_postgres::NoTls;
use tierstack_postgres::{PgEntity, PgOrigin};
use tierstack_redis::{RedisSettings, RedisTier};

use super::settings::{WorkerSettings, freshness, settings};
use super::write::{Change, Plain, Write, Writer};
use crate::entity::{KEYS, SHELVES, Shape, slug};
use crate::monotonic::now;
use crate::record::{Outcome as Ended, Record, Recorder, Seen, Source, Span};

/// A write that takes longer is of unknown outcome.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Node<E: Shape + PgEntity> {
    settings: WorkerSettings,
    namespace: Namespace,
    items: Cache<E>,
    by_shelf: Query<E, (i32,)>,
    by_slug: Query<E, (String,)>,
    writer: Box<dyn Writer>,
    recorder: Recorder,
    writes: AtomicU64,
    /// Keys whose invalidation failed.
    undelivered: Mutex<BTreeSet<u32>>,
}

fn pool(settings: &WorkerSettings, most: usize) -> Result<Pool> {
    let mut config = Config::new();
    config.url = Some(settings.postgres.clone());
    config.application_name = Some(format!("soak-{}", settings.node));
    config.connect_timeout = Some(Duration::from_secs(2));
    config.pool = Some(PoolConfig::new(most));
    Ok(config.create_pool(Some(Runtime::Tokio1), NoTls)?)
}

fn source<V>(answer: &Answer<V>) -> Source {
    match answer.source {
        _ if answer.followed => Source::Followed,
        Level::L1 => Source::L1,
        Level::L2 => Source::L2,
        Level::Origin => Source::Origin,
    }
}

impl<E: Shape + PgEntity> Node<E> {
    pub(crate) fn new(words: WorkerSettings) -> Result<Self> {
        let mut redis = RedisSettings::new(words.redis.clone());
        redis.response_timeout = Duration::from_millis(500);
        redis.retry_connect_after = Duration::from_millis(20);
        let namespace = Namespace::builder("soak").l2(RedisTier::new(redis)?).build()?;
        let items = namespace
            .cache::<E>()
            .l1(L1::capacity(10_000).life(words.l1_life))
            .origin(PgOrigin::new(pool(&words, 8)?))
            .freshness(freshness())
            .settings(settings())
            .build()?;
        Ok(Node {
            by_shelf: Query::list("by_shelf").param("shelf").order_by("item_id").build()?,
            by_slug: Query::one("by_slug").param("slug").build()?,
            writer: Box::new(Plain(pool(&words, 4)?)),
            recorder: Recorder::create(&words.history)?,
            writes: AtomicU64::new(1),
            undelivered: Mutex::default(),
            settings: words,
            namespace,
            items,
        })
    }

    fn undelivered(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_row(&self, pk: i32, when: Span, outcome: &Outcome<E>) -> Result<()> {
        let (source, seen) = match outcome {
            Ok(Some(answer)) => {
                let seen = match &answer.entry {
                    Entry::Present(item) => item.seen(),
                    Entry::Absent => Seen::Absent,
                };
                (source(answer), seen)
            }
            Ok(None) | Err(_) => return Ok(self.recorder.note(&Record::Failed { when })?),
        };
        Ok(self.recorder.note(&Record::Row { pk: pk.unsigned_abs(), when, source, seen })?)
    }

    /// Notes what a method told that names no source.
    fn note_plain(&self, pk: u32, when: Span, row: Option<&Arc<E>>) -> Result<()> {
        let seen = row.map_or(Seen::Absent, |item| item.seen());
        Ok(self.recorder.note(&Record::Row { pk, when, source: Source::Unknown, seen })?)
    }

    pub(crate) async fn get(&self, pk: u32) -> Result<()> {
        let start = now();
        let row = self.items.get(pk.cast_signed()).await;
        let when = Span { start, end: now() };
        match row {
            Ok(row) => self.note_plain(pk, when, row.as_ref()),
            Err(_) => Ok(self.recorder.note(&Record::Failed { when })?),
        }
    }

    pub(crate) async fn objects(&self, pks: &[u32]) -> Result<()> {
        let asked: Vec<i32> = pks.iter().map(|pk| pk.cast_signed()).collect();
        let start = now();
        let rows = self.items.objects_by_pks(asked).await;
        let when = Span { start, end: now() };
        match rows {
            Ok(rows) => {
                let mut each = pks.iter().zip(&rows);
                each.try_for_each(|(pk, row)| self.note_plain(*pk, when, row.as_ref()))
            }
            Err(_) => Ok(self.recorder.note(&Record::Failed { when })?),
        }
    }

    pub(crate) async fn lookup(&self, pks: &[u32], accept: Accept, skip_l1: bool) -> Result<()> {
        let lookup = Lookup::batch(pks.iter().map(|pk| pk.cast_signed())).accept(accept);
        let lookup = if skip_l1 { lookup.skip_l1() } else { lookup };
        let start = now();
        let answers = self.items.lookup(lookup).await;
        let when = Span { start, end: now() };
        match answers {
            Ok(answers) => {
                let mut each = answers.iter();
                each.try_for_each(|(pk, outcome)| self.note_row(*pk, when, outcome))
            }
            Err(_) => Ok(self.recorder.note(&Record::Failed { when })?),
        }
    }

    pub(crate) async fn list(&self, shelf: u8) -> Result<()> {
        let start = now();
        let answers = self.items.lookup_queries(Lookup::one(self.by_shelf.bind((shelf.into(),)))).await;
        let when = Span { start, end: now() };
        let answer = answers.map(|answers| answers.into_iter().next().map(|(_, outcome)| outcome));
        let Ok(Some(Ok(Some(answer)))) = answer else {
            return Ok(self.recorder.note(&Record::Failed { when })?);
        };
        let source = source(&answer);
        let pks = answer.entry.into_present().unwrap_or_default();
        let members = pks.iter().fold(0, |members, pk| members | 1u128 << (pk.unsigned_abs() % KEYS));
        Ok(self.recorder.note(&Record::List { shelf, when, source, members })?)
    }

    /// The rows of a list, which may be newer than the list.
    pub(crate) async fn rows_of(&self, shelf: u8) -> Result<()> {
        let start = now();
        let rows = self.items.list(&self.by_shelf.bind((shelf.into(),))).await;
        let when = Span { start, end: now() };
        match rows {
            Ok(rows) => {
                let mut each = rows.iter();
                each.try_for_each(|row| self.note_plain(row.pk().unsigned_abs(), when, Some(row)))
            }
            Err(_) => Ok(self.recorder.note(&Record::Failed { when })?),
        }
    }

    pub(crate) async fn slug(&self, pk: u32, parity: u8) -> Result<()> {
        let start = now();
        let query = self.by_slug.bind((slug(pk, parity),));
        let answers = self.items.lookup_queries(Lookup::one(query)).await;
        let when = Span { start, end: now() };
        let answer = answers.map(|answers| answers.into_iter().next().map(|(_, outcome)| outcome));
        let Ok(Some(Ok(Some(answer)))) = answer else {
            return Ok(self.recorder.note(&Record::Failed { when })?);
        };
        let source = source(&answer);
        let found = answer.entry.into_present();
        let wrong = found.as_ref().is_some_and(|pks| **pks != [pk.cast_signed()]);
        // Another row's key: of a parity that no row has, so that it is found out.
        let parity = if wrong { u8::MAX } else { parity };
        Ok(self.recorder.note(&Record::Slug { pk, parity, when, source, found: found.is_some() })?)
    }

    pub(crate) fn evict(&self, pk: u32) {
        self.items.evict_l1(pk.cast_signed());
    }

    pub(crate) async fn write(&self, pk: u32, change: Change, rolled_back: bool) -> Result<()> {
        let op = u64::from(self.settings.node) << 40 | self.writes.fetch_add(1, Ordering::Relaxed);
        let write = Write { op, pk, change, rolled_back };
        self.recorder.note(&Record::Began { op, pk, at: now(), strict: self.writer.is_strict() })?;
        let ended = tokio::time::timeout(WRITE_TIMEOUT, self.writer.write(&write)).await;
        let outcome = ended.unwrap_or(Ended::Unknown);
        self.recorder.note(&Record::Ended { op, pk, at: now(), outcome })?;
        if outcome != Ended::RolledBack && !self.invalidate(&[pk]).await? {
            self.undelivered().insert(pk);
        }
        Ok(())
    }

    async fn invalidate(&self, pks: &[u32]) -> Result<bool> {
        let told: Vec<i32> = pks.iter().map(|pk| pk.cast_signed()).collect();
        let start = now();
        let delivered = if self.settings.mute { Ok(()) } else { self.items.invalidate(told).await };
        let when = Span { start, end: now() };
        if delivered.is_ok() {
            pks.iter().try_for_each(|pk| self.recorder.note(&Record::Invalidated { pk: *pk, when }))?;
        }
        Ok(delivered.is_ok())
    }

    /// Repeats what was not delivered; whether nothing is left.
    pub(crate) async fn deliver(&self) -> Result<bool> {
        let late: Vec<u32> = std::mem::take(&mut *self.undelivered()).into_iter().collect();
        if late.is_empty() {
            return Ok(true);
        }
        let delivered = self.invalidate(&late).await?;
        if !delivered {
            self.undelivered().extend(late);
        }
        Ok(delivered)
    }

    /// Reads everything.
    pub(crate) async fn scan(&self) -> Result<()> {
        let pks: Vec<u32> = (0..KEYS).collect();
        self.lookup(&pks, Accept::Stale, false).await?;
        for shelf in 0..SHELVES {
            self.list(shelf).await?;
        }
        Ok(())
    }

    pub(crate) async fn end(&self) -> Result<()> {
        self.namespace.shutdown().await;
        Ok(self.recorder.flush()?)
    }
}
