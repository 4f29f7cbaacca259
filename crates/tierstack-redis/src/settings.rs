//! What a tier on Redis is told: where Redis is, and the limits.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tierstack_core::{Error, ErrorKind};

use crate::address;

/// Where Redis is, and the limits and times of the tier on it.
///
/// Its `Debug` shows no password.
///
/// ```
/// let mut settings = tierstack_redis::RedisSettings::new("redis://127.0.0.1:6379");
/// settings.connections = 4;
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Where Redis is: `redis://[user][:password@]host[:port][/database]`, or `unix:///path?db=0`. Default:
    /// `redis://127.0.0.1:6379`.
    pub url: String,
    /// How many connections are kept. Each carries any number of requests at once; a task of its own writes them and parses
    /// the replies. Reads go half by half, and each half has one. Default: 2.
    pub connections: usize,
    /// What opening a connection may take: name, TCP, password and database. Default: 1 s.
    pub connect_timeout: Duration,
    /// After a failed attempt to connect, requests fail at once for this long. Default: 100 ms.
    pub retry_connect_after: Duration,
    /// What one round trip may take. Make it longer than the `l2_timeout` of the stacks above, which then decides, and
    /// long enough for the largest batch. Default: 1 s.
    pub response_timeout: Duration,
    /// A connection is replaced when this many requests in a row went unanswered (timed out, or were abandoned by their
    /// callers), and nothing was heard for `response_timeout`. Default: 3.
    pub replace_after_timeouts: u32,
    /// Most keys in one MGET; more are several, in one round trip. Default: 1,024,
    /// a whole batch and the record that its rows rest on.
    pub max_keys_per_request: usize,
    /// Most keys in one script call; more are several, in one round trip. Redis serves nobody else while a script runs.
    /// Default: 200.
    pub max_keys_per_script: usize,
}

impl Default for RedisSettings {
    fn default() -> Self {
        RedisSettings::new("redis://127.0.0.1:6379")
    }
}

impl RedisSettings {
    /// The defaults, for the Redis at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        RedisSettings {
            url: url.into(),
            connections: 2,
            connect_timeout: Duration::from_secs(1),
            retry_connect_after: Duration::from_millis(100),
            response_timeout: Duration::from_secs(1),
            replace_after_timeouts: 3,
            max_keys_per_request: 1_024,
            max_keys_per_script: 200,
        }
    }

    /// Whether a tier can be made with them, its URL included.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check(&self) -> Result<(), Error> {
        self.check_limits()?;
        address::parse(&self.url).map(drop)
    }

    /// The same without the URL, for a pool that brings its own.
    pub(crate) fn check_limits(&self) -> Result<(), Error> {
        let RedisSettings {
            url: _,
            connections,
            connect_timeout,
            retry_connect_after,
            response_timeout,
            replace_after_timeouts,
            max_keys_per_request,
            max_keys_per_script,
        } = self;
        let counts = [
            ("connections", *connections, 256),
            ("replace_after_timeouts", *replace_after_timeouts as usize, 10_000),
            ("max_keys_per_request", *max_keys_per_request, 100_000),
            // A script that runs for milliseconds holds every other client up.
            ("max_keys_per_script", *max_keys_per_script, 1_000),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return Err(invalid(format!("{name} is {value}: set it between 1 and {most}")));
            }
        }
        let times = [
            ("connect_timeout", connect_timeout),
            ("retry_connect_after", retry_connect_after),
            ("response_timeout", response_timeout),
        ];
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(3_600));
        for (name, time) in times {
            if *time < least || *time > most {
                return Err(invalid(format!("{name} is {time:?}: set it between 1 ms and 1 h")));
            }
        }
        Ok(())
    }
}

/// The error of a wrong setting.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisSettings {
            url,
            connections,
            connect_timeout,
            retry_connect_after,
            response_timeout,
            replace_after_timeouts,
            max_keys_per_request,
            max_keys_per_script,
        } = self;
        f.debug_struct("RedisSettings")
            .field("url", &address::shown(url))
            .field("connections", connections)
            .field("connect_timeout", connect_timeout)
            .field("retry_connect_after", retry_connect_after)
            .field("response_timeout", response_timeout)
            .field("replace_after_timeouts", replace_after_timeouts)
            .field("max_keys_per_request", max_keys_per_request)
            .field("max_keys_per_script", max_keys_per_script)
            .finish()
    }
}
