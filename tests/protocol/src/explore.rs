//! Breadth first over states, each visited once; the way to the first state of each anomaly is the shortest.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use crate::anomaly::{Anomalies, Anomaly};
use crate::memo::Memo;
use crate::record::Writes;
use crate::scenario::Scenario;
use crate::state::{Places, State};
use crate::{bus, environment, readers, verdict, writers};

/// Above this many states a scenario is too large to be read, and the exploration fails.
const MOST_STATES: usize = 1_500_000;

/// Who did it, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step(pub Who, pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Writer(usize),
    Reader(usize),
    Node(usize),
    Origin(usize),
    L2,
    Dependency,
    Feed,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step(who, what) = self;
        match who {
            Who::Writer(place) => write!(f, "W{}.{what}", place + 1),
            Who::Reader(place) => write!(f, "R{place}.{what}"),
            Who::Node(0) => write!(f, "A.{what}"),
            Who::Node(_) => write!(f, "B.{what}"),
            Who::Origin(place) => write!(f, "W{}.{what}", place + 1),
            Who::L2 => write!(f, "L2.{what}"),
            Who::Dependency => write!(f, "dependency.{what}"),
            Who::Feed => write!(f, "feed.{what}"),
        }
    }
}

/// How a state was reached first: from which, and where its readers were in that.
struct Way {
    from: u32,
    step: Step,
    places: Places,
}

/// The steps that a state offers.
pub(crate) struct Steps<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) memo: &'a Memo,
    next: Vec<(Way, State)>,
}

impl Steps<'_> {
    /// Offers a step that makes of `from` what `change` makes of it.
    pub(crate) fn offer(&mut self, from: &State, step: Step, change: impl FnOnce(&mut State, &Self)) {
        let mut state = from.clone();
        change(&mut state, self);
        let places = state.rename(self.scenario);
        self.next.push((Way { from: 0, step, places }, state));
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) anomalies: Anomalies,
    traces: Vec<(Anomaly, Vec<Step>)>,
}

impl Explored {
    /// The shortest way to an anomaly, as text.
    pub(crate) fn trace(&self, anomaly: Anomaly) -> Option<String> {
        let (_, steps) = self.traces.iter().find(|(of, _)| *of == anomaly)?;
        Some(steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "))
    }
}

/// Visits every state that the scenario can reach.
///
/// # Panics
/// If there are more than a scenario may have.
pub(crate) fn explore(scenario: &Scenario) -> Explored {
    let memo = Memo::new();
    let mut found = Explored::default();
    let mut seen: HashSet<State, foldhash::fast::RandomState> = HashSet::default();
    let mut ways: Vec<Way> = Vec::new();
    let mut open = VecDeque::new();
    let first = State::first(scenario);
    seen.insert(first.clone());
    ways.push(Way { from: 0, step: Step(Who::L2, "begins"), places: Places::default() });
    open.push_back((0_u32, first));
    let mut steps = Steps { scenario, memo: &memo, next: Vec::new() };
    while let Some((place, state)) = open.pop_front() {
        let shown = verdict::of(&state, scenario, &memo);
        for anomaly in shown.without(found.anomalies).each() {
            found.traces.push((anomaly, way(&ways, place)));
        }
        found.anomalies = found.anomalies.with(shown);
        writers::offer(&state, &mut steps);
        readers::offer(&state, &mut steps);
        environment::offer(&state, &mut steps);
        bus::offer(&state, &mut steps);
        found.steps += steps.next.len();
        for (way, next) in steps.next.drain(..) {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                open.push_back((u32::try_from(ways.len()).expect("bounded below"), next));
                ways.push(Way { from: place, ..way });
            }
        }
        assert!(ways.len() <= MOST_STATES, "{}: more than {MOST_STATES} states", scenario.name);
    }
    found.states = seen.len();
    found
}

/// The steps that led to a state, with the actors as they were called at first.
fn way(ways: &[Way], mut place: u32) -> Vec<Step> {
    let mut path = Vec::new();
    while place != 0 {
        path.push(&ways[place as usize]);
        place = ways[place as usize].from;
    }
    let mut writers: Vec<usize> = (0..Writes::MOST).collect();
    let mut readers = writers.clone();
    let step = |way: &&Way| {
        let step = match way.step {
            Step(Who::Reader(place), what) => Step(Who::Reader(readers[place]), what),
            Step(Who::Writer(place), what) => Step(Who::Writer(writers[place]), what),
            Step(Who::Origin(place), what) => Step(Who::Origin(writers[place]), what),
            step => step,
        };
        readers = way.places.readers.iter().map(|place| readers[usize::from(*place)]).collect();
        writers = way.places.writers.iter().map(|place| writers[usize::from(*place)]).collect();
        step
    };
    path.iter().rev().map(step).collect()
}
