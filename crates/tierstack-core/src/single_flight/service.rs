//! The service: gives each lookup its future.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::flights::Flights;
use super::future::ResponseFuture;
use crate::{Answers, Error, Key, Lookup, Stack};

/// Follows the lookups of its keys that are under way, and leads the others, in a task of their own.
///
/// Always ready; a round drives a clone of the inner service ready.
///
/// # Cancel safety
/// Dropping the future leaves the flights it led under way, for others and for the tiers.
pub struct SingleFlightService<K, V>(Arc<Shared<K, V>>);

/// What the clones of a service share: cloning one per lookup counts one reference up.
pub(super) struct Shared<K, V> {
    pub(super) flights: Arc<Flights<K, V>>,
    pub(super) below: Stack<K, V>,
}

impl<K, V> SingleFlightService<K, V> {
    pub(super) fn new(flights: Arc<Flights<K, V>>, below: Stack<K, V>) -> Self {
        SingleFlightService(Arc::new(Shared { flights, below }))
    }
}

impl<K: Key, V: Send + Sync + 'static> Service<Lookup<K>> for SingleFlightService<K, V> {
    type Response = Answers<K, V>;
    type Error = Error;
    type Future = ResponseFuture<K, V>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        ResponseFuture::new(Arc::clone(&self.0), lookup)
    }
}

impl<K, V> Clone for SingleFlightService<K, V> {
    fn clone(&self) -> Self {
        SingleFlightService(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for SingleFlightService<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlightService").field("flights", &self.0.flights).finish_non_exhaustive()
    }
}
