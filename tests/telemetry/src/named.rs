//! A tier and an origin that say what they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tests::{Film, Gate, film};
use tierstack::{
    BoxFuture, Bus, Channel, Error, ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased,
    Loaded, Loader, MemoryTier, Reply, System, Tier, WireKey,
};

/// A tier in memory that says it is Redis.
#[derive(Debug)]
pub struct NamedTier(pub Arc<MemoryTier>);

impl Tier for NamedTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.0.read(keys)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.0.lease(leases)
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.0.fill(fills)
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        asks: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.0.invalidate(channel, asks)
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        self.0.bus()
    }

    fn system(&self) -> Option<System> {
        Some(System::new("redis", "MGET", "EVALSHA").at("cache.example", 6379).database("0"))
    }
}

/// Films 1 to 99, and keys below 0, which fail; by a loader that records a span of the application's for each load. Clones share
/// their switches.
#[derive(Clone, Debug, Default)]
pub struct Rows(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    gate: Gate,
    failing: AtomicBool,
}

impl Rows {
    /// Before a load returns.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Whether loads fail from now on.
    pub fn set_failing(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }
}

impl Loader<i32, Film> for Rows {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        Box::pin(async move {
            drop(tracing::info_span!("query").entered());
            self.0.gate.pass().await;
            if self.0.failing.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Origin, "the database is down"));
            }
            let found = keys.iter().filter(|key| (1..100).contains(*key));
            let mut loaded = Loaded::rows(found.map(|key| (*key, film(*key))).collect());
            for key in keys.iter().filter(|key| **key < 0) {
                loaded.fail(*key, Error::new(ErrorKind::Origin, "no key of the database's"));
            }
            Ok(loaded)
        })
    }

    fn system(&self) -> Option<System> {
        Some(System::new("postgresql", "SELECT", "COMMIT"))
    }
}
