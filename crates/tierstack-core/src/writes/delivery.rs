//! An invalidation's way: the shared tier, then this node, then the acknowledgement.

use std::sync::Arc;

use super::mark::{Mark, Marked};
use super::settings::WriteSettings;
use super::stats::{WriteCounters, WriteEvent, WriteStats};
use crate::{Channel, Clock, Error, ErrorKind, Invalidate, Namespace, Random, Tier, WireKey};

/// What the writes of one namespace share.
pub(crate) struct Writes {
    pub(super) tier: Option<Arc<dyn Tier>>,
    pub(super) channel: Channel,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(crate) settings: WriteSettings,
    pub(super) counters: WriteCounters,
}

impl Writes {
    pub(crate) fn new(
        tier: Option<Arc<dyn Tier>>,
        channel: Channel,
        clock: Clock,
        random: Random,
        settings: WriteSettings,
    ) -> Self {
        Writes { tier, channel, clock, random, settings, counters: WriteCounters::default() }
    }

    /// What was counted up to now.
    pub(crate) fn stats(&self) -> WriteStats {
        self.counters.stats()
    }

    /// Sends one request to `tier`: the first failure of each key that failed, by its place.
    pub(super) async fn ask(&self, tier: &dyn Tier, asks: &[Invalidate]) -> Vec<(usize, Error)> {
        self.counters.add(WriteEvent::Request, 1);
        let until = self.clock.coarse().plus(self.settings.l2_timeout);
        let failed: Vec<(usize, Error)> =
            match self.clock.before(until, tier.invalidate(&self.channel, asks)).await {
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
        failed
    }
}

/// Marks `keys` in the shared tier of `namespace`, if it has one, a part of them at a time; then makes this node `forget`
/// them, whatever became of that, and though the future is dropped.
pub(crate) async fn deliver(
    namespace: &Namespace,
    keys: &[WireKey],
    mark: &Mark,
    forget: impl Fn() + Send,
) -> Result<Marked, Error> {
    let writes = &namespace.shared().writes;
    let forgetting = Forgetting(&forget);
    let sent = writes.clock.coarse();
    let life = writes.settings.floor_life;
    let mut failed: Vec<WireKey> = Vec::new();
    let mut cause = None;
    if let Some(tier) = &writes.tier {
        let mut parts = keys.chunks(writes.settings.max_batch);
        for part in parts.by_ref() {
            let ask = |key| mark.ask(key, writes.random.token(), life);
            let asks: Vec<Invalidate> = part.iter().map(ask).collect();
            let failures = writes.ask(&**tier, &asks).await;
            failed.extend(failures.iter().map(|(place, _)| part[*place].clone()));
            let whole_part = failures.len() == part.len();
            cause = cause.or(failures.into_iter().next().map(|(_, error)| error));
            // It is gone: the rest would wait for it in vain.
            if whole_part {
                break;
            }
        }
        failed.extend(parts.flatten().cloned());
    }
    drop(forgetting);
    match cause {
        None => Ok(Marked { sent, life }),
        Some(cause) => Err(undelivered(failed.len(), mark, cause)),
    }
}

/// Makes this node forget, when it is dropped. After the tier: what is read there from now on is not older than the write.
struct Forgetting<'a, F: Fn()>(&'a F);

impl<F: Fn()> Drop for Forgetting<'_, F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn undelivered(count: usize, mark: &Mark, cause: Error) -> Error {
    if mark.finished {
        let text = format!(
            "{count} invalidations did not reach L2: old entries may be answered from there, repeat it"
        );
        Error::with_source(ErrorKind::Undelivered, text, cause)
    } else {
        let text =
            format!("{count} marks of a write did not reach L2: don't make it, or make it without them");
        Error::with_source(ErrorKind::Unavailable, text, cause)
    }
}
