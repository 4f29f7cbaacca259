//! The reference model: whatever happens, every answer equals a row that the caller may be told.
//!
//! A case is a sequence of events over a few keys and two nodes that share one L2 and one origin. After each lookup the
//! answer is held against the history of writes:
//!
//! * A write counts as *delivered* when an invalidation of its key, sent at or after it, was acknowledged; until then any
//!   value since the last delivered one may be answered.
//! * On the node that delivered it, no older value may be answered from then on; nor on another that heard at that moment,
//!   once the message has come through. On one that was deaf, an older one may be answered for the time that a deaf node's
//!   L1 may be behind.
//!
//! The first of these allowances goes when invalidations are queued.

mod events;
mod tally;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

pub use events::{ClockStep, Event, KEYS, Manner, NODES, events};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
pub use tally::Tally;
use tierstack_core::{Answer, BusStats, Cache, Error, ErrorKind, Level, Lookup, Moment, Outcome, Query};

use crate::{Film, film};

/// What a model needs of the tiers it is run against.
pub trait World {
    /// A node as after a start of its process: nothing in L1.
    fn node(&self) -> Cache<Film>;
    /// Writes or deletes a row at the origin, and returns when that is acknowledged.
    fn write(&self, film_id: i32, row: Option<Film>) -> impl Future<Output = ()>;
    /// Takes a key out of L2.
    fn evict_l2(&self, key: &str) -> impl Future<Output = ()>;
    /// Makes L2 unreachable, or reachable again.
    fn set_outage(&self, out: bool) -> impl Future<Output = ()>;
    /// Steps a clock.
    fn step_clock(&self, step: ClockStep) -> impl Future<Output = ()>;
    /// Lets time pass.
    fn advance(&self, by: Duration) -> impl Future<Output = ()>;
    /// The time that lives are measured by.
    fn now(&self) -> Moment;
    /// How long a node that was deaf may be behind.
    fn behind(&self) -> Duration;
    /// Lets tasks run, and messages come through.
    fn settle(&self) -> impl Future<Output = ()>;
}

/// The rows there first.
#[must_use]
pub fn first_rows() -> Vec<Film> {
    (0..KEYS * 3 / 4).map(film).collect()
}

/// Runs that many random cases of at most `longest` events; a failing one is shrunk and told whole. Prints how often what
/// happened.
///
/// # Panics
/// When an answer was one that the caller may not be told, or the run was too tame to mean something.
#[expect(clippy::panic, reason = "this is the body of a test")]
pub fn hold(cases: u32, longest: usize, case: impl Fn(&[Event]) -> Result<Tally, TestCaseError>) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 1_000, ..Config::default() };
    let tally = RefCell::new(Tally::default());
    let outcome = TestRunner::new(config).run(&events(longest), |events| {
        let counts = case(&events)?;
        tally.borrow_mut().add(&counts);
        Ok(())
    });
    println!("{cases} cases\n{}", tally.borrow());
    if let Err(TestError::Fail(why, events)) = outcome {
        panic!("{why}\n{}", events.iter().map(|event| format!("  {event:?}\n")).collect::<String>());
    }
    assert_eq!(tally.borrow().too_rare(), Vec::<&str>::new(), "the run was too tame");
}

/// A write of one key.
struct Write {
    row: Option<Film>,
    /// When an invalidation at or after it was acknowledged, and which nodes had heard of it then.
    delivered: Option<(Moment, [bool; NODES])>,
}

/// What must hold, and what happened.
struct Model<'a, W: World> {
    world: &'a W,
    nodes: Vec<Cache<Film>>,
    by_rating: Query<Film, (String,)>,
    history: BTreeMap<i32, Vec<Write>>,
    out: bool,
    version: i64,
    tally: Tally,
}

/// Runs one case; the error says what was answered that may not be.
///
/// # Errors
/// A failure of the case.
pub async fn run<W: World>(world: &W, events: &[Event]) -> Result<Tally, TestCaseError> {
    let history = (0..KEYS).map(|key| {
        let row = first_rows().into_iter().find(|film| film.film_id == key);
        (key, vec![Write { row, delivered: None }])
    });
    let mut model = Model {
        world,
        nodes: (0..NODES).map(|_| world.node()).collect(),
        by_rating: Query::list("by_rating").param("rating").build().expect("the declaration is right"),
        history: history.collect(),
        out: false,
        version: 0,
        tally: Tally::default(),
    };
    for (at, event) in events.iter().enumerate() {
        model.apply(event).await.map_err(|error| match error {
            TestCaseError::Fail(why) => TestCaseError::fail(format!("event {at}, {event:?}: {why}")),
            rejected => rejected,
        })?;
    }
    if model.out {
        world.set_outage(false).await;
    }
    Ok(model.tally)
}

fn rating(pg: bool) -> String {
    if pg { "PG".into() } else { "R".into() }
}

impl<W: World> Model<'_, W> {
    async fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Get(node, key, manner) => self.get(*node, *key, *manner).await,
            Event::Batch(node, keys) => self.batch(*node, keys).await,
            Event::List(node, pg) => self.list(*node, *pg).await,
            Event::Write(node, key, row) => self.write(*node, *key, *row).await,
            Event::Race(node, writer, key, row) => self.race(*node, *writer, *key, *row).await,
            Event::EvictL1(node, key) => {
                self.tally.evictions += 1;
                self.nodes[*node].evict_l1(*key);
                Ok(())
            }
            Event::EvictL2(key) => {
                if !self.out {
                    self.tally.evictions += 1;
                    let text = if *key == 0 { "shop:film:!rows".into() } else { self.key_text(*key) };
                    self.world.evict_l2(&text).await;
                }
                Ok(())
            }
            Event::Restart(node) => {
                self.tally.restarts += 1;
                self.nodes[*node] = self.world.node();
                Ok(())
            }
            Event::Outage => {
                self.set_outage(true).await;
                Ok(())
            }
            Event::Recovery => self.recover().await,
            Event::Step(step) => {
                if !self.out {
                    self.tally.steps += 1;
                    self.world.step_clock(*step).await;
                }
                Ok(())
            }
            Event::Wait(ms) => {
                self.world.advance(Duration::from_millis((*ms).into())).await;
                Ok(())
            }
        }
    }

    fn key_text(&self, key: i32) -> String {
        self.nodes[0].key_text(key).expect("an integer key is short")
    }

    async fn set_outage(&mut self, out: bool) {
        if self.out != out {
            self.out = out;
            self.world.set_outage(out).await;
        }
    }

    async fn recover(&mut self) -> Result<(), TestCaseError> {
        self.set_outage(false).await;
        let late: Vec<i32> = self
            .history
            .iter()
            .filter(|(_, writes)| writes.iter().skip(1).any(|write| write.delivered.is_none()))
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            self.invalidate(0, key).await?;
        }
        Ok(())
    }

    async fn invalidate(&mut self, node: usize, key: i32) -> Result<(), TestCaseError> {
        let told: [u64; NODES] = std::array::from_fn(|at| self.bus(at).keys);
        match self.nodes[node].invalidate([key]).await {
            Ok(()) => {
                let now = self.world.now();
                let mut heard: [bool; NODES] = std::array::from_fn(|at| self.bus(at).deaf_for.is_none());
                self.tally.unheard += heard.iter().filter(|heard| !**heard).count() as u64;
                for (at, told) in told.into_iter().enumerate() {
                    heard[at] = heard[at] && self.hears_more(at, told).await?;
                }
                heard[node] = true;
                for write in self.history.get_mut(&key).expect("every key has a history") {
                    write.delivered.get_or_insert((now, heard));
                }
                Ok(())
            }
            Err(error) if self.out && error.kind() == ErrorKind::Undelivered => {
                self.tally.undelivered += 1;
                Ok(())
            }
            Err(error) => Err(TestCaseError::fail(format!("invalidate failed with L2 up: {error:?}"))),
        }
    }

    fn bus(&self, node: usize) -> BusStats {
        self.nodes[node].namespace().bus_stats().expect("the worlds' tiers tell of invalidations")
    }

    /// Waits until a node that hears has heard of more keys than `told`; false if it is deaf.
    async fn hears_more(&self, node: usize, told: u64) -> Result<bool, TestCaseError> {
        for _ in 0..1_000 {
            let bus = self.bus(node);
            if bus.deaf_for.is_some() || bus.keys > told {
                return Ok(bus.deaf_for.is_none());
            }
            self.world.settle().await;
        }
        Err(TestCaseError::fail(format!("node {node} hears, and has not heard of an invalidation")))
    }

    async fn put(&mut self, key: i32, pg: Option<bool>) {
        self.version += 1;
        let row = pg.map(|pg| Film { rating: rating(pg), version: self.version, ..film(key) });
        self.world.write(key, row.clone()).await;
        self.history.get_mut(&key).expect("every key has a history").push(Write { row, delivered: None });
    }

    async fn write(&mut self, node: usize, key: i32, pg: Option<bool>) -> Result<(), TestCaseError> {
        self.put(key, pg).await;
        self.invalidate(node, key).await
    }

    async fn race(
        &mut self,
        node: usize,
        writer: usize,
        key: i32,
        pg: Option<bool>,
    ) -> Result<(), TestCaseError> {
        let mut allowed: Vec<Option<Film>> =
            self.allowed(node, key, self.world.now()).into_iter().cloned().collect();
        let films = self.nodes[node].clone();
        let reader = tokio::spawn(async move { films.get(key).await });
        // The reader gets as far as it can without a wait, which is into its load where it has to load.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.put(key, pg).await;
        self.invalidate(writer, key).await?;
        let row = reader.await.map_err(|died| TestCaseError::fail(format!("the reader died: {died}")))?;
        let row = row.map_err(|error| TestCaseError::fail(format!("get failed: {error:?}")))?;
        let row = row.map(|row| Film::clone(&row));
        allowed.extend(self.allowed(node, key, self.world.now()).into_iter().cloned());
        self.tally.races += 1;
        self.tally.lookups += 1;
        prop_assert!(
            allowed.contains(&row),
            "node {node} answered {row:?} in a race; it may answer {allowed:?}"
        );
        Ok(())
    }

    /// The values that this node may answer for that key to a lookup that begins at `now`.
    fn allowed(&self, node: usize, key: i32, now: Moment) -> Vec<&Option<Film>> {
        let may_be_missed = |write: &Write| match write.delivered {
            None => true,
            Some((_, heard)) if heard[node] => false,
            Some((at, _)) => now.since(at) <= self.world.behind(),
        };
        let mut allowed = Vec::new();
        for write in self.history[&key].iter().rev() {
            allowed.push(&write.row);
            if !may_be_missed(write) {
                break;
            }
        }
        allowed
    }

    fn check(&self, node: usize, key: i32, row: Option<&Film>, now: Moment) -> Result<(), TestCaseError> {
        let allowed = self.allowed(node, key, now);
        let fits = allowed.iter().any(|value| value.as_ref() == row);
        prop_assert!(fits, "node {node} answered {row:?} for key {key}; it may answer {allowed:?}");
        Ok(())
    }

    fn count(&mut self, answer: &Answer<Film>) {
        self.tally.lookups += 1;
        self.tally.in_outage += u64::from(self.out);
        self.tally.absent += u64::from(answer.entry.is_absent());
        self.tally.sources[match answer.source {
            Level::L1 => 0,
            Level::L2 => 1,
            Level::Origin => 2,
        }] += 1;
    }

    fn outcome(
        &mut self,
        (node, began): (usize, Moment),
        key: i32,
        outcome: Outcome<Film>,
        may_load: bool,
    ) -> Result<(), TestCaseError> {
        match outcome {
            Ok(Some(answer)) => {
                self.count(&answer);
                self.check(node, key, answer.entry.into_present().as_deref(), began)
            }
            Ok(None) => {
                prop_assert!(!may_load, "nothing known, though the origin was not excluded");
                self.tally.lookups += 1;
                self.tally.unknown += 1;
                Ok(())
            }
            Err(error) => Err(TestCaseError::fail(format!("the lookup failed: {error:?}"))),
        }
    }

    async fn get(&mut self, node: usize, key: i32, manner: Manner) -> Result<(), TestCaseError> {
        let lookup = Lookup::one(key);
        let (lookup, may_load) = match manner {
            Manner::Get => (lookup, true),
            Manner::Fresh => (lookup.accept(tierstack_core::Accept::Fresh), true),
            Manner::SkipL1 => (lookup.skip_l1(), true),
            Manner::SkipL2 => (lookup.skip_l2(), true),
            Manner::Refresh => (lookup.refresh(), true),
            Manner::NeverLoad => (lookup.never_load(), false),
        };
        let began = self.world.now();
        let answers = self.nodes[node].lookup(lookup).await;
        let answers =
            answers.map_err(|error| TestCaseError::fail(format!("the lookup failed: {error:?}")))?;
        for (key, outcome) in answers {
            self.outcome((node, began), key, outcome, may_load)?;
        }
        // The handle's own path: a peek into L1, then the stack.
        if matches!(manner, Manner::Get) {
            let began = self.world.now();
            let row = self.nodes[node].get(key).await;
            let row = row.map_err(|error| TestCaseError::fail(format!("get failed: {error:?}")))?;
            self.check(node, key, row.as_deref(), began)?;
        }
        Ok(())
    }

    async fn batch(&mut self, node: usize, keys: &[i32]) -> Result<(), TestCaseError> {
        let began = self.world.now();
        let answers = self.nodes[node].lookup(Lookup::batch(keys.iter().copied())).await;
        let answers = answers.map_err(|error| TestCaseError::fail(format!("the batch failed: {error:?}")))?;
        for (key, outcome) in answers {
            self.outcome((node, began), key, outcome, true)?;
        }
        let began = self.world.now();
        let rows = self.nodes[node].objects_by_pks(keys).await;
        let rows = rows.map_err(|error| TestCaseError::fail(format!("objects_by_pks failed: {error:?}")))?;
        prop_assert_eq!(rows.len(), keys.len());
        for (key, row) in keys.iter().zip(rows) {
            self.check(node, *key, row.as_deref(), began)?;
        }
        Ok(())
    }

    async fn list(&mut self, node: usize, pg: bool) -> Result<(), TestCaseError> {
        let asked = rating(pg);
        let began = self.world.now();
        let rows = self.nodes[node].list(&self.by_rating.bind((asked.clone(),))).await;
        let rows = rows.map_err(|error: Error| TestCaseError::fail(format!("the list failed: {error:?}")))?;
        for key in 0..KEYS {
            let listed = rows.iter().find(|row| row.film_id == key);
            let allowed = self.allowed(node, key, began);
            let in_list = |row: &&Option<Film>| row.as_ref().is_some_and(|row| row.rating == asked);
            match listed {
                Some(row) => {
                    self.check(node, key, Some(row), began)?;
                    prop_assert!(
                        allowed.iter().any(in_list),
                        "node {node} lists key {key} under {asked}: {allowed:?}"
                    );
                }
                None => {
                    let left_out = allowed.iter().any(|row| !in_list(row));
                    prop_assert!(left_out, "node {node} leaves key {key} out of {asked}: {allowed:?}");
                }
            }
        }
        Ok(())
    }
}
