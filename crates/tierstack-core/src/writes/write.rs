//! A write to any origin, fenced by holds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::mark::{Mark, Marked};
use super::put::Put;
use super::settings::WithoutL2;
use super::stats::WriteEvent;
use super::touched::Touched;
use crate::{Cache, Entity, Error, IntoKey, Moment, Namespace, Token, WireKey, WriteToken};

/// A hold lasts this much longer than the write may take: for clocks that run apart.
const HOLD_MARGIN: Duration = Duration::from_secs(1);
/// No write takes longer, and no origin needs longer to settle.
const MOST: Duration = Duration::from_secs(3_600);

/// A write under way, to an origin of any kind. While it is, L2 is closed for what it touches: nothing is filled, by any node,
/// whatever it loads and when.
///
/// ```
/// # use std::time::Duration;
/// # use tierstack_core::{Cache, Entity, Error};
/// # struct Repository; impl Repository { async fn rename(&self, _: i32, _: &str) -> Result<(), Error> { Ok(()) } }
/// # async fn example<E: Entity<Pk = i32>>(films: Cache<E>, repository: Repository) -> Result<(), Error> {
/// let write = films.begin_write([7], Duration::from_secs(5)).await?;
/// let renamed = tokio::time::timeout(write.remaining(), repository.rename(7, "Alien")).await;
/// match renamed {
///     Ok(Ok(())) => drop(write.commit().await?),
///     // The origin has said no: nothing was written.
///     Ok(Err(_)) => write.rollback().await?,
///     // Nobody knows whether it will be: the hold is left to end by itself.
///     Err(_) => drop(write),
/// }
/// # Ok(()) }
/// ```
///
/// 1. The holds stand in L2 when [`begin_write`](Namespace::begin_write) returns.
/// 2. *The write is sent only while [`remaining`](Self::remaining) is as long as it may take, retries included.* A write that
///    lands after its hold has ended, of a writer that has crashed, is one that L2 never hears of.
/// 3. [`commit`](Self::commit) and [`rollback`](Self::rollback) drop this write's hold, and no other's.
/// 4. A `Write` that is dropped drops no hold: whether the write lands is not known. The hold ends by itself.
/// 5. The origin must answer its own acknowledged writes. One that reads a replica that lags needs
///    [`settle`](Self::settle).
#[must_use = "a write that is dropped leaves L2 closed until its hold ends: commit it, or roll it back"]
pub struct Write {
    touched: Touched,
    hold: Token,
    /// What L2 acknowledged; `None` if the write is made without a hold.
    held: Option<Marked>,
    /// Until then it may be sent and land.
    until: Moment,
    settle: Duration,
    puts: BTreeMap<WireKey, Put>,
    ended: bool,
}

impl Namespace {
    /// Begins a write that touches that, and that will have landed, or failed for good, `within` that time from when this
    /// returns. Costs one round trip to L2.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if L2 could not be reached, unless
    /// [`without_l2`](crate::WriteSettings::without_l2) says that the write is made without a hold. Then what was held ends by
    /// itself. [`Invalid`](crate::ErrorKind::Invalid) if `touched` is of another namespace, or `within` is zero or over an
    /// hour.
    ///
    /// # Cancel safety
    /// If it is dropped, holds may stand until they end by themselves.
    pub async fn begin_write(&self, touched: Touched, within: Duration) -> Result<Write, Error> {
        if !touched.is_of(self) {
            return Err(Error::invalid(format!(
                "what is touched is of another namespace than {:?}: begin the write with its own",
                self.name()
            )));
        }
        if within.is_zero() || within > MOST {
            return Err(Error::invalid(format!(
                "a write within {within:?}: give it more than nothing, and at most 1 h"
            )));
        }
        Write::begin(touched, within).await
    }
}

impl<E: Entity> Cache<E> {
    /// Begins a write of those rows; see [`Namespace::begin_write`].
    ///
    /// # Errors
    /// Those of [`Namespace::begin_write`]; [`Invalid`](crate::ErrorKind::Invalid) for a key that is longer than any cache
    /// takes.
    ///
    /// # Cancel safety
    /// If it is dropped, holds may stand until they end by themselves.
    pub async fn begin_write<I>(&self, pks: I, within: Duration) -> Result<Write, Error>
    where
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let mut touched = Touched::new(self.namespace());
        touched.rows::<E>(pks)?;
        self.namespace().begin_write(touched, within).await
    }
}

impl Write {
    async fn begin(touched: Touched, within: Duration) -> Result<Self, Error> {
        let writes = Arc::clone(&touched.namespace.shared().writes);
        let hold = writes.random.token();
        // What the acknowledgement takes is not taken off the write's time.
        let life = within + HOLD_MARGIN + writes.settings.l2_timeout * touched.parts();
        let sent = writes.clock.coarse();
        let mark = Mark { hold: Some((hold, life)), ..Mark::begun().claim(hold, life) };
        let held = match touched.mark(mark).await {
            Ok(marked) => Some(marked),
            Err(_) if writes.settings.without_l2 == WithoutL2::Write => {
                writes.counters.add(WriteEvent::WithoutHold, 1);
                None
            }
            Err(error) => return Err(error),
        };
        writes.counters.add(WriteEvent::Begun, 1);
        let until = sent.plus(life - HOLD_MARGIN);
        Ok(Write { touched, hold, held, until, settle: Duration::ZERO, puts: BTreeMap::new(), ended: false })
    }

    /// How long the write may still take from now on.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.since(self.touched.namespace.now())
    }

    /// Whether it is fenced by holds; if not, it is made as the settings say though L2 could not be reached, and is
    /// invalidated after it was made only.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// What it touches.
    #[must_use]
    pub fn touched(&self) -> &Touched {
        &self.touched
    }

    /// Leaves L2 closed for so long after the commit, an hour at most: for an origin that reads from a replica which lags by
    /// no more than that.
    pub fn settle(mut self, lag: Duration) -> Self {
        self.settle = lag.min(MOST);
        self
    }

    /// Gives L2 the row that this write stored, when it is committed: whoever asks next is answered without a load. L2 takes
    /// it only if no other write came near; else it is loaded, as without this. The last row of each key counts; a write
    /// that [settles](Self::settle) puts none.
    ///
    /// The row must be the one that the origin now answers for its key, with what the origin itself puts into it.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a row that this write does not touch by its key, and for those of
    /// [`Put::of`].
    pub fn put<E: Entity>(&mut self, cache: &Cache<E>, row: impl Into<Arc<E>>) -> Result<(), Error> {
        let put = Put::of(cache, row)?;
        if !self.touched.is_of(cache.namespace()) || !self.touched.may_put(&put) {
            return Err(Error::invalid(format!(
                "{put:?} is not touched by this write: touch the row by its key"
            )));
        }
        // Bounded as what is touched is; a row that is put again takes the place of the first.
        self.puts.insert(put.key.clone(), put);
        Ok(())
    }

    /// The origin has acknowledged the write: every tier forgets what it touches, and L2 is open again. The token makes a
    /// lookup on any node see the write; see [`Lookup::seen`](crate::Lookup::seen).
    ///
    /// When it returns, what is true after [`Cache::invalidate`] is true.
    ///
    /// # Errors
    /// [`Undelivered`](crate::ErrorKind::Undelivered) if L2 could not be told: the write is made; what is held stays closed
    /// until L2 is told, or the hold ends. It is kept and sent again.
    ///
    /// # Cancel safety
    /// If it is dropped after it was first polled, it takes effect all the same; in L2, some time later.
    pub async fn commit(mut self) -> Result<WriteToken, Error> {
        let settle = (!self.settle.is_zero()).then(|| (self.random_token(), self.settle));
        let mark = Mark { hold: settle, ..self.ending() };
        self.count(WriteEvent::Committed);
        let ending = Ending { touched: &self.touched, mark: Some(mark) };
        let stored = match &self.held {
            Some(marked) if settle.is_none() && !self.puts.is_empty() => {
                self.touched.store(marked, None, self.puts.values()).await
            }
            _ => BTreeMap::new(),
        };
        ending.mark(&stored).await?;
        Ok(WriteToken::must_load())
    }

    /// The origin has said that nothing was written: L2 is open again.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// As for [`commit`](Self::commit).
    pub async fn rollback(mut self) -> Result<(), Error> {
        let mark = self.ending();
        self.count(WriteEvent::RolledBack);
        Ending { touched: &self.touched, mark: Some(mark) }.mark(&BTreeMap::new()).await
    }

    fn ending(&mut self) -> Mark {
        self.ended = true;
        // Though it was not acknowledged, the hold may have been placed.
        Mark { drop_hold: Some(self.hold), ..Mark::finished() }
    }

    fn random_token(&self) -> Token {
        self.touched.namespace.shared().writes.random.token()
    }

    fn count(&self, event: WriteEvent) {
        self.touched.namespace.shared().writes.counters.add(event, 1);
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.ended {
            self.count(WriteEvent::Abandoned);
        }
    }
}

/// The end of a write, which is told in any case.
struct Ending<'a> {
    touched: &'a Touched,
    mark: Option<Mark>,
}

impl Ending<'_> {
    /// Marks all that is touched, and spares what was `stored` under the write's own right, by its token: what bears that
    /// has not been invalidated since. All nodes are told of it, too, so that nobody joins a load that began under the hold.
    async fn mark(mut self, stored: &BTreeMap<WireKey, Token>) -> Result<(), Error> {
        let mark = self.mark.take().unwrap_or_default();
        self.touched.mark_sparing(&mark, stored).await.map(drop)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.touched.mark_later(mark);
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, remaining) = (self.is_held(), self.remaining());
        f.debug_struct("Write")
            .field("touched", &self.touched)
            .field("held", &held)
            .field("remaining", &remaining)
            .finish_non_exhaustive()
    }
}
