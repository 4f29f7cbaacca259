//! The few connections of a tier, used in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_redis::{Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, Pipeline, Value};
use tierstack_core::{Error, ErrorKind};

use crate::RedisSettings;
use crate::settings::invalid;
use crate::slot::{Connecting, Slot};
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
        let connecting = Arc::new(Connecting::new(pool, Arc::clone(settings)));
        let slot = || Arc::new(Slot::new(Arc::clone(&connecting)));
        let slots = std::iter::repeat_with(slot).take(settings.connections).collect();
        Ok(Connections { slots, next: AtomicUsize::new(0) })
    }

    /// Sends a pipeline on the next connection, or on one that is open; gives one reply for each of its commands. If the
    /// connection is lost, what `again` gives is sent once more.
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
        self.next().send(pipeline, again).await
    }

    /// The next slot. While that has no connection and another has, that other, and the next is opened behind the request: so
    /// none waits for a connect, or fails by it, that needn't.
    fn next(&self) -> &Arc<Slot> {
        // There is at least one: the settings were checked.
        let count = self.slots.len();
        let place = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let next = &self.slots[place];
        if next.is_open() {
            return next;
        }
        let mut others = (1..count).map(|by| &self.slots[(place + by) % count]);
        let Some(open) = others.find(|slot| slot.is_open()) else { return next };
        next.open_behind();
        open
    }
}
