//! The bulkhead: how many loads the origin is given at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{Error, ErrorKind, Settings};

/// Bounds the loads under way and those that wait; shared by what reads the same origin.
#[derive(Debug)]
pub struct Bulkhead {
    places: Semaphore,
    in_flight: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Bulkhead {
    /// With the limits of those settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Bulkhead {
            places: Semaphore::new(settings.loads_in_flight),
            in_flight: settings.loads_in_flight,
            waiting: AtomicUsize::new(0),
            most_waiting: settings.loads_waiting,
        }
    }

    /// A place for one load, held until it is dropped; waits for one if so few wait already that it may.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded).
    ///
    /// # Cancel safety
    /// Whoever drops it no longer waits.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Error> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let one = Waiting::begin(self).ok_or_else(|| {
            let text = format!(
                "{} loads are under way and {} wait: shed load, or raise loads_in_flight or loads_waiting",
                self.in_flight, self.most_waiting
            );
            Error::new(ErrorKind::Overloaded, text)
        })?;
        let place = self.places.acquire().await;
        drop(one);
        place.map_err(|_| Error::new(ErrorKind::Overloaded, "the bulkhead is closed: build the cache anew"))
    }
}

/// Counts one that waits until it is dropped.
struct Waiting<'a>(&'a Bulkhead);

impl<'a> Waiting<'a> {
    fn begin(bulkhead: &'a Bulkhead) -> Option<Self> {
        let more = |waiting| (waiting < bulkhead.most_waiting).then_some(waiting + 1);
        bulkhead.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Waiting(bulkhead))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
