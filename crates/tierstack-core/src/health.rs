//! What a node can say of itself: whether its tiers can be reached, what failed last, and whether it hears.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::time::millis;
use crate::{Error, ErrorKind, KeyFormat, Moment, Namespace, Tier};

/// The health of a namespace on this node, as of the moment it was asked.
///
/// It bears the texts of errors, which name no key and no value, and may quote what a server said; what caused them is in the
/// errors that callers get. As JSON, times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// In a word.
    pub state: State,
    /// The namespace's name.
    pub namespace: String,
    /// The shared tier; `None` if there is none.
    pub l2: Option<TierHealth>,
    /// Whether other nodes' invalidations are heard.
    pub bus: BusHealth,
    /// Keys whose invalidation has not reached L2: older entries may be answered from there on other nodes.
    pub undelivered: u64,
    /// How long the oldest of them has been kept.
    pub undelivered_for_ms: Option<u64>,
    /// The caches: of entities, and of services.
    pub caches: Vec<CacheHealth>,
}

/// How well a node can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// All that it is made of is there.
    Up,
    /// It answers, at the origin's cost or with less of L1: L2 can't be reached, or it is deaf, or has something to deliver.
    Degraded,
    /// It is being shut down: send it nothing more.
    Ending,
}

/// The health of the shared tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TierHealth {
    /// Whether it answered a read of one key just now, within `l2_timeout` of the namespace's writes.
    pub reachable: bool,
    /// What failed last, of any request.
    pub last_error: Option<Fault>,
}

/// Whether other nodes' invalidations are heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum BusHealth {
    /// The tier tells nobody, or there is none.
    None,
    /// No lookup has needed it yet: it is subscribed to by the first that L1 can't answer.
    Idle,
    /// They are heard.
    Alive,
    /// They may not be heard: L1 answers what is brief only.
    Deaf {
        /// For how long.
        for_ms: u64,
    },
}

/// The health of one cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheHealth {
    /// The entity's table and projection, or the name of the layer.
    pub name: String,
    /// How many entries L1 holds, about; `None` without one.
    pub l1_entries: Option<u64>,
    /// What a load failed with last. The origin isn't asked for it.
    pub last_load_error: Option<Fault>,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// The error's text, without its cause.
    pub text: String,
    /// How long ago.
    pub ago_ms: u64,
}

impl Health {
    /// Whether it can answer: a node without an L2 that can be reached, or that is deaf, can.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state != State::Ending
    }

    /// What all of it comes to.
    fn judged(mut self, is_ending: bool) -> Self {
        let l2_gone = self.l2.as_ref().is_some_and(|l2| !l2.reachable);
        let is_deaf = matches!(self.bus, BusHealth::Deaf { .. });
        self.state = match (is_ending, l2_gone || is_deaf || self.undelivered > 0) {
            (true, _) => State::Ending,
            (false, true) => State::Degraded,
            (false, false) => State::Up,
        };
        self
    }
}

impl Namespace {
    /// How this node is: whether L2 can be reached, which is asked for one key that is never there; whether it hears; what
    /// failed last, in L2 and at each origin, which is not asked. It takes `l2_timeout` of the writes' settings at most.
    ///
    /// # Cancel safety
    /// Nothing is lost if it is dropped.
    pub async fn health(&self) -> Health {
        self.health_of(|_, _| true).await
    }

    /// The same, of those caches only: by table, or name of a layer, and projection.
    pub(crate) async fn health_of(&self, is_wanted: impl Fn(&str, Option<&str>) -> bool) -> Health {
        let writes = &self.shared().writes;
        let reachable = match &writes.tier {
            None => None,
            Some(tier) => Some(self.reads(&**tier).await),
        };
        let now = self.now();
        let mut l2_fault = writes.fault.fault(now);
        let mut caches = Vec::new();
        for (table, cache) in self.caches_by_table() {
            let counters = cache.counters();
            l2_fault = later(l2_fault, counters.l2_fault.fault(now));
            let projection = cache.projection();
            if is_wanted(&table, projection) {
                // An entity in a schema of the database has a NUL between the two names.
                let table = table.replace('\0', ".");
                caches.push(CacheHealth {
                    name: projection
                        .map_or_else(|| table.clone(), |projection| format!("{table}/{projection}")),
                    l1_entries: cache.l1_entries(),
                    last_load_error: counters.load_fault.fault(now),
                });
            }
        }
        caches.sort_by(|one, other| one.name.cmp(&other.name));
        let (written, listening) = (writes.stats(), self.listening());
        let bus = listening.map_or(BusHealth::None, |listening| {
            let stats = listening.stats();
            bus(stats.subscriptions, stats.deaf_for, listening.listens())
        });
        let health = Health {
            state: State::Up,
            namespace: self.name().to_owned(),
            l2: reachable.map(|reachable| TierHealth { reachable, last_error: l2_fault }),
            bus,
            undelivered: written.undelivered,
            undelivered_for_ms: written.oldest_undelivered.map(crate::time::millis),
            caches,
        };
        health.judged(self.shared().is_ending.load(Ordering::Acquire))
    }

    /// Whether the tier answers a read of a key at which nothing stands.
    async fn reads(&self, tier: &dyn Tier) -> bool {
        let Ok(format) = KeyFormat::new(self.name(), "!health", None, &[], 0) else { return false };
        let (writes, keys) = (&self.shared().writes, [format.special("read")]);
        let until = self.shared().clock.coarse().plus(writes.settings.l2_timeout);
        let late = || Error::new(ErrorKind::Unavailable, "L2 did not answer in time: see l2_timeout");
        let read = self.shared().clock.before(until, tier.read(&keys)).await.ok_or_else(late);
        match read.map(|reply| reply.each.into_iter().next()) {
            Ok(Some(Ok(_))) => true,
            Ok(None) => false,
            Ok(Some(Err(error))) | Err(error) => {
                writes.fault.note(self.shared().clock.coarse(), &error);
                false
            }
        }
    }
}

/// The last thing that failed in one place.
#[derive(Debug, Default)]
pub(crate) struct LastFault(Mutex<Option<(Moment, Error)>>);

impl LastFault {
    pub(crate) fn note(&self, at: Moment, error: &Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, error.clone()));
    }

    /// It, as of `now`, with how long ago it was.
    fn fault(&self, now: Moment) -> Option<Fault> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().map(|(at, error)| Fault { text: error.to_string(), ago_ms: millis(now.since(*at)) })
    }
}

/// The later of two.
fn later(one: Option<Fault>, other: Option<Fault>) -> Option<Fault> {
    one.into_iter().chain(other).min_by_key(|fault| fault.ago_ms)
}

/// How long the bus has been deaf, in its health.
fn bus(subscriptions: u64, deaf_for: Option<Duration>, listens: bool) -> BusHealth {
    match deaf_for {
        None => BusHealth::Alive,
        Some(_) if subscriptions == 0 && !listens => BusHealth::Idle,
        Some(deaf_for) => BusHealth::Deaf { for_ms: millis(deaf_for) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_sums_up() {
        let deaf = BusHealth::Deaf { for_ms: 7 };
        let tier = |reachable| Some(TierHealth { reachable, last_error: None });
        for (l2, bus, undelivered, is_ending, state) in [
            (None, BusHealth::None, 0, false, State::Up),
            (tier(true), BusHealth::Alive, 0, false, State::Up),
            (tier(true), BusHealth::Idle, 0, false, State::Up),
            (tier(false), BusHealth::Alive, 0, false, State::Degraded),
            (tier(true), deaf.clone(), 0, false, State::Degraded),
            (tier(true), BusHealth::Alive, 1, false, State::Degraded),
            (tier(false), deaf, 1, true, State::Ending),
        ] {
            let health = Health {
                state: State::Up,
                namespace: "shop".into(),
                l2,
                bus,
                undelivered,
                undelivered_for_ms: None,
                caches: vec![],
            };
            let health = health.judged(is_ending);
            assert_eq!((health.state, health.is_ready()), (state, state != State::Ending), "{health:?}");
        }
    }
}
