//! The few connections of a tier, used in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_redis::{Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, Pipeline, Value};
use tierstack_core::{Error, ErrorKind};

use crate::RedisSettings;
use crate::settings::invalid;
use crate::slot::Slot;
use crate::{address, fault};

/// Slots for connections, opened as they are needed.
pub(crate) struct Connections {
    slots: Box<[Arc<Slot>]>,
    next: AtomicUsize,
}

impl Connections {
    /// Connections that a pool of our own opens; none yet.
    pub(crate) fn new(settings: &Arc<RedisSettings>) -> Result<Self, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout))
            .set_response_timeout(Some(settings.response_timeout));
        let manager =
            Manager::new_with_config(address::parse(&settings.url)?, config).map_err(fault::connection)?;
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::with_source(ErrorKind::Invalid, "no pool can be built", error))?;
        Connections::from_pool(pool, settings)
    }

    /// Connections taken from that pool.
    pub(crate) fn from_pool(pool: Pool, settings: &Arc<RedisSettings>) -> Result<Self, Error> {
        let most = pool.status().max_size;
        if most < settings.connections {
            return Err(invalid(format!(
                "the pool holds {most} connections and the tier keeps {}: lower connections, or enlarge the pool",
                settings.connections
            )));
        }
        let slot = || Arc::new(Slot::new(pool.clone(), Arc::clone(settings)));
        let slots = std::iter::repeat_with(slot).take(settings.connections).collect();
        Ok(Connections { slots, next: AtomicUsize::new(0) })
    }

    /// Sends a pipeline on the next connection; gives one reply for each of its commands. If the connection is lost, what
    /// `again` gives is sent once more.
    ///
    /// # Cancel safety
    /// The request may or may not take effect, and disturbs no other.
    pub(crate) async fn send(
        &self,
        pipeline: &Pipeline,
        again: impl FnOnce() -> Option<Pipeline>,
    ) -> Result<Vec<Value>, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "redis is reached from within a tokio runtime only: poll the request in one",
            ));
        }
        // There is at least one: the settings were checked.
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        self.slots[place].send(pipeline, again).await
    }
}
