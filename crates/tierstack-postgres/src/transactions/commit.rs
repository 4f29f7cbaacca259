//! The way of a commit: its id, the marks, COMMIT, the marks again.

use std::time::Duration;

use tierstack_core::{Error, ErrorKind, Mark, Marked, Random, WithoutL2, WriteToken, Xid};
use tokio::sync::oneshot;
use tokio_postgres::Row;

use super::keeper::{Ended, Keeper};
use super::outcome::{CommitError, Written, is_rolled_back};
use super::puts::Read;
use super::settings::Mode;
use super::transaction::Transaction;
use crate::error::not_done;
use crate::snapshot::{History, history};

/// Whether this is the transaction that was begun, and its id, if it has one.
const XID: &str = concat!(
    "SELECT pg_catalog.current_setting('tierstack.transaction', true) IS NOT DISTINCT FROM 'open', ",
    "pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, ",
    history!(),
    " FROM pg_catalog.pg_control_system()"
);

/// How long others leave the loading of what is put to us: as long as a COMMIT takes that isn't held up.
const CLAIM: Duration = Duration::from_secs(1);

/// How often marks are made anew that were too old when they were acknowledged.
const MOST_MARKS: u32 = 3;

impl Transaction<'_> {
    /// Commits, and has every tier of every node forget what was touched. See the [modes](crate::transactions).
    ///
    /// A transaction that wrote nothing has no id: it commits, and no tier is told.
    ///
    /// # Errors
    /// [`CommitError`], whose [`outcome`](CommitError::outcome) says whether it was rolled back: by Postgres (a failed
    /// statement, a deferred constraint, a serialization failure), or here, as L2 could not be reached before. That L2
    /// can't be told *after* COMMIT is no error: see [`Written::undelivered`].
    ///
    /// # Cancel safety
    /// Dropped before COMMIT is sent, it is rolled back. Dropped later, its outcome is nobody's to know, and a task of its own
    /// goes on: it asks for the outcome if it has a pool to ask, keeps what was touched closed until it knows, and tells
    /// L2.
    pub async fn commit(mut self) -> Result<Written, CommitError> {
        let done = self.commit_open().await;
        let counts = &self.shared.counts;
        match &done {
            Ok(_) => counts.committed.add_one(),
            Err(error) if matches!(error.outcome(), super::Outcome::RolledBack) => {
                counts.rolled_back.add_one()
            }
            Err(_) => {}
        }
        done
    }

    async fn commit_open(&mut self) -> Result<Written, CommitError> {
        let rolled_back = |error| CommitError::rolled_back(not_done(error, "committed"));
        // In a transaction that has failed, this does, too. Without it, COMMIT would roll back and call it done.
        let row = self.client.query_typed_one(XID, &[]).await.map_err(rolled_back)?;
        let (is_ours, xid) = identity(&row).map_err(rolled_back)?;
        if !is_ours {
            return Err(self.ended_before().await);
        }
        let Some(xid) = xid? else {
            self.open = false;
            self.client.batch_execute("COMMIT").await.map_err(rolled_back)?;
            let token = WriteToken::of([]);
            return Ok(Written { xid: None, token, downgraded: false, undelivered: None });
        };
        let strict = self.shared.settings.mode == Mode::Strict && !self.touched.is_empty();
        let (marked, read) = if strict { self.mark_before(xid).await? } else { (None, None) };
        let downgraded = strict && marked.is_none();
        let undelivered = self.send(xid, marked, read).await?;
        Ok(Written { xid: Some(xid), token: WriteToken::of([xid]), downgraded, undelivered })
    }

    /// Marks what is touched, and reads what is to be put. No marks if L2 can't be reached, and the transaction may commit all
    /// the same.
    async fn mark_before(&self, xid: Xid) -> Result<(Option<Marked>, Option<Read>), CommitError> {
        let begun = Mark::begun().xids([xid]);
        let (mut mark, mut read, mut failure) = (begun.clone(), None, None);
        if !self.puts.is_empty() {
            mark = mark.claim(Random::system().token(), CLAIM);
        }
        for _ in 0..MOST_MARKS {
            match self.touched.mark(mark.clone()).await {
                Ok(marked) => {
                    if read.is_none() && !self.puts.is_empty() {
                        read = self.read(&marked, xid).await?;
                        // What is claimed stays so under the next mark, if there has to be one.
                        mark = begun.clone();
                    }
                    // Under older marks, the floors could end before COMMIT has.
                    if self.shared.namespace.now().since(marked.sent) < marked.life / 2 {
                        return Ok((Some(marked), read));
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if self.shared.settings.without_l2 == WithoutL2::Write {
            self.shared.counts.downgraded.add_one();
            return Ok((None, None));
        }
        let text = "the transaction was rolled back, as L2 was not told of it in time: try again, or let it commit without \
                    (see without_l2)";
        Err(CommitError::rolled_back(match failure {
            Some(cause) => Error::with_source(ErrorKind::Unavailable, text, cause),
            None => Error::new(ErrorKind::Unavailable, text),
        }))
    }

    /// Sends COMMIT, and waits until L2 was told of its end. Gives back why L2 wasn't.
    async fn send(
        &mut self,
        xid: Xid,
        marked: Option<Marked>,
        read: Option<Read>,
    ) -> Result<Option<Error>, CommitError> {
        let clock = self.shared.namespace.clock().clone();
        let until = clock.coarse().plus(self.shared.settings.commit_timeout);
        let keeper = if self.touched.is_empty() { None } else { Some(self.keeper(xid, marked, read)?) };
        // From here to the first poll of COMMIT nothing can drop this future: a keeper whose sender is gone finds it sent.
        self.open = false;
        let committed = clock.before(until, self.client.batch_execute("COMMIT")).await;
        let (ended, failure) = match committed {
            Some(Ok(())) => (Ended::Committed, None),
            Some(Err(error)) if is_rolled_back(&error) => (Ended::Aborted, Some(error)),
            Some(Err(error)) => (Ended::Unknown, Some(error)),
            None => (Ended::Unknown, None),
        };
        let told = keeper.map(|(tell, keeper)| {
            let _ = tell.send(ended);
            keeper
        });
        match (ended, failure) {
            (Ended::Committed, _) => {
                let Some(told) = told else { return Ok(None) };
                // A task that panicked, or whose runtime has ended, has told nobody.
                let lost =
                    || Error::new(ErrorKind::Undelivered, "the task that tells L2 of the commit was lost");
                Ok(told.await.unwrap_or_else(|_| Err(lost())).err())
            }
            (_, Some(error)) if ended == Ended::Aborted => {
                Err(CommitError::rolled_back(not_done(error, "committed")))
            }
            (_, Some(error)) => Err(CommitError::unknown(xid, not_done(error, "committed"))),
            (_, None) => {
                let text = "COMMIT was not answered in time: see commit_timeout";
                Err(CommitError::unknown(xid, Error::new(ErrorKind::Timeout, text)))
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "both ends of one task")]
    fn keeper(
        &self,
        xid: Xid,
        marked: Option<Marked>,
        read: Option<Read>,
    ) -> Result<(oneshot::Sender<Ended>, tokio::task::JoinHandle<Result<(), Error>>), CommitError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            let text =
                "the transaction was rolled back: commit inside a tokio runtime, which tells L2 of its end";
            CommitError::rolled_back(Error::with_source(ErrorKind::Invalid, text, error))
        })?;
        let (tell, ended) = oneshot::channel();
        let keeper = Keeper { shared: self.shared.clone(), touched: self.touched.clone(), xid, marked, read };
        let kept = self.shared.keep();
        let task = runtime.spawn(async move {
            let _kept = kept;
            keeper.run(ended).await
        });
        Ok((tell, task))
    }

    /// Another transaction is open, or none. What became of ours is for the user to know; what it touched is forgotten, in
    /// case it was committed.
    async fn ended_before(&mut self) -> CommitError {
        let told = self.touched.mark(Mark::finished()).await;
        if told.is_err() {
            self.shared.counts.undelivered.add_one();
        }
        CommitError::ended_before()
    }
}

/// Whether it is the transaction that was begun, and its id.
fn identity(row: &Row) -> Result<(bool, Result<Option<Xid>, CommitError>), tokio_postgres::Error> {
    let (is_ours, id): (bool, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
    let xid = match (id.and_then(|id| id.parse().ok()), History::read(row, 2)?) {
        (Some(id), Some(history)) => Ok(Some(history.xid(id))),
        (None, _) if id.is_none() => Ok(None),
        _ => {
            let text = "the transaction was rolled back: Postgres says neither its id nor its timeline in a form that is \
                        known here";
            Err(CommitError::rolled_back(Error::new(ErrorKind::Origin, text)))
        }
    };
    Ok((is_ours, xid))
}
