//! What all services of one layer share: the lookups that wait for a round.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::causes::Causes;
use crate::rounds::{Begin, Limits, Rounds};
use crate::stack::{Inner, ask};
use crate::{Answer, Answers, Clock, Error, ErrorKind, Keep, Key, Lookup, Outcome, Settings};

/// Lookups that wait for a round.
pub struct Merger<K, V> {
    rounds: Mutex<Rounds<Waiting<K, V>>>,
    /// Most keys that wait.
    most: usize,
    clock: Clock,
}

/// What becomes of one lookup.
type Part<K, V> = Result<Answers<K, V>, Error>;

/// One lookup.
struct Waiting<K, V> {
    lookup: Lookup<K>,
    /// It goes by itself.
    alone: bool,
    causes: Causes,
    part: oneshot::Sender<Part<K, V>>,
}

impl<K: Key, V: Send + Sync + 'static> Merger<K, V> {
    /// Nothing waits.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if limits or times can't be, with what to change.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        settings.check()?;
        let limits = Limits {
            batch: settings.max_batch,
            in_flight: settings.loads_in_flight,
            at_once: 1,
            gather_for: settings.gather_for,
            whole: usize::MAX,
        };
        Ok(Merger { rounds: Mutex::new(Rounds::new(limits)), most: settings.max_flights, clock })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds<Waiting<K, V>>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a lookup, and starts what is to be started, over `inner`.
    pub(super) fn enter<S: Inner<K, V>>(
        self: &Arc<Self>,
        lookup: Lookup<K>,
        inner: S,
    ) -> Result<oneshot::Receiver<Part<K, V>>, Error> {
        let (part, answers) = oneshot::channel();
        let keys = lookup.keys().len();
        let alone = lookup.keys().iter().any(Key::loads_alone);
        let mut rounds = self.rounds();
        if rounds.waiting_keys() + keys > self.most {
            let text = format!(
                "{} keys wait for a load already: shed load, or raise max_flights or loads_in_flight",
                rounds.waiting_keys()
            );
            return Err(Error::new(ErrorKind::Overloaded, text));
        }
        let begin = rounds.push(keys, Waiting { lookup, alone, causes: Causes::current(), part });
        drop(rounds);
        self.begin(begin, &inner);
        Ok(answers)
    }

    fn begin<S: Inner<K, V>>(self: &Arc<Self>, begin: Begin, inner: &S) {
        if begin == Begin::Nothing {
            return;
        }
        let (merger, inner) = (Arc::clone(self), inner.clone());
        let runtime = tokio::runtime::Handle::try_current();
        match begin {
            Begin::Nothing => {}
            Begin::Round => {
                // Outside a runtime it is dropped here, and tells those who wait.
                let place = Place { merger, inner, taken: None };
                if let Ok(runtime) = runtime {
                    runtime.spawn(place.run());
                }
            }
            Begin::Timer => {
                let pause = self.rounds().gather_for();
                let timer = Timer { merger, inner };
                if let Ok(runtime) = runtime {
                    runtime.spawn(async move {
                        timer.merger.clock.sleep(pause).await;
                        drop(timer);
                    });
                }
            }
        }
    }
}

/// The timer of a gathering, which ends when it is dropped: also with its runtime.
struct Timer<K: Key, V: Send + Sync + 'static, S: Inner<K, V>> {
    merger: Arc<Merger<K, V>>,
    inner: S,
}

impl<K: Key, V: Send + Sync + 'static, S: Inner<K, V>> Drop for Timer<K, V, S> {
    fn drop(&mut self) {
        let begin = self.merger.rounds().gathered();
        self.merger.begin(begin, &self.inner);
    }
}

/// A place among the rounds under way; given back when it is dropped.
struct Place<K: Key, V: Send + Sync + 'static, S: Inner<K, V>> {
    merger: Arc<Merger<K, V>>,
    inner: S,
    /// How many keys it took, when it has.
    taken: Option<usize>,
}

impl<K: Key, V: Send + Sync + 'static, S: Inner<K, V>> Place<K, V, S> {
    fn take(&mut self) -> Vec<Waiting<K, V>> {
        let (waiting, begin) = self
            .merger
            .rounds()
            .take(|a, b| a.lookup.terms.accept == b.lookup.terms.accept && !a.alone && !b.alone);
        self.taken = Some(waiting.iter().map(|waiting| waiting.lookup.keys().len()).sum());
        self.merger.begin(begin, &self.inner);
        waiting
    }

    async fn run(mut self) {
        // Who can run now may ask for more: what it asks goes in this round.
        tokio::task::yield_now().await;
        let mut waiting = self.take();
        // Whoever has gone needs no load.
        waiting.retain(|waiting| !waiting.part.is_closed());
        if waiting.is_empty() {
            return;
        }
        let causes = Causes::of(std::iter::empty(), waiting.iter().map(|waiting| &waiting.causes));
        causes.scope(load(self.inner.clone(), waiting)).await;
    }
}

impl<K: Key, V: Send + Sync + 'static, S: Inner<K, V>> Drop for Place<K, V, S> {
    fn drop(&mut self) {
        if self.taken.is_none() {
            // Never run: those who wait learn it as their part is dropped.
            drop(self.take());
        }
        let begin = self.merger.rounds().ended(self.taken.unwrap_or_default());
        self.merger.begin(begin, &self.inner);
    }
}

/// Asks for all of them at once, and gives each its part.
async fn load<K: Key, V: Send + Sync + 'static, S: Inner<K, V>>(inner: S, mut waiting: Vec<Waiting<K, V>>) {
    if waiting.len() == 1
        && let Some(Waiting { mut lookup, part, .. }) = waiting.pop()
    {
        // Its caller watches the deadline; the load has a time of its own.
        lookup.terms.deadline = None;
        let _ = part.send(ask(inner, lookup).await);
        return;
    }
    let mut keys: SmallVec<[K; 1]> = SmallVec::new();
    let mut places: HashMap<K, u32, foldhash::quality::RandomState> = HashMap::default();
    let mut parts = Vec::with_capacity(waiting.len());
    let Some(mut terms) = waiting.first().map(|waiting| waiting.lookup.terms) else { return };
    terms.deadline = None;
    for Waiting { lookup, part, .. } in waiting {
        let own = lookup.into_keys();
        let of_own: Vec<u32> = own
            .iter()
            .map(|key| {
                *places.entry(key.clone()).or_insert_with(|| {
                    keys.push(key.clone());
                    (keys.len() - 1) as u32
                })
            })
            .collect();
        parts.push((own, of_own, part));
    }
    let asked = keys.len();
    match ask(inner.clone(), Lookup::distinct(keys, terms)).await {
        Ok(answers) if answers.len() == asked => {
            let stamp = answers.stamp.clone();
            let outcomes: Vec<Outcome<V>> = answers.into_iter().map(|(_, outcome)| outcome).collect();
            // What holds for one caller only is the first's; the others load by themselves.
            let mut taken = vec![false; outcomes.len()];
            let mut alone = Vec::new();
            for (own, of_own, part) in parts {
                let private = of_own.iter().map(|at| *at as usize).filter(|at| is_private(&outcomes[*at]));
                if private.clone().any(|at| taken[at]) {
                    alone.push((own, part));
                    continue;
                }
                private.for_each(|at| taken[at] = true);
                let rows = own.into_iter().zip(of_own).map(|(key, at)| (key, outcomes[at as usize].clone()));
                let mut answers = Answers::new(rows.collect());
                answers.stamp = stamp.clone();
                let _ = part.send(Ok(answers));
            }
            let load = |(own, part): (SmallVec<[K; 1]>, oneshot::Sender<Part<K, V>>)| {
                let answers = ask(inner.clone(), Lookup::distinct(own, terms));
                async move { drop(part.send(answers.await)) }
            };
            join_all(alone.into_iter().map(load)).await;
        }
        Ok(answers) => {
            let text =
                format!("a service below was asked for {asked} keys and answered {}: mend it", answers.len());
            let error = Error::new(ErrorKind::Loader, text);
            fail(parts.into_iter().map(|(_, _, part)| part), &error);
        }
        Err(error) => fail(parts.into_iter().map(|(_, _, part)| part), &error),
    }
}

fn is_private<V>(outcome: &Outcome<V>) -> bool {
    matches!(outcome, Ok(Some(Answer { keep: Keep::Private, .. })))
}

fn fail<K, V>(parts: impl Iterator<Item = oneshot::Sender<Part<K, V>>>, error: &Error) {
    for part in parts {
        let _ = part.send(Err(error.clone()));
    }
}

impl<K, V> fmt::Debug for Merger<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merger").field("most", &self.most).finish_non_exhaustive()
    }
}
