//! The service: enters a lookup into the table, and waits for its keys.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tower_service::Service;

use super::flight::{Join, PartOf};
use super::flights::Flights;
use super::table::Entered;
use super::waiter::{Told, Waiting};
use crate::causes::Causes;
use crate::counters::Event;
use crate::freshness::satisfies;
use crate::lookup::Extras;
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
        let extras = lookup.extras.clone();
        return below.ask(Lookup::distinct(lookup.into_keys(), terms).with(extras)).await;
    }
    if crate::sync::Handle::try_current().is_err() {
        return Err(Error::invalid(
            "a lookup that loads was asked outside a tokio runtime: ask it inside one",
        ));
    }
    let extras = lookup.extras.clone();
    let keys = lookup.into_keys();
    let join = match terms {
        Terms { use_l2: false, .. } if flights.options.over_l2 => Join::Private,
        Terms { read_l2: false, .. } => Join::NotBegun,
        // What began earlier may have read an entry that has not seen the write.
        _ if extras.is_some() => Join::NotBegun,
        _ => Join::Any,
    };
    let asking = Asking { shared, terms, extras: extras.as_ref(), deadline };
    let mut told = asking.enter(&keys, join).await;
    if told.iter().flatten().any(|told| asking.is_for_others(told)) {
        // Boxed, as it is rare: the future of every lookup would hold its place.
        told = Box::pin(asking.ask_again(&keys, told, join)).await;
    }
    let rows = keys.into_iter().zip(told).map(|(key, told)| (key, outcome(told, &terms)));
    Ok(Answers::new(rows.collect()))
}

/// What a lookup is told of its keys; what is not known by its deadline is late.
type AllTold<V> = SmallVec<[Option<Told<V>>; 1]>;

/// A lookup's way through the table: once, and again for what was not for it.
struct Asking<'a, K, V> {
    shared: &'a Arc<Shared<K, V>>,
    terms: Terms,
    extras: Option<&'a Arc<Extras>>,
    deadline: Moment,
}

impl<K: Key, V: Send + Sync + 'static> Asking<'_, K, V> {
    /// Whether this lookup must ask once more.
    fn is_for_others(&self, told: &Told<V>) -> bool {
        match told {
            Told::Again | Told::Alone => true,
            Told::Outcome(outcome) => !is_fit(outcome, &self.terms),
        }
    }

    /// Asks once more for what was not for it.
    async fn ask_again(&self, keys: &[K], mut all: AllTold<V>, join: Join) -> AllTold<V> {
        let which = |all: &AllTold<V>, so: &dyn Fn(&Told<V>) -> bool| -> SmallVec<[usize; 1]> {
            (0..all.len()).filter(|at| all[*at].as_ref().is_some_and(so)).collect()
        };
        let lost = which(&all, &|told| matches!(told, Told::Again));
        let unfit =
            which(&all, &|told| matches!(told, Told::Outcome(outcome) if !is_fit(outcome, &self.terms)));
        // What it leads itself is led on its own terms; what was lost with a runtime is followed by whoever comes first.
        self.enter_again(keys, &mut all, lost, join).await;
        let own = if join == Join::Private { join } else { Join::None };
        self.enter_again(keys, &mut all, unfit, own).await;
        let alone = which(&all, &|told| matches!(told, Told::Alone));
        self.enter_again(keys, &mut all, alone, Join::Alone).await;
        all
    }

    /// Asks for the keys at those places again.
    async fn enter_again(&self, keys: &[K], all: &mut AllTold<V>, places: SmallVec<[usize; 1]>, join: Join) {
        if places.is_empty() {
            return;
        }
        let keys: SmallVec<[K; 1]> = places.iter().map(|at| keys[*at].clone()).collect();
        let told = self.enter(&keys, join).await;
        for (at, told) in places.into_iter().zip(told) {
            all[at] = told;
        }
    }

    /// Asks for keys once, until all are known or the deadline passes.
    async fn enter(&self, keys: &[K], join: Join) -> AllTold<V> {
        let flights = &self.shared.flights;
        let (waiting, follows) = self.begin(keys, join);
        // Late or not, what is known by then is told.
        let _ = flights.options.clock.before(self.deadline, waiting.0.all()).await;
        if !follows.is_empty() {
            Causes::current().link(follows.iter().filter_map(|part_of| part_of.get().copied()));
        }
        waiting.take()
    }

    /// Enters them into the table, and starts what is to be started.
    fn begin(&self, keys: &[K], join: Join) -> (Waiting<V>, Vec<PartOf>) {
        let Asking { shared, terms, .. } = *self;
        let flights = &shared.flights;
        let now = flights.options.clock.coarse();
        let store = flights.store.as_ref().filter(|_| terms.read_l1 && join == Join::Any);
        let known = |key: &K| store?.answer(key, now, terms.accept);
        let with = (terms, self.extras);
        let Entered { waiting, begin, followed, refused, follows } =
            flights.table.enter(keys, with, join, shared, now, known);
        flights.begin(begin);
        let counters = &flights.options.counters;
        counters.add(Event::Follow, followed);
        counters.add(Event::Overload, refused);
        (waiting, follows)
    }
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
        Some(Told::Alone) => Err(Error::new(
            ErrorKind::Loader,
            "what was found for this key holds for another caller only, though it was loaded for this one: mend the loader",
        )),
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
