//! An invalidation's way: the shared tier, then this node, then the acknowledgement.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mark::{Mark, Marked};
use super::open::Open;
use super::retry::Queue;
use super::settings::WriteSettings;
use super::stats::{WriteCounters, WriteEvent, WriteStats};
use crate::health::LastFault;
use crate::recorder::Work;
use crate::{Channel, Clock, Error, ErrorKind, Invalidate, Moment, Namespace, Random, Tier, Token, WireKey};

/// What the writes of one namespace share.
pub(crate) struct Writes {
    pub(crate) tier: Option<Arc<dyn Tier>>,
    pub(super) channel: Channel,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(crate) settings: WriteSettings,
    pub(super) counters: WriteCounters,
    /// What L2 failed with last.
    pub(crate) fault: LastFault,
    pub(super) queue: Queue,
    pub(super) open: Open,
}

impl Writes {
    pub(crate) fn new(
        tier: Option<Arc<dyn Tier>>,
        channel: Channel,
        clock: Clock,
        random: Random,
        settings: WriteSettings,
    ) -> Arc<Self> {
        let (counters, queue, open) = (WriteCounters::default(), Queue::default(), Open::default());
        let fault = LastFault::default();
        Arc::new(Writes { tier, channel, clock, random, settings, counters, fault, queue, open })
    }

    /// What was counted up to now.
    pub(crate) fn stats(&self) -> WriteStats {
        self.counters.stats(self.queue.len(), self.queue.oldest(self.clock.coarse()))
    }

    /// By when a request to L2 that is sent now must be answered; it is counted.
    pub(super) fn until(&self) -> Moment {
        self.counters.add(WriteEvent::Request, 1);
        self.clock.coarse().plus(self.settings.l2_timeout)
    }

    /// Sends one request to `tier`: the keys that failed, by their place, and why.
    pub(super) async fn ask(&self, tier: &dyn Tier, asks: &[Invalidate]) -> Vec<(usize, Error)> {
        let failed: Vec<(usize, Error)> =
            match self.clock.before(self.until(), tier.invalidate(&self.channel, asks)).await {
                Some(reply) if reply.each.len() == asks.len() => {
                    let failed = reply.each.into_iter().enumerate();
                    failed.filter_map(|(place, each)| Some((place, each.err()?))).collect()
                }
                reply => {
                    let why = match reply {
                        None => "L2 did not answer in time: see l2_timeout of the namespace's writes",
                        Some(_) => "the tier replied to other keys",
                    };
                    let error = Error::new(ErrorKind::Unavailable, why);
                    (0..asks.len()).map(|place| (place, error.clone())).collect()
                }
            };
        self.counters.add(WriteEvent::Failure, failed.len());
        if let Some((_, error)) = failed.first() {
            self.fault.note(self.clock.coarse(), error);
        }
        failed
    }
}

/// Marks `keys` in the shared tier of `namespace`, if it has one, a part of them at a time, but for what bears the token
/// `spared` at its key; then makes this node `forget` them. What did not reach the tier, of a write that has ended, is kept
/// and sent again.
///
/// # Cancel safety
/// Once polled, it does all of that, though it is dropped: what is not known to have reached the tier is kept.
pub(crate) async fn deliver(
    namespace: &Namespace,
    keys: &[WireKey],
    mark: &Mark,
    spared: &BTreeMap<WireKey, Token>,
    forget: impl Fn() + Send,
) -> Result<Marked, Error> {
    let delivery = send(namespace, keys, mark, spared, forget);
    let Some(traced) = &namespace.shared().traced else { return delivery.await };
    let mut doing = traced.begin(Work::Invalidate, keys.len());
    let delivered = doing.scope(delivery).await;
    doing.ended(&delivered);
    delivered
}

async fn send(
    namespace: &Namespace,
    keys: &[WireKey],
    mark: &Mark,
    spared: &BTreeMap<WireKey, Token>,
    forget: impl Fn() + Send,
) -> Result<Marked, Error> {
    let writes = &namespace.shared().writes;
    let sent = writes.clock.coarse();
    let life = writes.settings.floor_life;
    let mut delivering = Delivering { writes, mark, forget, left: keys, failed: Vec::new() };
    let mut cause = None;
    match &writes.tier {
        None => delivering.left = &[],
        Some(tier) => {
            while let Some(part) = delivering.left.chunks(writes.settings.max_batch).next() {
                let ask = |key| Invalidate {
                    spares: spared.get(key).copied(),
                    ..mark.ask(key, writes.random.token(), life)
                };
                let asks: Vec<Invalidate> = part.iter().map(ask).collect();
                let failures = writes.ask(&**tier, &asks).await;
                delivering.failed.extend(failures.iter().map(|(place, _)| &part[*place]));
                delivering.left = &delivering.left[part.len()..];
                let all_failed = failures.len() == part.len();
                cause = cause.or(failures.into_iter().next().map(|(_, error)| error));
                // It is gone: the rest would wait for it in vain.
                if all_failed {
                    break;
                }
            }
        }
    }
    let undelivered = delivering.undelivered().count();
    drop(delivering);
    match cause {
        None => Ok(Marked { sent, life, claimed: None, grounds: BTreeMap::new(), sync: None }),
        Some(cause) => Err(failed(undelivered, mark, writes.queue.is_closed(), cause)),
    }
}

/// Keys on their way. When it is dropped, those that did not arrive are kept, and this node forgets all: after the tier, as
/// what is read there from now on is not older than the write, or is read past it.
struct Delivering<'a, F: Fn()> {
    writes: &'a Arc<Writes>,
    mark: &'a Mark,
    forget: F,
    left: &'a [WireKey],
    failed: Vec<&'a WireKey>,
}

impl<'a, F: Fn()> Delivering<'a, F> {
    fn undelivered(&self) -> impl Iterator<Item = &'a WireKey> {
        self.failed.iter().copied().chain(self.left)
    }
}

impl<F: Fn()> Drop for Delivering<'_, F> {
    fn drop(&mut self) {
        if self.mark.finished && self.undelivered().next().is_some() {
            self.writes.keep(self.undelivered(), self.mark);
        }
        (self.forget)();
    }
}

fn failed(count: usize, mark: &Mark, closed: bool, cause: Error) -> Error {
    let (kind, text) = match (mark.finished, closed) {
        (true, false) => (
            ErrorKind::Undelivered,
            format!(
                "{count} invalidations did not reach L2: they are kept and sent again, till then other nodes \
                 may answer old entries from there"
            ),
        ),
        (true, true) => (
            ErrorKind::Undelivered,
            format!(
                "{count} invalidations did not reach L2 and the namespace is shut down: old entries may be \
                 answered from there, repeat it on another node"
            ),
        ),
        (false, _) => (
            ErrorKind::Unavailable,
            format!("{count} marks of a write did not reach L2: don't make it, or make it without them"),
        ),
    };
    Error::with_source(kind, text, cause)
}
