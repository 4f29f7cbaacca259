//! The service: enters a lookup into the table, and waits for its keys.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tower_service::Service;

use super::flights::Flights;
use super::table::{Entered, Join};
use super::waiter::Told;
use crate::counters::Event;
use crate::freshness::satisfies;
use crate::tier::BoxFuture;
use crate::{Answers, Error, ErrorKind, Key, Level, Lookup, Moment, Outcome, Stack, Terms};

/// Follows the lookups of its keys that are under way, and leads the others, in a task of their own.
///
/// Always ready; a round drives a clone of the inner service ready.
///
/// # Cancel safety
/// Dropping the future leaves the flights it led under way, for others and for the tiers.
pub struct SingleFlightService<K, V>(Arc<Shared<K, V>>);

/// What the clones of a service share: cloning one per lookup counts one reference up.
pub(super) struct Shared<K, V> {
    flights: Arc<Flights<K, V>>,
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
    type Future = BoxFuture<'static, Result<Answers<K, V>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup<K>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { look(&shared, lookup).await })
    }
}

async fn look<K: Key, V: Send + Sync + 'static>(
    shared: &Arc<Shared<K, V>>,
    lookup: Lookup<K>,
) -> Result<Answers<K, V>, Error> {
    let Shared { flights, below } = &**shared;
    let mut terms = lookup.terms;
    let clock = &flights.options.clock;
    let deadline =
        terms.deadline.unwrap_or_else(|| clock.coarse().plus(flights.options.settings.lookup_timeout));
    terms.deadline = Some(deadline);
    if !terms.load {
        // It loads nothing that others could wait for, and should not wait for a load.
        return below.ask(Lookup::distinct(lookup.into_keys(), terms)).await;
    }
    if crate::sync::Handle::try_current().is_err() {
        return Err(Error::invalid(
            "a lookup that loads was asked outside a tokio runtime: ask it inside one",
        ));
    }
    let keys = lookup.into_keys();
    let join = match terms {
        Terms { use_l2: false, .. } if flights.options.over_l2 => Join::Private,
        Terms { read_l2: false, .. } => Join::NotBegun,
        _ => Join::Any,
    };
    let mut outcomes = enter(shared, &keys, terms, join, deadline).await;
    let unfit = |told: &Told<V>| match told {
        Told::Again => true,
        Told::Outcome(outcome) => !is_fit(outcome, &terms),
    };
    let again: SmallVec<[usize; 1]> =
        (0..outcomes.len()).filter(|at| outcomes[*at].as_ref().is_some_and(unfit)).collect();
    if !again.is_empty() {
        let keys: SmallVec<[K; 1]> = again.iter().map(|at| keys[*at].clone()).collect();
        // What it leads itself is led on its own terms; what was lost with a runtime is followed by whoever comes first.
        let lost = again.iter().all(|at| matches!(outcomes[*at], Some(Told::Again)));
        let join = if lost || join == Join::Private { join } else { Join::None };
        let second = enter(shared, &keys, terms, join, deadline).await;
        for (at, outcome) in again.into_iter().zip(second) {
            outcomes[at] = outcome;
        }
    }
    let rows = keys.into_iter().zip(outcomes).map(|(key, told)| (key, outcome(told, &terms)));
    Ok(Answers::new(rows.collect()))
}

/// Asks for keys once, until all are known or the deadline passes.
async fn enter<K: Key, V: Send + Sync + 'static>(
    shared: &Arc<Shared<K, V>>,
    keys: &[K],
    terms: Terms,
    join: Join,
    deadline: Moment,
) -> SmallVec<[Option<Told<V>>; 1]> {
    let flights = &shared.flights;
    let now = flights.options.clock.coarse();
    let store = flights.store.as_ref().filter(|_| terms.read_l1 && join == Join::Any);
    let known = |key: &K| store?.answer(key, now, terms.accept);
    let Entered { waiting, begin, followed, refused } =
        flights.table.enter(keys, terms, join, shared, now, known);
    flights.begin(begin);
    let counters = &flights.options.counters;
    counters.add(Event::Follow, followed);
    counters.add(Event::Overload, refused);
    // Late or not, what is known by then is told.
    let _ = flights.options.clock.before(deadline, waiting.0.all()).await;
    waiting.take()
}

/// Whether an outcome is what the terms ask for; one of a flight that was led on other terms may not be.
fn is_fit<V>(outcome: &Outcome<V>, terms: &Terms) -> bool {
    match outcome {
        Err(_) => true,
        Ok(None) => !terms.wait,
        Ok(Some(answer)) => {
            satisfies(answer.age, terms.accept) && (terms.read_l2 || answer.source == Level::Origin)
        }
    }
}

fn outcome<V>(told: Option<Told<V>>, terms: &Terms) -> Outcome<V> {
    match told {
        // Never to be taken for an absence.
        Some(Told::Outcome(Ok(None))) if terms.wait => Err(Error::new(
            ErrorKind::Loader,
            "a service below single flight left this key without an answer: mend it",
        )),
        Some(Told::Outcome(outcome)) => outcome,
        Some(Told::Again) => Err(Error::new(
            ErrorKind::Overloaded,
            "the runtime that looked this key up has ended, twice: try again",
        )),
        None => Err(Error::new(
            ErrorKind::Timeout,
            "the lookup's deadline passed: it goes on for others; see lookup_timeout, or give it more time",
        )),
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
