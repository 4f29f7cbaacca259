//! Starts private Redis and Postgres servers, and a browser, for live tests, examples and benches, and ends them with their
//! owner.
//!
//! ```no_run
//! let mut redis = tierstack_servers::Redis::start()?;
//! redis.cli(&["SET", "k", "v"])?;
//! redis.kill()?; // refused from now on …
//! redis.restart()?; // … and back on the same port, empty
//! # anyhow::Ok(())
//! ```
//!
//! 1. A server listens on 127.0.0.1 only, on a port that was free, and keeps its files in a directory of its own.
//! 2. It ends, and its directory goes, when the value is dropped **and** when the owning process dies for any reason,
//!    SIGKILL included: a small shell supervises it and reads a pipe that only the owner holds.
//! 3. What can't be started is an error that names the command to run; nothing is skipped.
//! 4. `from_env_or_start` takes the server that `TIERSTACK_REDIS_URL` or `TIERSTACK_POSTGRES_URL` names. That one
//!    belongs to somebody else: asking for its pid, stopping or killing it is an error.
//!
//! The caveat that bites: everything here blocks the calling thread. In a test on tokio's `current_thread` runtime,
//! start servers before the runtime, or inside `spawn_blocking`.

mod chromium;
mod find;
mod install;
mod postgres;
mod redis;
mod resp;
mod server;
mod supervisor;

pub use chromium::Chromium;
pub use install::{ensure_chromium, ensure_postgres, ensure_redis};
pub use postgres::Postgres;
pub use redis::Redis;
