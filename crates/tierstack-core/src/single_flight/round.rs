//! One round: batches looked up together, in a task of their own.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::StreamExt;
use smallvec::SmallVec;
use tokio::time::Sleep;

use super::asked::Told;
use super::flights::Flights;
use super::table::{Batch, FlightId, shared};
use crate::causes::Causes;
use crate::counters::Event;
use crate::recorder::{Doing, Work};
use crate::store::Reservation;
use crate::{Answers, Error, ErrorKind, Key, Lookup, Outcome, Terms};

/// Batches under way. Whatever ends it, every key of theirs ends with it, and its place is given back.
pub(super) struct Round<K: Key, V: Send + Sync + 'static> {
    flights: Arc<Flights<K, V>>,
    batches: Vec<Batch<K, V>>,
    /// Distinct.
    keys: SmallVec<[K; 1]>,
    /// The flights of each key, until it has ended: one, unless it was led again before the round began.
    open: Vec<SmallVec<[FlightId; 1]>>,
    reserved: Vec<Reservation>,
    /// Holds a place among the round trips under way.
    in_flight: bool,
}

impl<K: Key, V: Send + Sync + 'static> Round<K, V> {
    pub(super) fn new(flights: Arc<Flights<K, V>>, batches: Vec<Batch<K, V>>) -> Self {
        let count = batches.iter().map(|batch| batch.led.len()).sum();
        let mut keys: SmallVec<[K; 1]> = SmallVec::with_capacity(count);
        let mut open: Vec<SmallVec<[FlightId; 1]>> = Vec::with_capacity(count);
        // The keys of one batch are distinct.
        let mut places: HashMap<K, usize, foldhash::quality::RandomState> = HashMap::default();
        if batches.len() > 1 {
            places.reserve(count);
        }
        for (batch, Batch { asked, led, .. }) in batches.iter().enumerate() {
            for slot in led {
                let key = &asked.keys[*slot as usize];
                let next = keys.len();
                let at = if batches.len() > 1 { *places.entry(key.clone()).or_insert(next) } else { next };
                let flight = FlightId { key: at as u32, batch: batch as u32, slot: *slot };
                if at < next {
                    open[at].push(flight);
                    continue;
                }
                keys.push(key.clone());
                open.push(SmallVec::from_buf([flight]));
            }
        }
        Round { flights, batches, keys, open, reserved: Vec::new(), in_flight: true }
    }

    /// Begins its span, and lets those who follow its flights know it.
    pub(super) fn record(&self, causes: &Causes) -> Option<Doing> {
        let traced = self.flights.options.counters.traced()?;
        let doing = causes.begin(traced, Work::Round, self.keys.len(), None);
        for part_of in self.batches.iter().filter_map(|batch| batch.asked.part_of.as_ref()) {
            doing.span().id().map(|id| part_of.set(id));
        }
        Some(doing)
    }

    /// Asks, and tells each key's waiters as soon as it is known.
    pub(super) async fn run(mut self) {
        let Some(first) = self.batches.first() else { return };
        let below = first.asked.of.below.clone();
        // An impatient caller doesn't cut the others' time short; its own it watches itself. A load has a time of its own.
        let deadline = self.batches.iter().filter_map(|batch| batch.terms.deadline).max();
        let deadline = deadline.filter(|_| self.flights.options.over_l2);
        // This task is counted: a shutdown that has begun waits for it, and one that it sees here has had its last write.
        let fill_l2 = first.terms.fill_l2 && !self.flights.is_closed();
        let terms = Terms { deadline, in_parts: true, fill_l2, ..first.terms };
        if let Some(store) = &self.flights.store {
            if !terms.read_l2 {
                // What was begun before a lookup that must load is not to replace what it finds.
                self.keys.iter().for_each(|key| store.supersede(key));
            }
            self.reserved = store.reserve_all(&self.keys);
        }
        let lookup = Lookup::distinct(self.keys.clone(), terms).with(first.extras.clone());
        let mut watch = Watch::over(&self);
        let asked = watch.during(&self, below.ask_boxed(lookup)).await;
        self.give_place_back();
        let mut answers = match asked {
            Ok(answers) if self.are_asked(&answers) => answers,
            Ok(answers) => {
                let text = format!(
                    "a service below was asked for {} keys and answered {}, or others: mend it",
                    self.keys.len(),
                    answers.len()
                );
                return self.fail(&Error::new(ErrorKind::Loader, text));
            }
            Err(error) => return self.fail(&error),
        };
        let rest = answers.take_rest();
        let is_last = rest.is_none();
        let known = answers.into_iter().map(|(_, outcome)| outcome).enumerate();
        self.end(known.filter(|(_, outcome)| is_last || !matches!(outcome, Ok(None))));
        if let Some(mut rest) = rest {
            while let Some(part) = watch.during(&self, rest.next()).await {
                self.end(part.into_iter());
            }
            // Whatever a service left out, nothing is known about.
            self.end((0..self.keys.len()).map(|at| (at, Ok(None))));
        }
    }

    fn are_asked(&self, answers: &Answers<K, V>) -> bool {
        answers.len() == self.keys.len()
            && answers.iter().zip(&self.keys).all(|((key, _), asked)| key == asked)
    }

    fn fail(&mut self, error: &Error) {
        self.end((0..self.keys.len()).map(|at| (at, Err(error.clone()))));
    }

    /// Ends keys, by their place in the round: publishes, then tells.
    fn end(&mut self, outcomes: impl Iterator<Item = (usize, Outcome<V>)>) {
        let mut told = Vec::with_capacity(outcomes.size_hint().1.unwrap_or_default());
        for (at, mut outcome) in outcomes {
            let Some(flights) = self.open.get_mut(at).map(std::mem::take) else { continue };
            let Some((last, others)) = flights.split_last() else { continue };
            if let (Some(store), Ok(Some(answer))) = (&self.flights.store, &mut outcome) {
                // A weigher, or a row that makes way, is the user's code: whoever waits is told, though it panics, and it is
                // not tried again above.
                let publish = || store.publish(&self.keys[at], self.reserved[at], answer);
                answer.published = catch_unwind(AssertUnwindSafe(publish)).unwrap_or(true);
            }
            let outcome = Told::Outcome(outcome);
            told.extend(others.iter().map(|flight| (*flight, shared(&outcome))));
            told.push((*last, outcome));
        }
        self.tell(told);
    }

    fn tell(&self, told: Vec<(FlightId, Told<V>)>) {
        if !told.is_empty() {
            let abandoned = self.flights.table.end(&self.batches, &self.keys, told);
            self.flights.options.counters.add(Event::Abandoned, abandoned);
        }
    }

    fn give_place_back(&mut self) {
        if std::mem::take(&mut self.in_flight) {
            let begin = self.flights.table.ended(&self.batches);
            self.flights.begin(begin);
        }
    }
}

/// The timer of a round, in place of one for each lookup that waits for it: when the first of their deadlines passes, all of
/// them look after their own.
struct Watch(Option<Pin<Box<Sleep>>>);

impl Watch {
    fn over<K: Key, V: Send + Sync + 'static>(round: &Round<K, V>) -> Self {
        let first = round.batches.iter().filter_map(Batch::watched_until).min();
        Watch(first.and_then(|first| round.flights.options.clock.timer(first)).map(Box::pin))
    }

    /// Does work of the round.
    async fn during<K: Key, V: Send + Sync + 'static, W: Future + Unpin>(
        &mut self,
        round: &Round<K, V>,
        mut work: W,
    ) -> W::Output {
        poll_fn(|cx| {
            if let Poll::Ready(output) = Pin::new(&mut work).poll(cx) {
                return Poll::Ready(output);
            }
            if self.0.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
                self.0 = None;
                round.flights.table.unwatch(&round.batches);
            }
            Poll::Pending
        })
        .await
    }
}

impl<K: Key, V: Send + Sync + 'static> Drop for Round<K, V> {
    fn drop(&mut self) {
        self.give_place_back();
        let panicked = std::thread::panicking();
        let open = std::mem::take(&mut self.open).into_iter().flatten();
        let told = open.map(|flight| {
            let text = "a service of the stack panicked: see its message on stderr";
            let error = || Told::Outcome(Err(Error::new(ErrorKind::Origin, text)));
            (flight, if panicked { error() } else { Told::Again })
        });
        let told = told.collect();
        self.tell(told);
    }
}
