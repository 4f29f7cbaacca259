//! The shared tier of tierstack on Redis: one MGET to read a batch, one script call to change it.
//!
//! [`RedisTier`] is a [`Tier`](tierstack_core::Tier); hand it to the builder of a cache as its L2. This crate is the only
//! one that names a Redis client.
//!
//! 1. *One round trip.* A read is one `MGET` and one `TIME`, pipelined; a lease, fill or invalidation is `EVALSHA` calls
//!    of up to [`max_keys_per_script`](RedisSettings::max_keys_per_script) keys, pipelined. A script that Redis has
//!    forgotten costs a second one, for the calls concerned.
//! 2. *Each key by itself.* Within one call, a key that Redis refuses has an error, and the others their answers.
//! 3. *Redis's clock.* The scripts take every instant from `TIME`; each reply states it.
//! 4. *Nothing at a key is trusted.* Bytes that are no record, and keys of another type, count as nothing there, and are
//!    replaced. A record of an unknown format version is left alone by a lease, and replaced by an invalidation.
//! 5. *Few connections.* One multiplexed connection carries all requests ([`connections`](RedisSettings::connections)).
//!    One connect is under way at a time; while Redis is down, requests fail at once for
//!    [`retry_connect_after`](RedisSettings::retry_connect_after) after each failed one.
//! 6. *A connection that failed, or fell silent, is replaced.* A request that finds its connection closed is sent once
//!    more on a new one: a repeated lease, fill or invalidation has the effect of one.
//! 7. *Bounded waiting.* A request ends within [`connect_timeout`](RedisSettings::connect_timeout) and
//!    [`response_timeout`](RedisSettings::response_timeout), twice at most; its failure is an
//!    [`Unavailable`](tierstack_core::ErrorKind::Unavailable) error for its keys.
//!
//! # What Redis must be
//! A master of version 6 or later, not a cluster; with an ACL, the user needs `mget`, `time`, `evalsha` and `eval`, and,
//! for the scripts, `get`, `set`, `setrange`, `del`, `pttl` and `pexpire`, on the keys of the namespaces it serves.
//! Replication is asynchronous: a failover may lose the last writes, invalidations among them.
//!
//! # Caveats
//! * An invalidation tells nobody: it is published on no bus yet.
//! * When Redis is full and evicts nothing (`noeviction`), leases and fills fail; an invalidation still passes, as it
//!   deletes before it writes.
//! * Lives are at least 1 ms and at most a century.
//! * A connection belongs to the runtime on which it was opened; when that ends, the next request opens another.
//!
//! # Example
//! ```no_run
//! use tierstack_core::Tier;
//! use tierstack_redis::{RedisSettings, RedisTier};
//!
//! # async fn example(keys: Vec<tierstack_core::WireKey>) -> Result<(), tierstack_core::Error> {
//! // Connects at the first request: Redis may be down here.
//! let tier = RedisTier::new(RedisSettings::new("redis://cache.internal:6379/2"))?;
//! let reply = tier.read(&keys).await;
//! # let _ = reply; Ok(()) }
//! ```
//!
//! With limits of one's own:
//!
//! ```no_run
//! # use tierstack_redis::{RedisSettings, RedisTier};
//! # fn example() -> Result<(), tierstack_core::Error> {
//! let mut settings = RedisSettings::new("redis://cache.internal:6379");
//! settings.response_timeout = std::time::Duration::from_secs(2);
//! let tier = RedisTier::new(settings)?;
//! # let _ = tier; Ok(()) }
//! ```

mod address;
mod ask;
mod connections;
mod fault;
mod link;
mod script;
mod settings;
mod slot;
mod tier;

pub use settings::RedisSettings;
pub use tier::RedisTier;
