//! The place of one connection: opened when it is first needed, by one caller at a time, and again when it failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_redis::{Pool, PoolError};
use redis::{Pipeline, Value};
use tierstack_core::{Error, ErrorKind};
use tokio::time::Instant;

use crate::RedisSettings;
use crate::fault;
use crate::link::{Link, SilenceLimits};

/// One place for a connection.
pub(crate) struct Slot {
    pool: Pool,
    settings: Arc<RedisSettings>,
    state: Mutex<State>,
    /// Held by the task that connects.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    /// When connecting failed last, and why.
    failed: Option<(Instant, Error)>,
}

impl Slot {
    pub(crate) fn new(pool: Pool, settings: Arc<RedisSettings>) -> Self {
        Slot { pool, settings, state: Mutex::default(), turn: Arc::default() }
    }

    /// Sends a pipeline; gives one reply for each of its commands, errors of the server among them. If the connection is
    /// lost, what `again` gives is sent on a new one.
    ///
    /// # Cancel safety
    /// That of [`Link::send`]; a connect that was begun goes on for those who come next.
    pub(crate) async fn send(
        self: &Arc<Self>,
        pipeline: &Pipeline,
        again: impl FnOnce() -> Option<Pipeline>,
    ) -> Result<Vec<Value>, Error> {
        let mut again = Some(again);
        let mut repeated = None;
        loop {
            let pipeline = repeated.as_ref().unwrap_or(pipeline);
            let link = self.link().await?;
            let error = match link.send(pipeline).await {
                Ok(replies) if replies.len() == pipeline.len() => return Ok(replies),
                Ok(_) => return Err(fault::unexpected("one reply a command")),
                Err(error) => error,
            };
            if !error.is_timeout() {
                self.retire(&link);
                // A server that closes idle connections, or was restarted, is not worth an error, if what was sent may be
                // repeated: the first copy may still be on its way.
                if error.is_connection_dropped()
                    && let Some(again) = again.take()
                    && let Some(pipeline) = again()
                {
                    repeated = Some(pipeline);
                    continue;
                }
            }
            return Err(fault::connection(error));
        }
    }

    /// The connection; opens one if there is none. Waits for another caller's attempt rather than make its own.
    async fn link(self: &Arc<Self>) -> Result<Arc<Link>, Error> {
        if let Some(known) = self.known() {
            return known;
        }
        let connect = tokio::time::timeout(self.settings.connect_timeout, self.open());
        connect.await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// The connection there is, or the failure that is too recent to try again.
    fn known(&self) -> Option<Result<Arc<Link>, Error>> {
        let mut state = self.state();
        if let Some(link) = &state.link {
            if !link.is_wedged() {
                return Some(Ok(Arc::clone(link)));
            }
            link.retire();
            state.link = None;
        }
        match &state.failed {
            Some((at, error)) if at.elapsed() < self.settings.retry_connect_after => Some(Err(error.clone())),
            _ => None,
        }
    }

    /// Connects in a task of its own, as a caller that gives up early must not undo a slow connect for all others. The
    /// task ends within the connect timeout.
    async fn open(self: &Arc<Self>) -> Result<Arc<Link>, Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(known) = self.known() {
            return known;
        }
        let slot = Arc::clone(self);
        let task = tokio::spawn(async move {
            let _turn = turn;
            slot.connect().await
        });
        task.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "the runtime ended while it connected to redis"))
        })
    }

    async fn connect(&self) -> Result<Arc<Link>, Error> {
        let RedisSettings { connect_timeout, response_timeout, replace_after_timeouts, .. } = *self.settings;
        let opened = match tokio::time::timeout(connect_timeout, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(error))) => Err(fault::connection(error)),
            Ok(Err(error)) => Err(Error::with_source(
                ErrorKind::Unavailable,
                "the pool gives no connection to redis",
                error,
            )),
            Err(_) => Err(too_slow()),
        };
        let mut state = self.state();
        match opened {
            Ok(connection) => {
                let limits = SilenceLimits { requests: replace_after_timeouts, lasts: response_timeout };
                let link = Arc::new(Link::new(connection, response_timeout, limits));
                *state = State { link: Some(Arc::clone(&link)), failed: None };
                Ok(link)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Gives that connection up, unless another one has taken its place.
    fn retire(&self, link: &Arc<Link>) {
        link.retire();
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|there| Arc::ptr_eq(there, link)) {
            state.link = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_slow() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "redis took no connection within connect_timeout: look at its load and at the network",
    )
}
