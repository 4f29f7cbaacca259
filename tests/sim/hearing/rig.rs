//! Two nodes or more over a tier whose bus does what a test says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tests::{Film, Repository, film};
use tierstack_core::{
    Answer, Beat, BoxFuture, Bus, BusSettings, BusStats, Cache, Channel, Error, ErrorKind, Fill, Filled,
    Freshness, Invalidate, Invalidated, L1, LeaseFor, Leased, Level, Lookup, ManualClock, MemoryTier,
    Message, Namespace, Reply, Subscription, Tier, Token, WireKey,
};
use tokio::sync::mpsc;

use crate::shop::look;

/// A [`MemoryTier`] whose bus passes through the test's hands.
#[derive(Clone)]
pub(super) struct Switchboard(Arc<State>);

struct State {
    memory: MemoryTier,
    bus: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    /// Where a test may put a message of its own.
    open: Vec<mpsc::UnboundedSender<Message>>,
    /// From now on, heartbeats are not told; or are told and never return.
    mute: bool,
    hang: bool,
    /// How long a heartbeat takes until it is told.
    late: Duration,
    /// The last one that was sent.
    last: Option<Beat>,
    /// From now on, no subscription is confirmed.
    refuse: bool,
    /// What the next heartbeats go through, if not the memory.
    run: Option<Box<str>>,
    subscribed: usize,
    beats: usize,
}

impl Switchboard {
    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.bus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> &MemoryTier {
        &self.0.memory
    }

    /// No subscription ends, no heartbeat is heard.
    pub(super) fn set_mute(&self, mute: bool) {
        self.lines().mute = mute;
    }

    /// Heartbeats are heard, and their sending never ends.
    pub(super) fn set_hanging(&self, hang: bool) {
        self.lines().hang = hang;
    }

    pub(super) fn set_late(&self, late: Duration) {
        self.lines().late = late;
    }

    /// The last heartbeat that was sent, as it is told.
    pub(super) fn last_beat(&self) -> Message {
        Message::Beat(self.lines().last.unwrap(), "memory".into())
    }

    pub(super) fn set_refusing(&self, refuse: bool) {
        self.lines().refuse = refuse;
    }

    pub(super) fn set_run(&self, run: &str) {
        self.lines().run = Some(run.into());
    }

    /// Says something to every node.
    pub(super) fn say(&self, message: &Message) {
        self.lines().open.retain(|line| line.send(message.clone()).is_ok());
    }

    pub(super) fn subscribed(&self) -> usize {
        self.lines().subscribed
    }

    pub(super) fn beats(&self) -> usize {
        self.lines().beats
    }
}

impl Tier for Switchboard {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.0.memory.read(keys)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.0.memory.lease(leases)
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.0.memory.fill(fills)
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.0.memory.invalidate(channel, invalidations)
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        Some(Arc::new(self.clone()))
    }
}

impl Bus for Switchboard {
    fn subscribe<'a>(
        &'a self,
        channel: &'a Channel,
        node: Token,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(async move {
            self.lines().subscribed += 1;
            if self.lines().refuse {
                return Err(Error::new(ErrorKind::Unavailable, "the switchboard refuses"));
            }
            let told = self.0.memory.subscribe(channel, node).await?;
            let (line, said) = mpsc::unbounded_channel();
            self.lines().open.push(line);
            let said = stream::unfold(said, |mut said| async move { Some((said.recv().await?, said)) });
            // Ends when the memory's does.
            let ends = stream::StreamExt::chain(told.map_some(), stream::iter([None]));
            let both = stream::select(ends, Box::pin(said).map_some());
            let until_end = stream::StreamExt::scan(both, (), |(), message| async move { message });
            Ok(Box::pin(until_end) as Subscription)
        })
    }

    fn beat<'a>(&'a self, channel: &'a Channel, mut beat: Beat) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let (mute, hang, late, run) = {
                let mut lines = self.lines();
                lines.beats += 1;
                lines.last = Some(beat);
                (lines.mute, lines.hang, lines.late, lines.run.clone())
            };
            if !late.is_zero() {
                tokio::time::sleep(late).await;
            }
            if mute {
                // It is told to nobody.
                beat.node = Token::NONE;
            }
            match run {
                Some(run) => self.say(&Message::Beat(beat, run)),
                None => self.0.memory.beat(channel, beat).await?,
            }
            if hang {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }
}

trait MapSome: futures_util::Stream<Item = Message> + Sized {
    fn map_some(self) -> stream::Map<Self, fn(Message) -> Option<Message>> {
        stream::StreamExt::map(self, Some)
    }
}

impl<S: futures_util::Stream<Item = Message>> MapSome for S {}

/// Nodes over one switchboard.
pub(super) struct Rig {
    pub(super) manual: ManualClock,
    pub(super) tier: Switchboard,
    pub(super) repository: Repository,
}

/// The bus's times in these tests: those of the default.
pub(super) const DEAF_AFTER: Duration = Duration::from_secs(1);

impl Rig {
    pub(super) fn new() -> Self {
        let manual = ManualClock::new();
        let memory = MemoryTier::with_clock(1_000, manual.clock());
        let tier = Switchboard(Arc::new(State { memory, bus: Mutex::default() }));
        Rig { manual, tier, repository: Repository::new((1..=9).map(film)) }
    }

    pub(super) fn node(&self) -> Namespace {
        self.node_that(BusSettings::default())
    }

    pub(super) fn node_that(&self, settings: BusSettings) -> Namespace {
        let node = Namespace::builder("shop").l2(self.tier.clone()).bus(settings);
        node.clock(self.manual.clock()).build().unwrap()
    }

    pub(super) fn films_of(&self, node: &Namespace) -> Cache<Film> {
        let freshness = Freshness::default().fresh_for(Duration::from_secs(3_600)).jitter(0.0);
        let films = node.cache().l1(L1::capacity(1_000)).origin(self.repository.films());
        films.freshness(freshness).build().unwrap()
    }

    pub(super) fn films(&self) -> Cache<Film> {
        self.films_of(&self.node())
    }

    /// Two nodes that hear, and both have film 1.
    pub(super) async fn two(&self) -> [Cache<Film>; 2] {
        let nodes = [self.films(), self.films()];
        for films in &nodes {
            films.get(1).await.unwrap();
            assert_eq!(source(films, 1).await, Level::L1);
            assert_eq!(stats(films).deaf_for, None);
        }
        nodes
    }

    /// Writes a film, and tells of it on a node.
    pub(super) async fn write(&self, on: &Cache<Film>, id: i32, version: i64) {
        self.repository.put(Film { version, ..film(id) });
        on.invalidate([id]).await.unwrap();
    }
}

/// Where a film is answered from.
pub(super) async fn source(films: &Cache<Film>, id: i32) -> Level {
    answer(films, id).await.source
}

pub(super) async fn answer(films: &Cache<Film>, id: i32) -> Answer<Film> {
    look(films, Lookup::one(id)).await.unwrap().unwrap()
}

/// The version that is answered, and where from.
pub(super) async fn version(films: &Cache<Film>, id: i32) -> (i64, Level) {
    let answer = answer(films, id).await;
    (answer.entry.into_present().unwrap().version, answer.source)
}

pub(super) fn stats(films: &Cache<Film>) -> BusStats {
    films.namespace().bus_stats().unwrap()
}

/// Lets time pass, and all that happens meanwhile.
pub(super) async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}
