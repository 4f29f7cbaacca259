//! What a load's connection says of the moment: which snapshot it reads with, and whether its rows hold for everybody.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::SystemTime;

use deadpool_postgres::Client;
use futures_util::future::{join, maybe_done, poll_fn};
use tierstack_core::{Error, Stamp};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::error::unstamped;
use crate::snapshot::{SNAPSHOT, stamp};

/// When the transaction began, and whether this is a standby. Nobody may be kept from calling these.
const WHERE: &str = "SELECT pg_catalog.now(), pg_catalog.pg_is_in_recovery()";

/// After a refusal, this many loads don't ask for a stamp; then one asks again, in case it was granted.
const LOADS_WITHOUT: u32 = 1_000;

/// What a load has seen, and whether it is everybody's.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) stamp: Option<Stamp>,
    pub(crate) shared: bool,
}

/// Asks for it, beside the statements of a load.
///
/// Two statements go ahead of those of the rows, on their connection and in the same round trip. Each of them, sent by
/// itself, is a transaction; if both began with the same `now()`, they are in a transaction that somebody else has opened,
/// and so are the rows. A snapshot of the one before the rows' statement claims no more than the rows hold.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    loads_without: AtomicU32,
    refusal: Mutex<Option<Error>>,
}

impl Probe {
    /// Runs `read`, and says of which moment its rows are.
    ///
    /// # Errors
    /// Those of `read`; of Postgres or the way to it. That Postgres refuses the functions of a stamp is none.
    ///
    /// # Cancel safety
    /// That of `read`.
    pub(crate) async fn around<T>(
        &self,
        client: &Client,
        read: impl Future<Output = Result<T, Error>>,
        failed: impl Fn(tokio_postgres::Error) -> Error,
    ) -> Result<(T, Seen), Error> {
        let before = client.prepare_cached(WHERE).await.map_err(&failed)?;
        let snapshot = if self.asks() {
            match client.prepare_cached(SNAPSHOT).await {
                Err(error) if is_refusal(&error) => self.refused(error),
                prepared => Some(prepared.map_err(&failed)?),
            }
        } else {
            None
        };
        let second = snapshot.as_ref().unwrap_or(&before);
        let mut probe = pin!(maybe_done(join(client.query_one(&before, &[]), client.query_one(second, &[]))));
        // Polled once, they are sent: whatever `read` sends comes after them. From here on both have to be polled, as the
        // connection gives no reply before the one ahead of it was taken.
        poll_fn(|cx| Poll::Ready(probe.as_mut().poll(cx).is_ready())).await;
        let (_, rows) = join(probe.as_mut(), read).await;
        let rows = rows?;
        let Some((before, second)) = probe.take_output() else { return Ok((rows, Seen::private())) };
        let before = before.map_err(&failed)?;
        let second = match second {
            Ok(second) => second,
            // Inside a transaction, the refusal would have ended it, and there would be no rows.
            Err(error) if snapshot.is_some() && is_refusal(&error) => {
                self.refused::<()>(error);
                return seen(&before, None, false).map(|seen| (rows, seen)).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        let foreign = began(&before).and_then(|began_first| Ok(began_first == began(&second)?));
        let foreign = foreign.map_err(&failed)?;
        let snapshot = snapshot.as_ref().map(|_| &second);
        seen(&before, snapshot, foreign).map(|seen| (rows, seen)).map_err(failed)
    }

    /// Why rows come without a stamp, if Postgres refuses what one is made of.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn asks(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.loads_without.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }

    fn refused<T>(&self, error: tokio_postgres::Error) -> Option<T> {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(unstamped(error));
        self.loads_without.store(LOADS_WITHOUT, Ordering::Relaxed);
        None
    }
}

impl Seen {
    /// Of rows that are answered and kept nowhere.
    pub(crate) fn private() -> Self {
        Seen { stamp: None, shared: false }
    }
}

fn seen(before: &Row, snapshot: Option<&Row>, foreign: bool) -> Result<Seen, tokio_postgres::Error> {
    if foreign || before.try_get::<_, bool>(1)? {
        return Ok(Seen::private());
    }
    let stamp = snapshot.map(|row| stamp(row, 1)).transpose()?.flatten();
    Ok(Seen { stamp, shared: true })
}

/// When the transaction of a probe began.
fn began(probe: &Row) -> Result<SystemTime, tokio_postgres::Error> {
    probe.try_get(0)
}

/// Whether Postgres knows the functions of a stamp and gives them to this user: "permission denied" is 42501, an unknown
/// function 42883, one that a relative of Postgres lacks 0A000.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    let refusals =
        [&SqlState::INSUFFICIENT_PRIVILEGE, &SqlState::UNDEFINED_FUNCTION, &SqlState::FEATURE_NOT_SUPPORTED];
    error.code().is_some_and(|code| refusals.contains(&code))
}
