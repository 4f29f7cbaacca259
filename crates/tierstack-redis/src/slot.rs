//! The place of one connection: opened when it is first needed, by one caller of the tier at a time, and again when it failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_redis::{Pool, PoolError};
use redis::{Pipeline, Value};
use tierstack_core::{Error, ErrorKind};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::RedisSettings;
use crate::fault;
use crate::link::{Link, SilenceLimits};

/// One place for a connection.
pub(crate) struct Slot {
    link: Mutex<Option<Arc<Link>>>,
    connecting: Arc<Connecting>,
}

/// What the slots of a tier share: one of them connects at a time, and a failure is known to all.
pub(crate) struct Connecting {
    pool: Pool,
    settings: Arc<RedisSettings>,
    /// Held by the task that connects.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When connecting failed last, and why.
    failed: Mutex<Option<(Instant, Error)>>,
}

impl Connecting {
    pub(crate) fn new(pool: Pool, settings: Arc<RedisSettings>) -> Self {
        Connecting { pool, settings, turn: Arc::default(), failed: Mutex::default() }
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
        *lock(&self.failed) = opened.as_ref().err().map(|error| (Instant::now(), error.clone()));
        let limits = SilenceLimits { requests: replace_after_timeouts, lasts: response_timeout };
        Ok(Arc::new(Link::new(opened?, response_timeout, limits)))
    }

    /// A failure that is too recent to try again.
    fn failed(&self) -> Option<Error> {
        let failed = lock(&self.failed);
        let (at, error) = failed.as_ref()?;
        (at.elapsed() < self.settings.retry_connect_after).then(|| error.clone())
    }
}

impl Slot {
    pub(crate) fn new(connecting: Arc<Connecting>) -> Self {
        Slot { link: Mutex::default(), connecting }
    }

    /// Whether there is a connection that is not known to have failed.
    pub(crate) fn is_open(&self) -> bool {
        self.open_link().is_some()
    }

    /// Connects behind the request at hand, if nobody connects already.
    pub(crate) fn open_behind(self: &Arc<Self>) {
        if let Ok(turn) = Arc::clone(&self.connecting.turn).try_lock_owned()
            && self.known().is_none()
        {
            drop(self.connect(turn));
        }
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
        let connect = tokio::time::timeout(self.connecting.settings.connect_timeout, self.open());
        connect.await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// The connection there is, or the failure that is too recent to try again.
    fn known(&self) -> Option<Result<Arc<Link>, Error>> {
        self.open_link().map(Ok).or_else(|| self.connecting.failed().map(Err))
    }

    fn open_link(&self) -> Option<Arc<Link>> {
        let mut link = lock(&self.link);
        if link.as_ref().is_some_and(|link| link.is_wedged())
            && let Some(wedged) = link.take()
        {
            wedged.retire();
        }
        link.clone()
    }

    async fn open(self: &Arc<Self>) -> Result<Arc<Link>, Error> {
        let turn = Arc::clone(&self.connecting.turn).lock_owned().await;
        if let Some(known) = self.known() {
            return known;
        }
        self.connect(turn).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "the runtime ended while it connected to redis"))
        })
    }

    /// Connects in a task of its own, as a caller that gives up early must not undo a slow connect for all others. The
    /// task ends within the connect timeout.
    fn connect(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> JoinHandle<Result<Arc<Link>, Error>> {
        let slot = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = turn;
            let link = slot.connecting.connect().await?;
            *lock(&slot.link) = Some(Arc::clone(&link));
            Ok(link)
        })
    }

    /// Gives that connection up, unless another one has taken its place.
    fn retire(&self, link: &Arc<Link>) {
        link.retire();
        lock(&self.link).take_if(|there| Arc::ptr_eq(there, link));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_slow() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "redis took no connection within connect_timeout: look at its load and at the network",
    )
}
