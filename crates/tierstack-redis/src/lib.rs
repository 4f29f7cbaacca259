//! The shared tier of tierstack on Redis: one MGET to read a batch, one round trip to change it.
//!
//! [`RedisTier`] is a [`Tier`](tierstack_core::Tier); hand it to the builder of a cache as its L2. This crate is the only
//! one that names a Redis client.
//!
//! 1. *One round trip.* A read is one `MGET` and one `TIME`, pipelined; a lease, fill or invalidation is `EVALSHA` calls
//!    of up to [`max_keys_per_script`](RedisSettings::max_keys_per_script) keys, pipelined. A lease of a key at which a read
//!    just found nothing is a plain `SET … NX`, during which Redis serves others; where something is by then, the script
//!    judges it, in a second round trip. So does a script that Redis has forgotten cost one, for the calls concerned.
//! 2. *Each key by itself.* Within one call, a key that Redis refuses has an error, and the others their answers.
//! 3. *Redis's clock.* The scripts take every instant from `TIME`, a plain lease from that of the read; each reply states it.
//! 4. *Nothing at a key is trusted.* Bytes that are no record, and keys of another type, count as nothing there, and are
//!    replaced. A record of an unknown format version is left alone by a lease, and replaced by an invalidation.
//! 5. *Few connections.* Two ([`connections`](RedisSettings::connections)), taken in turn; each carries any number of
//!    requests at once. While one isn't open and another is, that other carries its requests too. One connect is under way
//!    at a time; while Redis is down, requests fail at once for [`retry_connect_after`](RedisSettings::retry_connect_after)
//!    after each failed one.
//! 6. *A connection that failed, or fell silent, is replaced.* A read, a fill or an
//!    invalidation that finds its connection closed is sent once more on a new one, an invalidation under another token: the
//!    first copy may still be on its way. A lease, and an invalidation that claims a right, fails.
//! 7. *Bounded waiting.* A request ends within [`connect_timeout`](RedisSettings::connect_timeout) and
//!    [`response_timeout`](RedisSettings::response_timeout), twice at most; its failure is an
//!    [`Unavailable`](tierstack_core::ErrorKind::Unavailable) error for its keys.
//!
//! 8. *Nodes hear of invalidations* on a connection of their own, each namespace on a channel. The script that invalidates
//!    publishes; one message has the keys of one call. A node's heartbeats go by the tier's connections, and come back on a
//!    channel of the node's own: its number of them doesn't grow with that of the nodes.
//!
//! # What Redis must be
//! A master of version 6 or later, not a cluster; with an ACL, the user needs `mget`, `time`, `evalsha`, `eval` and
//! `subscribe`, and, for the scripts, `get`, `set`, `setrange`, `del`, `pttl`, `pexpire` and `publish`, on the keys of the
//! namespaces it serves and on their channels, `&shop:!bus*`. With `info`, too, a node notices another run of the server
//! behind one address.
//! Replication is asynchronous: a failover may lose the last writes, invalidations among them.
//!
//! # Caveats
//! * A user that may not publish can't invalidate: the key's value is gone, but no node is told, so it is an error. One that
//!   may not subscribe is deaf: L1 answers what is brief.
//! * Channels know no database: namespaces of one name in two databases of a server hear each other, and drop more than
//!   they have to.
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
mod bus;
mod connections;
mod fault;
mod link;
mod message;
mod script;
mod settings;
mod slot;
mod tier;
mod vacant;

pub use settings::RedisSettings;
pub use tier::RedisTier;
