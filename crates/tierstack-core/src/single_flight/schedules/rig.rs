//! What the scenes are played with: the flights of one layer, over a scripted origin.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::future::JoinHandle;
use shuttle::rand::{Rng, thread_rng};
use tower::service_fn;
use tower_service::Service;

use crate::single_flight::{FlightOptions, Flights, SingleFlightService};
use crate::sync::yield_now;
use crate::{Age, Answer, Answers, Clock, Counters, Entry, Error, Keep, Level, Lookup, Meta, Moment};
use crate::{Settings, Stack, Stats, Token};

/// Lets others run, up to twice.
pub(super) async fn pause() {
    for _ in 0..thread_rng().gen_range(0..=2) {
        yield_now().await;
    }
}

/// What a lookup was told of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// What was written when its load began.
    pub(super) version: u64,
    /// The number of its load.
    pub(super) load: u64,
    pub(super) followed: bool,
}

/// A count that tasks wait for.
pub(super) type Gate = tokio::sync::watch::Sender<usize>;

/// Waits until `gate` has come to `count`.
pub(super) async fn reached(gate: &Gate, count: usize) {
    let _ = gate.subscribe().wait_for(|now| *now >= count).await;
}

/// The same lookup; counts it as soon as it stands in the table.
pub(super) fn entering<T>(
    lookup: impl Future<Output = T> + Send + 'static,
    entered: &Gate,
) -> impl Future<Output = T> + Send + 'static {
    let (mut lookup, mut entered) = (Box::pin(lookup), Some(entered.clone()));
    poll_fn(move |cx| {
        let told = lookup.as_mut().poll(cx);
        if let Some(entered) = entered.take() {
            entered.send_modify(|count| *count += 1);
        }
        told
    })
}

/// The flights of one layer. Its clones are the same.
#[derive(Clone)]
pub(super) struct Rig {
    pub(super) flights: Arc<Flights<i32, Row>>,
    service: SingleFlightService<i32, Row>,
    options: FlightOptions,
    /// What a write adds one to; a load tells the version it saw as it began.
    version: Arc<AtomicU64>,
    /// How many loads have begun.
    pub(super) loads: Arc<AtomicU64>,
}

/// The version, and the number of the load.
type Row = (u64, u64);

/// Small limits, and a timer that may end at any time.
pub(super) fn settings() -> Settings {
    Settings { max_batch: 2, loads_in_flight: 2, ..Settings::default() }
}

impl Rig {
    /// Over an origin that takes as long for its keys as `load`.
    pub(super) fn new<F>(settings: Settings, load: impl Fn(Lookup<i32>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (version, loads) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (written, begun, load) = (Arc::clone(&version), Arc::clone(&loads), Arc::new(load));
        let origin = service_fn(move |lookup: Lookup<i32>| {
            let (written, begun, load) = (Arc::clone(&written), Arc::clone(&begun), Arc::clone(&load));
            async move {
                let row = (written.load(Ordering::SeqCst), begun.fetch_add(1, Ordering::SeqCst) + 1);
                load(lookup.clone()).await;
                let rows = lookup.into_keys().into_iter().map(|key| (key, Ok(Some(answer(row)))));
                Ok::<_, Error>(Answers::new(rows.collect()))
            }
        });
        let counters = Arc::new(Counters::default());
        let options =
            FlightOptions { settings, clock: Clock::system(), counters, over_l2: false, one_by_one: false };
        let flights = Arc::new(Flights::new(options.clone(), None).expect("the settings can be"));
        let service = SingleFlightService::new(Arc::clone(&flights), Stack::new(origin));
        Rig { flights, service, options, version, loads }
    }

    /// Over an origin that takes a while.
    pub(super) fn slow(settings: Settings) -> Self {
        Rig::new(settings, |_| pause())
    }

    /// What a lookup is told. It has all the time there is.
    pub(super) fn look(
        &self,
        lookup: Lookup<i32>,
    ) -> impl Future<Output = Vec<Result<Seen, Error>>> + Send + 'static {
        let asked = self.service.clone().call(lookup.deadline(Moment::NEVER));
        async move {
            let answers = asked.await.expect("single flight fails key by key");
            answers.into_iter().map(|(_, outcome)| outcome.map(seen)).collect()
        }
    }

    pub(super) fn ask(
        &self,
        keys: &[i32],
    ) -> impl Future<Output = Vec<Result<Seen, Error>>> + Send + 'static {
        self.look(Lookup::batch(keys.iter().copied()))
    }

    /// Asks for each of these in a task of its own.
    pub(super) fn ask_each(&self, lookups: &[&[i32]]) -> Vec<JoinHandle<Vec<Result<Seen, Error>>>> {
        lookups.iter().map(|keys| shuttle::future::spawn(self.ask(keys))).collect()
    }

    /// Writes, and lets nobody join the flights of `key` that are under way. Says which version was written.
    pub(super) fn write(&self, key: i32) -> u64 {
        let written = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        self.flights.detach(&key);
        written
    }

    /// The same for all keys.
    pub(super) fn write_all(&self) -> u64 {
        let written = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        self.flights.detach_all();
        written
    }

    /// How many keys are led.
    pub(super) fn led(&self) -> usize {
        self.flights.table.len().0
    }

    pub(super) fn stats(&self) -> Stats {
        self.options.counters.stats()
    }

    /// Waits for the tasks under way; they leave nothing in the table.
    pub(super) async fn drained(&self) {
        self.flights.idle().await;
        assert_eq!(self.flights.table.len(), (0, 0), "something is left in the table");
    }

    /// Ends the scene: a lookup that comes now is answered, too.
    pub(super) async fn end(self) {
        self.drained().await;
        let key = thread_rng().gen_range(1..=3);
        let seen = self.ask(&[key]).await;
        assert!(matches!(seen[..], [Ok(Seen { followed: false, .. })]), "a later lookup was told {seen:?}");
        self.drained().await;
    }
}

/// What the tasks were told, in their order: of all keys, a row.
pub(super) async fn rows(tasks: Vec<JoinHandle<Vec<Result<Seen, Error>>>>) -> Vec<Vec<Seen>> {
    let mut all = Vec::new();
    for task in tasks {
        let told = task.await.expect("nobody aborted it");
        all.push(told.into_iter().map(|told| told.expect("the origin never fails")).collect());
    }
    all
}

fn answer(row: Row) -> Answer<Row> {
    Answer {
        entry: Entry::Present(Arc::new(row)),
        meta: Meta {
            token: Token::from_bytes([1; 16]),
            fresh_until: Moment::NEVER,
            stale_until: Moment::NEVER,
            cost_us: 0,
        },
        source: Level::Origin,
        age: Age::Fresh,
        keep: Keep::Life,
        followed: false,
        published: false,
    }
}

fn seen(answer: Option<Answer<Row>>) -> Seen {
    let answer = answer.expect("the origin was asked");
    let (version, load) = *answer.entry.into_present().expect("it has all rows");
    Seen { version, load, followed: answer.followed }
}
