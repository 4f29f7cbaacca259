//! The bus: how the nodes of a namespace hear of each other's invalidations.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;

use crate::tier::BoxFuture;
use crate::{Error, Token};

/// Where a namespace's invalidations and heartbeats are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Channel(Arc<str>);

impl Channel {
    /// The channel of that namespace.
    #[must_use]
    pub fn of(namespace: &str) -> Self {
        Channel(format!("{namespace}:!bus").into())
    }

    /// Its name; no record has such a key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A heartbeat: a node's own, by which it knows that it still hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Beat {
    /// Which node sent it.
    pub node: Token,
    /// Its number; each is sent once, and numbers rise.
    pub seq: u64,
}

/// What is told on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Those keys were invalidated; with the token that each record has borne since, if there is one.
    Invalidated(Vec<(Box<str>, Option<Token>)>),
    /// A node's heartbeat, and the run of the server that it went through: another run may have forgotten what it was told.
    Beat(Beat, Box<str>),
    /// Something that this release can't read. It may have been an invalidation.
    Unreadable,
}

/// What a subscriber hears, in the order in which it was told. It ends when a message may have been lost: the connection
/// broke, or more was told than the subscriber took.
pub type Subscription = Pin<Box<dyn Stream<Item = Message> + Send>>;

/// How a tier tells all nodes what its `invalidate` was asked to do.
///
/// 1. Whatever is told after `subscribe` has returned is heard, in order, until the subscription ends.
/// 2. An invalidation is told in the same atomic step that makes it, in every case, even if nothing is there.
/// 3. A heartbeat is a write, so that a server that can't take writes falls silent, and takes the same way as an
///    invalidation.
pub trait Bus: Send + Sync + 'static {
    /// Begins to hear; returns once the tier has confirmed it.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), soon, if it can't be reached.
    fn subscribe<'a>(&'a self, channel: &'a Channel) -> BoxFuture<'a, Result<Subscription, Error>>;

    /// Sends a heartbeat.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), soon, if it can't be sent.
    fn beat<'a>(&'a self, channel: &'a Channel, beat: Beat) -> BoxFuture<'a, Result<(), Error>>;
}

impl fmt::Debug for dyn Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}
