//! The bus: how the nodes of a namespace hear of each other's invalidations.
//!
//! 1. An invalidation is told by the tier, in the step that makes it. A node that hears drops what it holds of those keys
//!    from L1, and lets nobody join what is looking them up. It asks L2 nothing.
//! 2. Heartbeats take the way of invalidations, in their order: whoever hears its own has heard all that was told before it.
//!    L1 answers for [`deaf_after`](BusSettings::deaf_after) from when the last one heard was *sent*.
//! 3. A node that is deaf answers from L1 only what is *brief*: what was asked for below less than
//!    [`brief_for`](crate::Settings::brief_for) ago. So a lookup on any node is at most the longer of the two behind a write
//!    that another node has acknowledged, and the way of a message.
//! 4. After a subscription ended, whatever L1 took before the next one was confirmed is a miss: it may have been
//!    invalidated unheard. L2 is asked for it when somebody asks, with whatever else is asked then.
//! 5. The listener is a task in the runtime of the first lookup that L1 can't answer, ends with the namespace, and begins
//!    anew if its runtime ends. In one that stands still it hears nothing, and the node is deaf.
//!
//! Time for which the machine itself was suspended counts in no life. Once it wakes, L1 may answer for as long as it might
//! have when it fell asleep; the listener sees that it slept within [`beat_every`](BusSettings::beat_every), and is deaf.

mod hearing;
mod listener;
mod settings;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;

pub use hearing::BusStats;
pub(crate) use hearing::Hearing;
pub(crate) use listener::Listening;
pub use settings::BusSettings;

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
/// 3. A heartbeat is refused where an invalidation would be, so that a server that can't take writes falls silent, and is
///    heard in order with the invalidations, by the node that sent it.
pub trait Bus: Send + Sync + 'static {
    /// Begins to hear what is told on the channel, and the heartbeats of `node`; returns once the tier has confirmed it.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), soon, if it can't be reached.
    fn subscribe<'a>(
        &'a self,
        channel: &'a Channel,
        node: Token,
    ) -> BoxFuture<'a, Result<Subscription, Error>>;

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
