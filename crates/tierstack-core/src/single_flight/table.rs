//! The flight table: which keys are being looked up, by whom, and who waits for them.
//!
//! One lock guards it all. A key that is led stands in `joinable`, until its flight ends or is detached; then, or if it is led
//! for one caller only, its flight stands in `detached` until it ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;

use super::asked::{Asked, Told};
use super::detached::Detached;
use super::flight::{Flight, Follower, Join, PartOf};
use crate::bus::Hearing;
use crate::causes::{Causes, batch_ids};
use crate::lookup::Extras;
use crate::rounds::{Begin, Limits, Rounds};
use crate::sync::{Arc, Mutex, RuntimeId, lock};
use crate::{Answer, Error, ErrorKind, Keep, Key, Moment, Outcome, Terms};

type Hasher = foldhash::quality::RandomState;

/// The keys that one lookup leads: looked up together.
pub(super) struct Batch<K, V> {
    id: u64,
    pub(super) asked: Arc<Asked<K, V>>,
    /// Which of its keys, by their slots.
    pub(super) led: SmallVec<[u32; 2]>,
    /// The lookup's; kept here too, as they are compared under the lock.
    pub(super) terms: Terms,
    pub(super) extras: Option<std::sync::Arc<Extras>>,
    /// Its round is its load, and that is not merged with others.
    alone: bool,
    /// Whether its round looks after those who wait for it.
    watched: bool,
}

/// One key of one of a round's batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlightId {
    /// Its place among the round's keys.
    pub(super) key: u32,
    pub(super) batch: u32,
    /// The leader's slot.
    pub(super) slot: u32,
}

impl<K, V> Batch<K, V> {
    /// Until when its round looks after those who wait for it; `None` if it doesn't.
    pub(super) fn watched_until(&self) -> Option<Moment> {
        self.terms.deadline.filter(|_| self.watched)
    }
}

/// Lookups of several runtimes were entered: one may stand still while another waits for its tasks.
#[derive(Clone, Copy, Debug)]
struct Several;

impl<K, V> State<K, V> {
    fn is_in_one_runtime(&mut self, runtime: RuntimeId) -> bool {
        let known = self.runtime.get_or_insert(Ok(runtime));
        if known.is_ok_and(|known| known != runtime) {
            *known = Err(Several);
        }
        known.is_ok()
    }

    fn next_id(&mut self) -> u64 {
        loop {
            if let Some(id) = self.ids.next() {
                return id;
            }
            self.ids = batch_ids();
        }
    }
}

impl<K: Key, V> State<K, V> {
    /// Whether one of `batches` leads `key`, and has not ended it.
    fn is_led_by(&self, key: &K, batches: &[u64]) -> bool {
        // Few lookups are part of a load.
        !batches.is_empty()
            && (self.joinable.get(key).is_some_and(|flight| batches.contains(&flight.batch))
                || self.detached.is_led_by(key, batches))
    }
}

/// A lookup is linked to so many of the rounds that it follows, at most.
const MOST_LINKS: usize = 32;

pub(super) struct Table<K, V>(Mutex<State<K, V>>);

struct State<K, V> {
    /// The flight that a lookup of the key may join.
    joinable: HashMap<K, Flight<K, V>, Hasher>,
    detached: Detached<K, V>,
    /// Keys led and not ended, detached ones too.
    keys: usize,
    /// Most of them.
    most: usize,
    /// How long a flight may be joined; `None` if there is no L2, which may hold stale entries and be written by others.
    join_for: Option<Duration>,
    /// Whether an invalidation of a key would have detached its flight: then it may be joined for as long as it takes.
    hearing: std::sync::Arc<Hearing>,
    rounds: Rounds<Batch<K, V>>,
    /// The runtime of those who asked; an error once there were several.
    runtime: Option<Result<RuntimeId, Several>>,
    /// For the batches to come.
    ids: Range<u64>,
}

/// What became of a lookup that entered.
pub(super) struct Entered {
    pub(super) begin: Begin,
    pub(super) followed: usize,
    pub(super) refused: usize,
    /// The rounds it follows.
    pub(super) follows: Vec<PartOf>,
}

impl<K: Key, V> Table<K, V> {
    /// Empty; leads at most so many keys at once, and lets nobody join a flight that is older than `join_for`, unless what
    /// would have detached it is heard.
    pub(super) fn new(
        most: usize,
        join_for: Option<Duration>,
        hearing: std::sync::Arc<Hearing>,
        limits: Limits,
    ) -> Self {
        Table(Mutex::new(State {
            joinable: HashMap::default(),
            detached: Detached::new(),
            keys: 0,
            most,
            join_for,
            hearing,
            rounds: Rounds::new(limits),
            runtime: None,
            ids: batch_ids(),
        }))
    }

    /// Enters a lookup: it follows the flights it may join, and leads the rest of its keys in a batch that waits for a round.
    ///
    /// `known` tells of a key that nobody is looking up what its last flight published, if the lookup takes that: the
    /// lookup may have missed in L1 before that flight ended. It is asked under the lock, as its answer is one that nobody
    /// may join.
    pub(super) fn enter(
        &self,
        asked: &Arc<Asked<K, V>>,
        join: Join,
        (now, runtime): (Moment, RuntimeId),
        known: impl Fn(&K) -> Option<Answer<V>>,
    ) -> Entered {
        let Asked { keys, terms, causes, part_of, .. } = &**asked;
        let loaded_for = causes.batches();
        let mut told: Vec<(u32, Told<V>)> = Vec::new();
        let (mut followed, mut refused) = (0, 0);
        let mut follows: Vec<PartOf> = Vec::new();
        let mut led: SmallVec<[u32; 2]> = SmallVec::with_capacity(keys.len());
        let mut alone = join == Join::Alone;
        let mut state = lock(&self.0);
        let state = &mut *state;
        let (heard, generation) = (state.hearing.heard(now), state.hearing.generation());
        let id = state.next_id();
        // What waits for a round to begin has a timer of its own.
        let in_one_runtime = state.is_in_one_runtime(runtime);
        let is_led_watched = in_one_runtime && state.rounds.takes_at_once();
        let deadline = terms.deadline.unwrap_or(Moment::NEVER);
        let mut is_watched = in_one_runtime;
        for (slot, key) in keys.iter().enumerate() {
            let slot = slot as u32;
            if state.is_led_by(key, loaded_for) {
                told.push((slot, Told::Outcome(Err(waits_for_itself()))));
                continue;
            }
            let leads = if matches!(join, Join::Private | Join::Alone) {
                let leads = state.keys < state.most;
                if leads {
                    state.detached.add(key.clone(), id, Vec::new());
                }
                leads
            } else {
                let flight = || Flight {
                    batch: id,
                    began: now,
                    heard: generation,
                    will_load: !terms.read_l2,
                    accept: terms.accept,
                    part_of: part_of.clone(),
                    watched_until: is_led_watched.then_some(deadline),
                    followers: Vec::new(),
                };
                let place_of_key = state.joinable.entry(key.clone());
                if matches!(place_of_key, Place::Vacant(_))
                    && let Some(answer) = known(key)
                {
                    told.push((slot, Told::Outcome(Ok(Some(answer)))));
                    continue;
                }
                match place_of_key {
                    Place::Occupied(mut there)
                        if there.get().takes(join, terms.accept, now, state.join_for, heard) =>
                    {
                        there.get_mut().follow(asked, slot);
                        is_watched &= there.get().watched_until.is_some_and(|until| until <= deadline);
                        if part_of.is_some() && follows.len() < MOST_LINKS {
                            follows.extend(there.get().part_of.clone());
                        }
                        followed += 1;
                        continue;
                    }
                    _ if state.keys >= state.most => false,
                    Place::Occupied(mut there) => {
                        let before = there.insert(flight());
                        state.detached.add(key.clone(), before.batch, before.followers);
                        true
                    }
                    Place::Vacant(free) => {
                        free.insert(flight());
                        true
                    }
                }
            };
            if !leads {
                told.push((slot, Told::Outcome(Err(overloaded(state.most)))));
                refused += 1;
                continue;
            }
            state.keys += 1;
            alone |= state.join_for.is_none() && key.loads_alone();
            led.push(slot);
        }
        let begin = match led.len() {
            0 => Begin::Nothing,
            count => {
                is_watched &= is_led_watched;
                let (asked, extras) = (Arc::clone(asked), asked.extras.clone());
                let (terms, watched) = (*terms, is_led_watched);
                state.rounds.push(count, Batch { id, asked, led, terms, extras, alone, watched })
            }
        };
        if !told.is_empty() {
            asked.tell(told.into_iter());
        }
        if !is_watched {
            asked.unwatch();
        }
        Entered { begin, followed, refused, follows }
    }

    /// The batches of a round that was begun, and what they are loaded for.
    pub(super) fn take(&self) -> (Vec<Batch<K, V>>, Causes, Begin) {
        let mut guard = lock(&self.0);
        let state = &mut *guard;
        let (batches, begin) = state.rounds.take(|a, b| kind(a) == kind(b) && !a.alone && !b.alone);
        for batch in batches.iter().filter(|batch| !batch.terms.read_l2) {
            for slot in &batch.led {
                if let Some(flight) = state.joinable.get_mut(&batch.asked.keys[*slot as usize])
                    && flight.batch == batch.id
                {
                    flight.will_load = false;
                }
            }
        }
        let mut left = Vec::new();
        if begin != Begin::Round {
            // What it left behind, no round takes at once.
            let State { rounds, joinable, detached, .. } = state;
            for batch in rounds.waiting_mut().filter(|batch| batch.watched) {
                batch.watched = false;
                who_wait(joinable, detached, batch, &mut left);
            }
        }
        drop(guard);
        left.iter().for_each(|asked| asked.unwatch());
        let ids = batches.iter().map(|batch| batch.id);
        let causes = Causes::of(ids, batches.iter().map(|batch| &batch.asked.causes));
        (batches, causes, begin)
    }

    /// Lets those who wait for `batches` look after their own deadlines, and those who will.
    pub(super) fn unwatch(&self, batches: &[Batch<K, V>]) {
        let mut all = Vec::new();
        let mut state = lock(&self.0);
        let State { joinable, detached, .. } = &mut *state;
        for batch in batches.iter().filter(|batch| batch.watched) {
            who_wait(joinable, detached, batch, &mut all);
        }
        drop(state);
        all.iter().for_each(|asked| asked.unwatch());
    }

    /// The round trip of a round of `batches` ended.
    pub(super) fn ended(&self, batches: &[Batch<K, V>]) -> Begin {
        let keys = batches.iter().map(|batch| batch.led.len()).sum();
        lock(&self.0).rounds.ended(keys)
    }

    /// The timer ended.
    pub(super) fn gathered(&self) -> Begin {
        lock(&self.0).rounds.gathered()
    }

    pub(super) fn gather_for(&self) -> Duration {
        lock(&self.0).rounds.gather_for()
    }

    /// Ends flights of `batches`: tells all who wait for them, and lets nobody else join. Says for how many nobody waited
    /// any more.
    pub(super) fn end(
        &self,
        batches: &[Batch<K, V>],
        keys: &[K],
        mut told: Vec<(FlightId, Told<V>)>,
    ) -> usize {
        let mut followed: Vec<(usize, Vec<Follower<K, V>>)> = Vec::new();
        let mut state = lock(&self.0);
        for (at, (FlightId { key, batch, .. }, _)) in told.iter().enumerate() {
            let batch = &batches[*batch as usize];
            let key = &keys[*key as usize];
            let followers = match state.joinable.remove(key) {
                Some(own) if own.batch == batch.id => own.followers,
                other => {
                    if let Some(other) = other {
                        state.joinable.insert(key.clone(), other);
                    }
                    state.detached.end(key, batch.id)
                }
            };
            if !followers.is_empty() {
                followed.push((at, followers));
            }
        }
        state.keys -= told.len();
        drop(state);

        let mut followers_wait = 0;
        for (at, followers) in followed {
            let (flight, told) = &told[at];
            let led = !batches[flight.batch as usize].asked.is_left_alone();
            let mut waited_for = false;
            for Follower { asked, slot } in followers {
                waited_for |= !asked.is_left_alone();
                asked.tell(std::iter::once((slot, followed_by(shared(told)))));
            }
            followers_wait += usize::from(waited_for && !led);
        }
        let mut unled = 0;
        let mut rest = told.drain(..).peekable();
        // Keys of one batch come in a row: its leader is told of all at once.
        while let Some((FlightId { batch: of, .. }, _)) = rest.peek() {
            let of = *of;
            let batch = &batches[of as usize];
            let own = std::iter::from_fn(|| rest.next_if(|(flight, _)| flight.batch == of));
            unled += batch.asked.tell(own.map(|(flight, told)| (flight.slot, told)));
        }
        unled - followers_wait
    }

    /// Lets nobody join the flight of a key that is under way.
    pub(super) fn detach(&self, key: &K) {
        let mut state = lock(&self.0);
        if let Some(flight) = state.joinable.remove(key) {
            state.detached.add(key.clone(), flight.batch, flight.followers);
        }
    }

    /// Lets nobody join any flight that is under way.
    pub(super) fn detach_all(&self) {
        let mut state = lock(&self.0);
        let State { joinable, detached, .. } = &mut *state;
        for (key, flight) in joinable.drain() {
            detached.add(key, flight.batch, flight.followers);
        }
    }

    /// How many keys are led, and of how many there is a flight, each that was detached counted once more.
    #[cfg(all(test, shuttle))]
    pub(super) fn len(&self) -> (usize, usize) {
        let state = lock(&self.0);
        (state.keys, state.joinable.len() + state.detached.keys())
    }
}

/// Adds who waits for the flights of a batch, which no round watches from now on.
fn who_wait<K: Key, V>(
    joinable: &mut HashMap<K, Flight<K, V>, Hasher>,
    detached: &Detached<K, V>,
    batch: &Batch<K, V>,
    all: &mut Vec<Arc<Asked<K, V>>>,
) {
    all.push(Arc::clone(&batch.asked));
    for slot in &batch.led {
        let key = &batch.asked.keys[*slot as usize];
        let followers = match joinable.get_mut(key) {
            Some(own) if own.batch == batch.id => {
                own.watched_until = None;
                &*own.followers
            }
            _ => detached.followers(key, batch.id),
        };
        all.extend(followers.iter().map(|follower| Arc::clone(&follower.asked)));
    }
}

/// What another who wants the key is told when its leader is told `told`.
pub(super) fn shared<V>(told: &Told<V>) -> Told<V> {
    match told {
        Told::Again => Told::Again,
        Told::Alone => Told::Alone,
        Told::Outcome(Ok(Some(Answer { keep: Keep::Private, .. }))) => Told::Alone,
        Told::Outcome(Ok(Some(answer))) => Told::Outcome(Ok(Some(answer.clone()))),
        Told::Outcome(outcome) => Told::Outcome(Outcome::clone(outcome)),
    }
}

/// The same for one who followed.
fn followed_by<V>(mut told: Told<V>) -> Told<V> {
    if let Told::Outcome(Ok(Some(answer))) = &mut told {
        answer.followed = true;
    }
    told
}

/// What lookups must have in common to share a round.
fn kind<K, V>(batch: &Batch<K, V>) -> (Terms, Option<&Extras>) {
    (Terms { deadline: None, read_l1: true, ..batch.terms }, batch.extras.as_deref())
}

#[cold]
fn waits_for_itself() -> Error {
    Error::new(
        ErrorKind::Loader,
        "the load of this key asks the cache for this key, and would wait for itself: ask the origin there",
    )
}

#[cold]
fn overloaded(most: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        format!("{most} keys are being looked up already: shed load, or raise max_flights"),
    )
}
