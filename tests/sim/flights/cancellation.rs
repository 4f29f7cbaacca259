//! Any interleaving of callers that come, wait and go: nothing is left behind, and every key still answers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tests::{End, Ended, Film, Load};
use tierstack_core::{Cache, Error, ErrorKind, Lookup};
use tokio::runtime::Handle;

use super::rig::{Held, Rig, Shape, pass, poll_once, simulate};
use crate::shop::settle;

/// The settings' default.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
const KEYS: std::ops::RangeInclusive<i32> = 1..=6;

/// One event.
#[derive(Clone, Debug)]
enum Event {
    /// Callers ask for these keys, and go after that many polls, if they were not told by then.
    Ask { keys: Vec<i32>, refresh: bool, polls: Option<usize> },
    /// A row is written, and invalidated.
    Write(i32),
    /// The next load of the key.
    Script(i32, End, u64),
    /// Time passes, in milliseconds; everyone is polled before and after.
    Pass(u64),
}

fn events(drops: bool) -> impl Strategy<Value = Vec<Event>> {
    let keys = prop_oneof![
        2 => KEYS.prop_map(|key| vec![key]),
        1 => proptest::sample::subsequence(Vec::from_iter(KEYS), 1..=6),
    ];
    let polls = if drops { proptest::option::weighted(0.4, 0usize..6).boxed() } else { Just(None).boxed() };
    let ask = (keys, proptest::bool::weighted(0.1), polls);
    let end = prop_oneof![
        4 => Just(End::Value),
        2 => Just(End::Error),
        2 => Just(End::KeyError),
        1 => Just(End::PanicAtOnce),
        1 => Just(End::Panic),
        1 => Just(End::Never),
    ];
    let event = prop_oneof![
        8 => ask.prop_map(|(keys, refresh, polls)| Event::Ask { keys, refresh, polls }),
        2 => KEYS.prop_map(Event::Write),
        4 => (KEYS, end, 0u64..60).prop_map(|(key, end, ms)| Event::Script(key, end, ms)),
        5 => (0u64..40).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 1..40)
}

/// A batch of keys, each with what is found.
type Told = Vec<(i32, Result<Option<Arc<Film>>, Error>)>;

/// A caller that was not told yet.
struct Caller {
    keys: Vec<i32>,
    held: Held<Told>,
    polls_left: Option<usize>,
    /// The point of the origin's log at which it asked, and the versions there were.
    asked: u64,
    versions: Vec<i64>,
    /// The first of its spans.
    spans: usize,
}

/// Points of the log between which something concerned a key.
struct Span {
    key: i32,
    what: What,
    from: u64,
    to: u64,
}

#[derive(PartialEq)]
enum What {
    /// A caller asked, until it was told.
    Asked,
    /// The same for a refresh.
    Refreshed,
    /// It was invalidated.
    Invalidated,
}

struct Case<'a> {
    rig: &'a Rig,
    films: Cache<Film>,
    callers: Vec<Caller>,
    /// Keys that were told, and keys that were asked by callers that were dropped.
    told: usize,
    dropped: usize,
    spans: Vec<Span>,
    errors: Vec<(i32, ErrorKind, u64)>,
}

impl Case<'_> {
    async fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Ask { keys, refresh, polls } => self.ask(keys, *refresh, *polls),
            Event::Write(key) => {
                self.rig.origin.write(*key);
                let from = self.rig.origin.mark().order;
                self.films.invalidate([*key]).await.map_err(failed)?;
                // Until it has heard of it from the tier, too.
                settle().await;
                let to = self.rig.origin.mark().order;
                self.spans.push(Span { key: *key, what: What::Invalidated, from, to });
            }
            Event::Script(key, end, ms) => self.rig.origin.next(*key, [end.after(*ms)]),
            Event::Pass(ms) => {
                self.poll()?;
                pass(*ms).await;
                self.poll()?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, keys: &[i32], refresh: bool, polls_left: Option<usize>) {
        let (films, asked) = (self.films.clone(), self.rig.origin.mark().order);
        let lookup = Lookup::batch(keys.iter().copied());
        let held: Held<Told> = match keys {
            [key] if !refresh => {
                let key = *key;
                Box::pin(async move { vec![(key, films.get(key).await)] })
            }
            _ => Box::pin(async move {
                let answers = films.lookup(if refresh { lookup.refresh() } else { lookup }).await.unwrap();
                let row = |answer: Option<tierstack_core::Answer<Film>>| answer.unwrap().entry.into_present();
                answers.into_iter().map(|(key, outcome)| (key, outcome.map(row))).collect()
            }),
        };
        let spans = self.spans.len();
        for key in keys {
            // Whoever is dropped leaves a flight behind that ends nobody knows when.
            let what = if refresh { What::Refreshed } else { What::Asked };
            self.spans.push(Span { key: *key, what, from: asked, to: u64::MAX });
        }
        let versions = keys.iter().map(|key| self.rig.origin.version(*key)).collect();
        self.callers.push(Caller { keys: keys.to_vec(), held, polls_left, asked, versions, spans });
    }

    /// Polls every caller once; those that have no poll left are dropped.
    fn poll(&mut self) -> Result<(), TestCaseError> {
        for mut caller in std::mem::take(&mut self.callers) {
            if caller.polls_left == Some(0) {
                self.dropped += caller.keys.len();
                continue;
            }
            match poll_once(&mut caller.held) {
                Poll::Ready(told) => self.check(&caller, told)?,
                Poll::Pending => {
                    caller.polls_left = caller.polls_left.map(|polls| polls - 1);
                    self.callers.push(caller);
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, caller: &Caller, told: Told) -> Result<(), TestCaseError> {
        let now = self.rig.origin.mark().order;
        self.spans[caller.spans..][..caller.keys.len()].iter_mut().for_each(|span| span.to = now);
        self.told += told.len();
        prop_assert_eq!(told.iter().map(|(key, _)| *key).collect::<Vec<_>>(), &caller.keys[..]);
        for ((key, found), version) in told.into_iter().zip(&caller.versions) {
            match found {
                Ok(Some(film)) => {
                    prop_assert_eq!(film.film_id, key);
                    prop_assert!(film.version >= *version, "{film:?} was overwritten before it was asked");
                }
                Ok(None) => return Err(TestCaseError::fail(format!("key {key} is told as absent"))),
                Err(error) => self.errors.push((key, error.kind(), caller.asked)),
            }
        }
        Ok(())
    }

    /// What must hold when all is over.
    async fn end(&mut self, baseline: usize) -> Result<(), TestCaseError> {
        // Whoever came last waits until its time is up, at most, and then for nobody; a load it began last ends soon after.
        for _ in 0..20 {
            pass(1_000).await;
            self.poll()?;
        }
        prop_assert!(self.callers.is_empty(), "{} callers wait still", self.callers.len());
        let log = self.rig.origin.log();
        for (key, kind, asked) in &self.errors {
            let why = |load: &Load| match load.ended {
                Some((Ended::Failed | Ended::Panicked, at)) => {
                    *kind == ErrorKind::Origin && at.order > *asked && load.keys.contains(key)
                }
                // Other loads may have waited behind one that never ended.
                Some((Ended::Dropped, at)) => *kind == ErrorKind::Timeout && at.order > *asked,
                _ => false,
            };
            prop_assert!(log.iter().any(why), "key {key} is told {kind:?}, and no load failed so");
        }
        for load in &log {
            let Some((ended, at)) = load.ended else {
                return Err(TestCaseError::fail(format!("{load:?} is under way still")));
            };
            let keys: BTreeSet<i32> = load.keys.iter().copied().collect();
            prop_assert_eq!(keys.len(), load.keys.len(), "a key stands twice in {:?}", load);
            let took = at.at.duration_since(load.began.at);
            prop_assert!(ended != Ended::Dropped || took >= LOAD_TIMEOUT, "{load:?} is dropped too early");
        }
        self.check_overlaps(&log)?;
        let stats = self.films.stats();
        let counted = usize::try_from(stats.keys()).unwrap();
        // A dropped batch may have been answered in part.
        prop_assert!(
            (self.told..=self.told + self.dropped).contains(&counted),
            "{} told, {stats:?}",
            self.told
        );
        prop_assert_eq!(stats.loads as usize, log.len());
        let bad = |load: &&Load| !matches!(load.ended, Some((Ended::Rows, _)));
        prop_assert_eq!(stats.failed_loads as usize, log.iter().filter(bad).count());

        self.rig.origin.end_script();
        for key in KEYS {
            let found = self.films.get(key).await.map_err(failed)?;
            prop_assert_eq!(found.map(|film| film.version), Some(self.rig.origin.version(key)));
        }
        settle().await;
        prop_assert_eq!(Handle::current().metrics().num_alive_tasks(), baseline, "tasks are left behind");
        Ok(())
    }

    /// No key is loaded twice at once, unless an invalidation or a refresh parts the loads.
    fn check_overlaps(&self, log: &[Load]) -> Result<(), TestCaseError> {
        let mut under_way: HashMap<i32, Vec<&Load>> = HashMap::new();
        for load in log {
            for key in &load.keys {
                let earlier = under_way.entry(*key).or_default();
                earlier.retain(|earlier| earlier.ended.is_some_and(|(_, at)| at > load.began));
                for other in earlier.iter() {
                    let spans = || self.spans.iter().filter(|span| span.key == *key);
                    // Whoever is answered by the earlier load may have asked some time before it began.
                    let over = |span: &&Span| {
                        (span.from..span.to).contains(&other.began.order) && span.what != What::Invalidated
                    };
                    let since = spans().filter(over).map(|span| span.from).min();
                    let since = since.unwrap_or(other.began.order);
                    let parted = spans().any(|span| {
                        span.what != What::Asked && span.from < load.began.order && span.to > since
                    });
                    prop_assert!(parted, "key {key} is loaded twice at once: {other:?} and {load:?}");
                }
                earlier.push(load);
            }
        }
        Ok(())
    }
}

fn failed(error: Error) -> TestCaseError {
    TestCaseError::fail(format!("{error:?}"))
}

async fn run(shape: Shape, events: &[Event]) -> Result<(), TestCaseError> {
    let rig = Rig::new(shape);
    let films = rig.films();
    settle().await;
    // Whoever asks below L1 has begun to listen.
    let listeners = usize::from(films.namespace().bus_stats().is_some());
    let baseline = Handle::current().metrics().num_alive_tasks() + listeners;
    let (callers, spans, errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut case = Case { rig: &rig, films, callers, told: 0, dropped: 0, spans, errors };
    for event in events {
        case.apply(event).await?;
    }
    case.end(baseline).await
}

/// Hundreds of cases in stacks with and without L2; a failing one is shrunk and told whole, with the seed of the run, which
/// `TIERSTACK_SEED` repeats.
fn hold(drops: bool) {
    let seed = std::env::var("TIERSTACK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("TIERSTACK_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: 300, failure_persistence: None, max_shrink_iters: 1_000, ..Config::default() };
    for shape in [Shape::Full, Shape::NoL2] {
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let outcome = TestRunner::new_with_rng(config.clone(), random).run(&events(drops), |events| {
            let mut outcome = Ok(());
            simulate(async { outcome = run(shape, &events).await });
            outcome
        });
        if let Err(TestError::Fail(why, events)) = outcome {
            panic!(
                "{shape:?}: {why}\n{}",
                events.iter().map(|event| format!("  {event:?}\n")).collect::<String>()
            );
        }
    }
}

/// Whoever comes and goes, and however loads end: every answer is one that may be told, no task remains, every key answers
/// afterwards, and no key is loaded twice at once.
#[test]
fn callers_that_go_at_any_poll_leave_nothing_behind() {
    hold(true);
}

/// If nobody goes, every key of every caller is counted exactly once, too.
#[test]
fn every_key_that_is_told_is_counted_once() {
    hold(false);
}
