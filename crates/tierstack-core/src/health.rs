//! What a node can say of itself: whether its tiers can be reached, what failed last, and whether it hears.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::time::millis;
use crate::{Error, Moment};

/// The health of a namespace on this node, as of the moment it was asked.
///
/// It bears texts of our own errors only, which name no key, no value and no server; what caused them is in the errors that
/// callers get. As JSON, times are milliseconds.
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
    pub(crate) fn judged(mut self, is_ending: bool) -> Self {
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

/// The last thing that failed in one place.
#[derive(Debug, Default)]
pub(crate) struct LastFault(Mutex<Option<(Moment, Error)>>);

impl LastFault {
    pub(crate) fn note(&self, at: Moment, error: &Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, error.clone()));
    }

    /// It, as of `now`, with how long ago it was.
    pub(crate) fn fault(&self, now: Moment) -> Option<Fault> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().map(|(at, error)| Fault { text: error.to_string(), ago_ms: millis(now.since(*at)) })
    }
}

/// The later of two.
pub(crate) fn later(one: Option<Fault>, other: Option<Fault>) -> Option<Fault> {
    one.into_iter().chain(other).min_by_key(|fault| fault.ago_ms)
}

/// How long the bus has been deaf, in its health.
pub(crate) fn bus(subscriptions: u64, deaf_for: Option<Duration>, listens: bool) -> BusHealth {
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
