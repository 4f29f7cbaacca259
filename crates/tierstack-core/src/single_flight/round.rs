//! One round: batches looked up together, in a task of their own.

use std::sync::Arc;

use futures_util::StreamExt;
use smallvec::SmallVec;

use super::flights::Flights;
use super::table::Batch;
use super::waiter::Told;
use crate::counters::Event;
use crate::store::Reservation;
use crate::{Error, ErrorKind, Key, Lookup, Outcome};

/// Batches under way. Whatever ends it, every key of theirs ends with it, and its place is given back.
pub(super) struct Round<K: Key, V: Send + Sync + 'static> {
    flights: Arc<Flights<K, V>>,
    batches: Vec<Batch<K, V>>,
    /// Batch and place of each key, until it has ended.
    open: Vec<Option<(u32, u32)>>,
    reserved: Vec<Reservation>,
    /// Holds a place among the round trips under way.
    in_flight: bool,
}

impl<K: Key, V: Send + Sync + 'static> Round<K, V> {
    pub(super) fn new(flights: Arc<Flights<K, V>>, batches: Vec<Batch<K, V>>) -> Self {
        let of_batch = |(at, batch): (usize, &Batch<K, V>)| {
            (0..batch.keys.len()).map(move |place| Some((at as u32, place as u32)))
        };
        let open = batches.iter().enumerate().flat_map(of_batch).collect();
        Round { flights, batches, open, reserved: Vec::new(), in_flight: true }
    }

    /// Asks, and tells each key's waiters as soon as it is known.
    pub(super) async fn run(mut self) {
        let Some(first) = self.batches.first() else { return };
        let below = first.below.clone();
        let mut terms = first.terms;
        // An impatient caller doesn't cut the others' time short; its own it watches itself.
        terms.deadline = self.batches.iter().filter_map(|batch| batch.terms.deadline).max();
        terms.in_parts = true;
        let keys: SmallVec<[K; 1]> =
            self.batches.iter().flat_map(|batch| batch.keys.iter().cloned()).collect();
        if let Some(store) = &self.flights.store {
            self.reserved = keys.iter().map(|key| store.reserve(key)).collect();
        }
        let asked = below.ask(Lookup::distinct(keys, terms)).await;
        self.give_place_back();
        let mut answers = match asked {
            Ok(answers) if self.are_asked(&answers) => answers,
            Ok(answers) => {
                let text = format!(
                    "a service below was asked for {} keys and answered {}, or others: mend it",
                    self.open.len(),
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
            while let Some(part) = rest.next().await {
                self.end(part.into_iter());
            }
        }
        // Whatever a service left out, nothing is known about.
        self.end((0..self.open.len()).map(|at| (at, Ok(None))));
    }

    fn are_asked(&self, answers: &crate::Answers<K, V>) -> bool {
        let asked = self.batches.iter().flat_map(|batch| &batch.keys);
        answers.len() == self.open.len() && answers.iter().zip(asked).all(|((key, _), asked)| key == asked)
    }

    fn fail(&mut self, error: &Error) {
        self.end((0..self.open.len()).map(|at| (at, Err(error.clone()))));
    }

    /// Ends keys, by their place in the round: publishes, then tells.
    fn end(&mut self, outcomes: impl Iterator<Item = (usize, Outcome<V>)>) {
        let mut told = Vec::with_capacity(outcomes.size_hint().0);
        for (at, mut outcome) in outcomes {
            let Some((batch, place)) = self.open.get_mut(at).and_then(Option::take) else { continue };
            if let (Some(store), Ok(Some(answer))) = (&self.flights.store, &mut outcome) {
                let key = &self.batches[batch as usize].keys[place as usize];
                store.publish(key, self.reserved[at], answer);
                answer.published = true;
            }
            told.push(((batch, place), Told::Outcome(outcome)));
        }
        self.tell(told);
    }

    fn tell(&self, told: Vec<((u32, u32), Told<V>)>) {
        if !told.is_empty() {
            let abandoned = self.flights.table.end(&self.batches, told);
            self.flights.options.counters.add(Event::Abandoned, abandoned);
        }
    }

    fn give_place_back(&mut self) {
        if std::mem::take(&mut self.in_flight) {
            let begin = self.flights.table.ended();
            self.flights.begin(begin);
        }
    }
}

impl<K: Key, V: Send + Sync + 'static> Drop for Round<K, V> {
    fn drop(&mut self) {
        self.give_place_back();
        let panicked = std::thread::panicking();
        let open = self.open.iter_mut().filter_map(Option::take);
        let told = open.map(|flight| {
            let text = "a service of the stack panicked: see its message on stderr";
            let error = || Told::Outcome(Err(Error::new(ErrorKind::Origin, text)));
            (flight, if panicked { error() } else { Told::Again })
        });
        let told = told.collect();
        self.tell(told);
    }
}
