//! One connection, and whether it still answers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_redis::Connection;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value};
use tokio::time::Instant;

/// A multiplexed connection, checked out of its pool for as long as it works.
///
/// A checkout costs a PING; a clone of the connection in it costs two counters.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    /// What keeps the place in the pool; gone once the link is retired.
    pooled: Mutex<Option<Connection>>,
    silence: Mutex<Silence>,
    limits: SilenceLimits,
}

/// When a connection counts as wedged: this many requests in a row without an answer, for this long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SilenceLimits {
    pub(crate) requests: u32,
    pub(crate) lasts: Duration,
}

/// What was heard last.
#[derive(Default)]
struct Silence {
    /// When the first request after the last answer was sent.
    since: Option<Instant>,
    /// Requests that timed out or were abandoned since the last answer. Callers give up before the response timeout
    /// does, so that only counting the timeouts would never notice.
    unanswered: u32,
}

impl Link {
    pub(crate) fn new(pooled: Connection, response_timeout: Duration, limits: SilenceLimits) -> Self {
        let mut connection = MultiplexedConnection::clone(&pooled);
        connection.set_response_timeout(response_timeout);
        Link { connection, pooled: Mutex::new(Some(pooled)), silence: Mutex::default(), limits }
    }

    /// Sends a pipeline; gives one reply for each of its commands, errors of the server among them.
    ///
    /// # Cancel safety
    /// The request may or may not take effect; its replies are thrown away, and meet no other request.
    pub(crate) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let mut request = Request::begin(self);
        let mut connection = self.connection.clone();
        let replies = connection.send_packed_commands(pipeline, 0, pipeline.len()).await;
        request.answered = replies.is_ok();
        replies
    }

    /// Whether it has been silent for too long to be trusted.
    pub(crate) fn is_wedged(&self) -> bool {
        let silence = self.silence();
        silence.unanswered >= self.limits.requests
            && silence.since.is_some_and(|since| since.elapsed() >= self.limits.lasts)
    }

    /// Takes the connection out of the pool for good. It closes when the requests under way on it have ended.
    pub(crate) fn retire(&self) {
        if let Some(pooled) = self.pooled.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(Connection::take(pooled));
        }
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; however it ends, its end is noted.
struct Request<'a> {
    link: &'a Link,
    answered: bool,
}

impl<'a> Request<'a> {
    fn begin(link: &'a Link) -> Self {
        link.silence().since.get_or_insert_with(Instant::now);
        Request { link, answered: false }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut silence = self.link.silence();
        if self.answered {
            *silence = Silence::default();
        } else {
            silence.unanswered = silence.unanswered.saturating_add(1);
        }
    }
}
