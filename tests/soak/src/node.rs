//! One node: its caches, and the calls it makes and notes. It knows neither servers nor clocks: a process has real ones, a
//! simulation its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tierstack_core::{Accept, Answer, BoxFuture, Cache, Entry, Level, Lookup, Outcome, Query};

use crate::calls::Call;
use crate::entity::{KEYS, SHELVES, Shape, slug};
use crate::record::{Outcome as Ended, Record, Seen, Source, Span};
use crate::write::{Change, Done, Write, Writer};

/// Where a node notes what it does, and when that was.
pub trait Notes: Send + Sync {
    /// Now, in nanoseconds, on the clock that all nodes share.
    fn now(&self) -> u64;

    /// Keeps it.
    ///
    /// # Errors
    /// When that can't be.
    fn note(&self, record: &Record) -> Result<()>;
}

/// What a node can be asked, whatever shape its rows have.
pub trait Calls: Send + Sync {
    /// Makes the call, and notes it.
    ///
    /// # Errors
    /// When it can't be noted. What the call itself fails with is noted.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<()>>;

    /// Repeats the invalidations that failed; whether nothing is left.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    fn deliver(&self) -> BoxFuture<'_, Result<bool>>;
}

/// A node whose rows have the shape `E`.
pub struct Node<E: Shape> {
    number: u32,
    items: Cache<E>,
    by_shelf: Query<E, (i32,)>,
    by_slug: Query<E, (String,)>,
    writer: Box<dyn Writer>,
    notes: Arc<dyn Notes>,
    /// How many keys the run has.
    keys: u32,
    /// It says of each write that it was told, and tells nobody.
    mute: bool,
    writes: AtomicU64,
    /// Keys whose invalidation failed.
    undelivered: Mutex<BTreeSet<u32>>,
}

fn source<V>(answer: &Answer<V>) -> Source {
    match answer.source {
        _ if answer.followed => Source::Followed,
        Level::L1 => Source::L1,
        Level::L2 => Source::L2,
        Level::Origin => Source::Origin,
    }
}

impl<E: Shape> Node<E> {
    /// A node with that number, which is in no other's writes.
    ///
    /// # Errors
    /// When its queries can't be declared.
    pub fn new(
        number: u32,
        items: Cache<E>,
        writer: Box<dyn Writer>,
        notes: Arc<dyn Notes>,
        keys: u32,
    ) -> Result<Self> {
        Ok(Node {
            by_shelf: Query::list("by_shelf").param("shelf").order_by("item_id").build()?,
            by_slug: Query::one("by_slug").param("slug").build()?,
            number,
            items,
            writer,
            notes,
            keys,
            mute: false,
            writes: AtomicU64::new(1),
            undelivered: Mutex::default(),
        })
    }

    /// The same, but it tells nobody of its writes and notes that it did.
    #[must_use]
    pub fn mute(mut self, mute: bool) -> Self {
        self.mute = mute;
        self
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
            Ok(None) | Err(_) => return self.notes.note(&Record::Failed { when }),
        };
        self.notes.note(&Record::Row { pk: pk.unsigned_abs(), when, source, seen })
    }

    /// Notes what a method told that names no source.
    fn note_plain(&self, pk: u32, when: Span, row: Option<&Arc<E>>) -> Result<()> {
        let seen = row.map_or(Seen::Absent, |item| item.seen());
        self.notes.note(&Record::Row { pk, when, source: Source::Unknown, seen })
    }

    async fn get(&self, pk: u32) -> Result<()> {
        let start = self.notes.now();
        let row = self.items.get(pk.cast_signed()).await;
        let when = Span { start, end: self.notes.now() };
        match row {
            Ok(row) => self.note_plain(pk, when, row.as_ref()),
            Err(_) => self.notes.note(&Record::Failed { when }),
        }
    }

    async fn objects(&self, pks: &[u32]) -> Result<()> {
        let asked: Vec<i32> = pks.iter().map(|pk| pk.cast_signed()).collect();
        let start = self.notes.now();
        let rows = self.items.objects_by_pks(asked).await;
        let when = Span { start, end: self.notes.now() };
        match rows {
            Ok(rows) => {
                let mut each = pks.iter().zip(&rows);
                each.try_for_each(|(pk, row)| self.note_plain(*pk, when, row.as_ref()))
            }
            Err(_) => self.notes.note(&Record::Failed { when }),
        }
    }

    async fn lookup(&self, pks: &[u32], accept: Accept, skip_l1: bool) -> Result<()> {
        let lookup = Lookup::batch(pks.iter().map(|pk| pk.cast_signed())).accept(accept);
        let lookup = if skip_l1 { lookup.skip_l1() } else { lookup };
        let start = self.notes.now();
        let answers = self.items.lookup(lookup).await;
        let when = Span { start, end: self.notes.now() };
        match answers {
            Ok(answers) => {
                let mut each = answers.iter();
                each.try_for_each(|(pk, outcome)| self.note_row(*pk, when, outcome))
            }
            Err(_) => self.notes.note(&Record::Failed { when }),
        }
    }

    async fn list(&self, shelf: u8) -> Result<()> {
        let start = self.notes.now();
        let answers = self.items.lookup_queries(Lookup::one(self.by_shelf.bind((shelf.into(),)))).await;
        let when = Span { start, end: self.notes.now() };
        let answer = answers.map(|answers| answers.into_iter().next().map(|(_, outcome)| outcome));
        let Ok(Some(Ok(Some(answer)))) = answer else {
            return self.notes.note(&Record::Failed { when });
        };
        let source = source(&answer);
        let pks = answer.entry.into_present().unwrap_or_default();
        let members = pks.iter().fold(0, |members, pk| members | 1u128 << (pk.unsigned_abs() % KEYS));
        self.notes.note(&Record::List { shelf, when, source, members })
    }

    /// The rows of a list, which may be newer than the list.
    async fn rows_of(&self, shelf: u8) -> Result<()> {
        let start = self.notes.now();
        let rows = self.items.list(&self.by_shelf.bind((shelf.into(),))).await;
        let when = Span { start, end: self.notes.now() };
        match rows {
            Ok(rows) => {
                let mut each = rows.iter();
                each.try_for_each(|row| self.note_plain(row.pk().unsigned_abs(), when, Some(row)))
            }
            Err(_) => self.notes.note(&Record::Failed { when }),
        }
    }

    async fn slug(&self, pk: u32, parity: u8) -> Result<()> {
        let start = self.notes.now();
        let query = self.by_slug.bind((slug(pk, parity),));
        let answers = self.items.lookup_queries(Lookup::one(query)).await;
        let when = Span { start, end: self.notes.now() };
        let answer = answers.map(|answers| answers.into_iter().next().map(|(_, outcome)| outcome));
        let Ok(Some(Ok(Some(answer)))) = answer else {
            return self.notes.note(&Record::Failed { when });
        };
        let source = source(&answer);
        let found = answer.entry.into_present();
        let wrong = found.as_ref().is_some_and(|pks| **pks != [pk.cast_signed()]);
        // Another row's key: of a parity that no row has, so that it is found out.
        let parity = if wrong { u8::MAX } else { parity };
        self.notes.note(&Record::Slug { pk, parity, when, source, found: found.is_some() })
    }

    fn evict(&self, pk: u32) {
        self.items.evict_l1(pk.cast_signed());
    }

    async fn write(&self, pk: u32, change: Change, rolled_back: bool) -> Result<()> {
        let op = u64::from(self.number) << 40 | self.writes.fetch_add(1, Ordering::Relaxed);
        let write = Write { op, pk, change, rolled_back };
        self.notes.note(&Record::Began { op, pk, at: self.notes.now(), strict: self.writer.is_strict() })?;
        let Done { outcome, told } = self.writer.write(&write).await;
        let at = self.notes.now();
        self.notes.note(&Record::Ended { op, pk, at, outcome })?;
        if told {
            self.notes.note(&Record::Told { op, pk, at })
        } else if outcome != Ended::RolledBack && !self.invalidate(&[pk]).await? {
            self.undelivered().insert(pk);
            Ok(())
        } else {
            Ok(())
        }
    }

    async fn invalidate(&self, pks: &[u32]) -> Result<bool> {
        let told: Vec<i32> = pks.iter().map(|pk| pk.cast_signed()).collect();
        let start = self.notes.now();
        let delivered = if self.mute { Ok(()) } else { self.items.invalidate(told).await };
        let when = Span { start, end: self.notes.now() };
        if delivered.is_ok() {
            pks.iter().try_for_each(|pk| self.notes.note(&Record::Invalidated { pk: *pk, when }))?;
        }
        Ok(delivered.is_ok())
    }

    async fn repeat(&self) -> Result<bool> {
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
    async fn scan(&self) -> Result<()> {
        let pks: Vec<u32> = (0..self.keys).collect();
        self.lookup(&pks, Accept::Stale, false).await?;
        for shelf in 0..SHELVES {
            self.list(shelf).await?;
        }
        Ok(())
    }
}

impl<E: Shape> Calls for Node<E> {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match call {
                Call::Get(pk) => self.get(pk).await,
                Call::Objects(pks) => self.objects(&pks).await,
                Call::Lookup(pks) => self.lookup(&pks, Accept::Stale, false).await,
                Call::Fresh(pk) => self.lookup(&[pk], Accept::Fresh, false).await,
                Call::PastL1(pk) => self.lookup(&[pk], Accept::Stale, true).await,
                Call::List(shelf) => self.list(shelf).await,
                Call::RowsOf(shelf) => self.rows_of(shelf).await,
                Call::Slug(pk, parity) => self.slug(pk, parity).await,
                Call::Evict(pk) => {
                    self.evict(pk);
                    Ok(())
                }
                Call::Write { pk, change, rolled_back } => self.write(pk, change, rolled_back).await,
                Call::Scan => self.scan().await,
            }
        })
    }

    fn deliver(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(self.repeat())
    }
}
