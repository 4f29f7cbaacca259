//! The future of a lookup: enters the table, and waits for its keys.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::time::Sleep;

use super::asked::{AllTold, Asked, Progress, Told, Waiting};
use super::flight::{Join, PartOf};
use super::service::Shared;
use super::table::Entered;
use crate::counters::Event;
use crate::freshness::satisfies;
use crate::tier::BoxFuture;
use crate::{Answers, Error, ErrorKind, Key, Level, Lookup, Moment, Outcome, Terms, sync};

/// The future of a [`SingleFlightService`](super::SingleFlightService).
///
/// Written out, so that a lookup has one box, and holds no more than it waits with.
pub struct ResponseFuture<K, V>(Stage<K, V>);

type New<K, V> = (Arc<Shared<K, V>>, Lookup<K>);

enum Stage<K, V> {
    /// Not polled yet.
    New(Option<New<K, V>>),
    Waits(Wait<K, V>, Join),
    /// What few do: it is passed on, or asks again.
    Boxed(BoxFuture<'static, Result<Answers<K, V>, Error>>),
}

// Nothing in it is pinned but the boxes, which are `Unpin`.
impl<K, V> Unpin for ResponseFuture<K, V> {}

impl<K, V> ResponseFuture<K, V> {
    pub(super) fn new(shared: Arc<Shared<K, V>>, lookup: Lookup<K>) -> Self {
        ResponseFuture(Stage::New(Some((shared, lookup))))
    }
}

impl<K: Key, V: Send + Sync + 'static> Future for ResponseFuture<K, V> {
    type Output = Result<Answers<K, V>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match &mut self.0 {
                Stage::New(asked) => Stage::begin(asked.take().expect("not polled after it was ready"))?,
                Stage::Waits(wait, join) => {
                    let told = ready!(Pin::new(&mut *wait).poll(cx));
                    let asked = &wait.waiting.asked;
                    if !told.iter().flatten().any(|told| is_for_others(told, &asked.terms)) {
                        return Poll::Ready(Ok(answers(asked, told)));
                    }
                    Stage::Boxed(Box::pin(ask_again(sync::Arc::clone(asked), told, *join)))
                }
                Stage::Boxed(answers) => return answers.as_mut().poll(cx),
            };
        }
    }
}

impl<K: Key, V: Send + Sync + 'static> Stage<K, V> {
    fn begin((shared, lookup): New<K, V>) -> Result<Self, Error> {
        let options = &shared.flights.options;
        let (mut terms, extras) = (lookup.terms, lookup.extras.clone());
        let deadline = || options.clock.coarse().plus(options.settings.lookup_timeout);
        terms.deadline.get_or_insert_with(deadline);
        if !terms.load {
            // It loads nothing that others could wait for, and should not wait for a load.
            let lookup = Lookup::distinct(lookup.into_keys(), terms).with(extras);
            return Ok(Stage::Boxed(shared.below.ask_boxed(lookup)));
        }
        let Some(runtime) = sync::runtime() else {
            return Err(Error::invalid(
                "a lookup that loads was asked outside a tokio runtime: ask it inside one",
            ));
        };
        let join = match terms {
            Terms { use_l2: false, .. } if options.over_l2 => Join::Private,
            Terms { read_l2: false, .. } => Join::NotBegun,
            // What began earlier may have read an entry that has not seen the write.
            _ if extras.is_some() => Join::NotBegun,
            _ => Join::Any,
        };
        let asked = Asked::new(shared, lookup.into_keys(), terms, extras);
        Ok(Stage::Waits(Wait::begin(asked, join, runtime), join))
    }
}

/// Waits until all keys of a lookup are told, or its deadline passes.
struct Wait<K, V> {
    waiting: Waiting<K, V>,
    follows: Vec<PartOf>,
    /// Once no round looks after it.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<K, V> Unpin for Wait<K, V> {}

impl<K: Key, V: Send + Sync + 'static> Wait<K, V> {
    /// Enters a lookup into the table, and starts what is to be started.
    fn begin(asked: Asked<K, V>, join: Join, runtime: sync::RuntimeId) -> Self {
        let waiting = Waiting::new(sync::Arc::new(asked));
        let asked = &*waiting.asked;
        let flights = &asked.of.flights;
        let now = flights.options.clock.coarse();
        let store = flights.store.as_ref().filter(|_| asked.terms.read_l1 && join == Join::Any);
        let known = |key: &K| store?.answer(key, now, asked.terms.accept);
        let Entered { begin, followed, refused, follows } =
            flights.table.enter(&waiting.asked, join, (now, runtime), known);
        flights.begin(begin);
        let counters = &flights.options.counters;
        counters.add(Event::Follow, followed);
        counters.add(Event::Overload, refused);
        Wait { waiting, follows, timer: None }
    }
}

impl<K, V> Future for Wait<K, V> {
    type Output = AllTold<V>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AllTold<V>> {
        let Wait { waiting, follows, timer } = &mut *self;
        let told = match waiting.progress(cx) {
            Progress::Told(told) => told,
            Progress::Watched => return Poll::Pending,
            Progress::Unwatched => {
                let asked = &waiting.asked;
                if timer.is_none() {
                    let deadline = asked.terms.deadline.unwrap_or(Moment::NEVER);
                    *timer = asked.of.flights.options.clock.timer(deadline).map(Box::pin);
                }
                let Some(timer) = timer else { return Poll::Pending };
                ready!(timer.as_mut().poll(cx));
                // What is known by then is told.
                waiting.leave()
            }
        };
        if !follows.is_empty() {
            waiting.asked.causes.link(follows.iter().filter_map(|part_of| part_of.get().copied()));
        }
        Poll::Ready(told)
    }
}

/// Whether a lookup must ask once more.
fn is_for_others<V>(told: &Told<V>, terms: &Terms) -> bool {
    match told {
        Told::Again | Told::Alone => true,
        Told::Outcome(outcome) => !is_fit(outcome, terms),
    }
}

/// Asks once more for what was not for it.
async fn ask_again<K: Key, V: Send + Sync + 'static>(
    first: sync::Arc<Asked<K, V>>,
    mut all: AllTold<V>,
    join: Join,
) -> Result<Answers<K, V>, Error> {
    let which = |all: &AllTold<V>, so: &dyn Fn(&Told<V>) -> bool| -> SmallVec<[usize; 1]> {
        (0..all.len()).filter(|at| all[*at].as_ref().is_some_and(so)).collect()
    };
    let lost = which(&all, &|told| matches!(told, Told::Again));
    let unfit = which(&all, &|told| matches!(told, Told::Outcome(outcome) if !is_fit(outcome, &first.terms)));
    // What it leads itself is led on its own terms; what was lost with a runtime is followed by whoever comes first.
    enter_again(&first, &mut all, lost, join).await;
    let own = if join == Join::Private { join } else { Join::None };
    enter_again(&first, &mut all, unfit, own).await;
    let alone = which(&all, &|told| matches!(told, Told::Alone));
    enter_again(&first, &mut all, alone, Join::Alone).await;
    Ok(answers(&first, all))
}

/// Asks for the keys at those places again.
async fn enter_again<K: Key, V: Send + Sync + 'static>(
    first: &Asked<K, V>,
    all: &mut AllTold<V>,
    places: SmallVec<[usize; 1]>,
    join: Join,
) {
    if places.is_empty() {
        return;
    }
    let keys = places.iter().map(|at| first.keys[*at].clone()).collect();
    let again = Asked::new(Arc::clone(&first.of), keys, first.terms, first.extras.clone());
    let Some(runtime) = sync::runtime() else {
        // It was taken out of its runtime meanwhile: what was not for it must not answer it.
        places.into_iter().for_each(|at| all[at] = Some(Told::Again));
        return;
    };
    let told = Wait::begin(again, join, runtime).await;
    for (at, told) in places.into_iter().zip(told) {
        all[at] = told;
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

fn answers<K: Key, V>(asked: &Asked<K, V>, told: AllTold<V>) -> Answers<K, V> {
    let mut rows = SmallVec::with_capacity(told.len());
    for (key, told) in asked.keys.iter().zip(told) {
        rows.push((key.clone(), outcome(told, &asked.terms)));
    }
    Answers::new(rows)
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

impl<K, V> fmt::Debug for ResponseFuture<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("single_flight::ResponseFuture")
    }
}
