//! What keeps L2 closed while a transaction commits, and tells it of the end: a task of its own, so that whoever dropped
//! `commit()` loses nothing.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tierstack_core::{Error, Mark, Marked, Moment, Touched, Xid};
use tokio::sync::oneshot;
use tokio_postgres::types::Type;

use super::puts::Read;
use super::shared::Shared;
use crate::snapshot::{History, history};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Committed,
    Aborted,
    Unknown,
}

/// After a lost answer, its outcome is asked for after this long, then after twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What one such question may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// What stands in L2 for a transaction whose COMMIT is sent.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) touched: Touched,
    pub(super) xid: Xid,
    /// Marks that were acknowledged; `None` for a transaction that commits without.
    pub(super) marked: Option<Marked>,
    /// Rows that L2 is given if it commits and says so.
    pub(super) read: Option<Read>,
}

impl Keeper {
    /// Renews the marks until the transaction has `ended`, and tells L2 so. A sender that is dropped says that its end is
    /// not known.
    pub(super) async fn run(mut self, ended: oneshot::Receiver<Ended>) -> Result<(), Error> {
        let mut end = self.renew_until(ended).await;
        if let (Ended::Committed, Some(Read { marked, stamp, puts })) = (end, &self.read) {
            // Before L2 is told of the end: so it tells every node of these rows.
            self.touched.put(marked, Some(stamp), puts).await;
        }
        if end == Ended::Unknown {
            self.shared.counts.unknown.add_one();
            end = self.resolve().await;
        }
        match end {
            Ended::Committed => self.finish().await,
            // What stands is open to whoever has seen that it ended.
            Ended::Aborted | Ended::Unknown => Ok(()),
        }
    }

    async fn renew_until(&mut self, mut ended: oneshot::Receiver<Ended>) -> Ended {
        let clock = self.shared.namespace.clock().clone();
        // Longer than whoever sent COMMIT waits for its answer, if it is polled at all.
        let last = clock.coarse().plus(self.shared.settings.commit_timeout + LONGEST_PAUSE);
        let mut failed = 0;
        loop {
            let due = self.marked.as_ref().map_or(Moment::NEVER, |marked| due(marked, failed)).min(last);
            match clock.before(due, &mut ended).await {
                Some(end) => return end.unwrap_or(Ended::Unknown),
                None if clock.coarse() >= last => return Ended::Unknown,
                None => failed = if self.renew().await { 0 } else { failed + 1 },
            }
        }
    }

    /// Marks again; whether L2 took it.
    async fn renew(&mut self) -> bool {
        match self.touched.mark(Mark::begun().xids([self.xid])).await {
            Ok(marked) => {
                self.shared.counts.renewed.add_one();
                self.marked = Some(marked);
                true
            }
            Err(_) => {
                self.shared.counts.not_renewed.add_one();
                false
            }
        }
    }

    /// Finds out how the transaction ended, and keeps the marks standing meanwhile.
    async fn resolve(&mut self) -> Ended {
        let shared = Arc::clone(&self.shared);
        let clock = shared.namespace.clock();
        let until = clock.coarse().plus(shared.settings.resolve_for);
        let Ok(_place) = shared.unresolved.try_acquire() else { return self.give_up().await };
        let (mut pause, mut failed) = (FIRST_PAUSE, 0);
        loop {
            // Those of a fast one are made here.
            let is_due = |marked: &Marked| clock.coarse() >= due(marked, failed);
            if self.marked.as_ref().is_none_or(is_due) {
                failed = if self.renew().await { 0 } else { failed + 1 };
            }
            // Asked after it is looked whether there is time for another question: the last one is of after the shutdown
            // began.
            let is_last = shared.is_closing() || clock.coarse() >= until;
            if let Some(pool) = &shared.pool
                && let Some(Some(end)) =
                    clock.before(clock.coarse().plus(STATUS_TIMEOUT), self.status(pool)).await
            {
                shared.counts.resolved.add_one();
                return end;
            }
            if is_last {
                return self.give_up().await;
            }
            let next = clock.coarse().plus(pause).min(until);
            let next = self.marked.as_ref().map_or(next, |marked| due(marked, failed).min(next));
            clock.before(next, shared.closed()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// How Postgres says that the transaction ended; `None` if it has not, or nobody says.
    async fn status(&self, pool: &Pool) -> Option<Ended> {
        let client = pool.get().await.ok()?;
        let id = self.xid.id.to_string();
        let row = client.query_typed_one(STATUS, &[(&id, Type::TEXT)]).await.ok()?;
        // Of a standby: it may not have heard of the transaction yet.
        let history = History::read(&row, 1).ok()??;
        if history != History::of(&self.xid) {
            // What another history says of the id is of another transaction. Ours has ended with the server it was on.
            return Some(Ended::Committed);
        }
        match row.try_get::<_, Option<&str>>(0).ok()? {
            Some("in progress") => None,
            Some("aborted") => Some(Ended::Aborted),
            // Committed, or so long ago that Postgres has forgotten how.
            _ => Some(Ended::Committed),
        }
    }

    /// Leaves marks that stand for the life of a floor.
    async fn give_up(&mut self) -> Ended {
        self.renew().await;
        self.shared.counts.unresolved.add_one();
        Ended::Unknown
    }

    async fn finish(&self) -> Result<(), Error> {
        let told = self.touched.mark(Mark::finished().xids([self.xid])).await;
        if told.is_err() {
            self.shared.counts.undelivered.add_one();
        }
        told.map(drop)
    }
}

/// When marks are to be renewed: after a third of their life, and sooner again if that failed.
fn due(marked: &Marked, failed: u32) -> Moment {
    let third = marked.life / 3;
    marked.sent.plus(third + third / 4 * failed)
}

/// What the server's history says of an id. One that is beyond what has ended is under way, or of another history, of which
/// `pg_xact_status` knows nothing and says so by an error.
const STATUS: &str = concat!(
    "SELECT CASE WHEN $1::pg_catalog.xid8 OPERATOR(pg_catalog.<) ",
    "pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) ",
    "THEN pg_catalog.pg_xact_status($1::pg_catalog.xid8) ELSE 'in progress' END, ",
    history!(),
    " FROM pg_catalog.pg_control_system()"
);
