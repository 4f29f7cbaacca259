//! One run of a seed.

use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tests::Rolls;
use tierstack_core::{
    BusSettings, Fill, Freshness, Invalidate, L1, ManualClock, MemoryTier, Namespace, Random, Settings,
    WriteSettings,
};
use tierstack_soak::calls::{Call, Draws};
use tierstack_soak::checker::{Bounds, Node as Number, Report, Timeline};
use tierstack_soak::entity::{Item, ItemMark, NextItem, SHELVES, Shape};
use tierstack_soak::node::{Calls, Node};
use tierstack_soak::record::Record;

use super::database::{Client, Database};
use super::faulty_tier::{FaultyTier, evict};
use super::history::{Book, History};

/// How long after its caller a request may be served.
pub(super) const LATEST: Duration = Duration::from_millis(200);

const KEYS: u32 = 3;
const CLIENTS: usize = 4;
const CALLS: usize = 5;

/// How far a node may be behind another's write.
const BEHIND: Duration = Duration::from_millis(50);

fn bus() -> BusSettings {
    let mut settings = BusSettings::default();
    settings.deaf_after = BEHIND;
    settings.beat_every = Duration::from_millis(20);
    settings.subscribe_timeout = Duration::from_millis(40);
    settings.retry_after = Duration::from_millis(5);
    settings.retry_after_at_most = Duration::from_millis(30);
    settings
}

fn freshness() -> Freshness {
    Freshness::default()
        .fresh_for(Duration::from_millis(150))
        .stale_for(Duration::from_millis(50))
        .absent_for(Duration::from_millis(80))
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.lookup_timeout = Duration::from_millis(300);
    settings.l2_timeout = Duration::from_millis(30);
    settings.load_timeout = Duration::from_millis(60);
    settings.wait_for_load = Duration::from_millis(40);
    settings.brief_for = BEHIND;
    settings.refresh_retry_after = Duration::from_millis(20);
    settings
}

/// What the checker holds a run to.
fn bounds(forgets: bool) -> Bounds {
    // How far a node may be out in what it thinks the tier's clock is: a request's way there and back.
    let way = Duration::from_millis(40);
    Bounds {
        l1: BEHIND + Duration::from_millis(1),
        life: settings().load_timeout + freshness().longest() + way,
        deadline: settings().lookup_timeout + Duration::from_millis(50),
        strict: !forgets,
    }
}

/// What is broken on purpose, so that it is seen that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    None,
    /// A fill takes whatever right there is.
    FillsWithoutRight,
    /// Invalidations reach no record.
    NoInvalidation,
    /// Invalidations reach rows, but nothing that lists rest on.
    NoDependencies,
    /// Nobody hears of others' writes.
    Deaf,
    /// Leases are served a second time, a while later, as when a request is sent again on a new connection and the first copy
    /// comes in after all. After an invalidation, it gives the right back to a load that began before, and that load
    /// fills. Nothing but this is wrong: the protocol doesn't withstand it.
    LateLeases,
    /// The same with invalidations: a later one's floor is replaced by that of the first, under its token, and what rests
    /// on that token is valid again. Nor does it withstand this.
    LateInvalidations,
}

impl Sabotage {
    pub(super) const ALL: [Sabotage; 6] = [
        Sabotage::FillsWithoutRight,
        Sabotage::NoInvalidation,
        Sabotage::NoDependencies,
        Sabotage::Deaf,
        Sabotage::LateLeases,
        Sabotage::LateInvalidations,
    ];

    pub(super) fn fills(self, memory: &MemoryTier, fills: &[Fill]) {
        if self == Sabotage::FillsWithoutRight {
            for fill in fills {
                if let Some(record) = &fill.record
                    && memory.bytes(fill.key.as_bytes()).is_some()
                {
                    memory.overwrite(fill.key.as_bytes(), record.clone());
                }
            }
        }
    }

    pub(super) fn invalidations(self, asks: &mut Vec<Invalidate>) {
        match self {
            Sabotage::NoInvalidation => asks.clear(),
            Sabotage::NoDependencies => asks.retain(|ask| !ask.key.as_str().contains('!')),
            _ => {}
        }
    }
}

/// What came of a run.
pub(super) struct Storm {
    notes: Vec<(Number, Record)>,
    report: Report,
}

impl Storm {
    pub(super) fn run(seed: u64, sabotage: Sabotage) -> Storm {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let limit = Duration::from_secs(600);
            let run = tokio::time::timeout(limit, Scene::new(seed, sabotage).run());
            run.await.unwrap_or_else(|_| panic!("seed {seed} hangs"))
        })
    }

    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// All notes, one a line.
    pub(super) fn told(&self) -> String {
        self.notes.iter().fold(String::new(), |mut told, (node, record)| {
            writeln!(told, "  node {node}: {record:?}").unwrap();
            told
        })
    }
}

/// A node, and its way to the tier.
type Living = (Arc<dyn Calls>, Arc<FaultyTier>);

struct Scene {
    seed: u64,
    rolls: Rolls,
    clock: ManualClock,
    memory: MemoryTier,
    database: Database,
    history: Arc<History>,
    trouble: u32,
    /// Whether L2 loses records.
    forgets: bool,
    sabotage: Sabotage,
    nodes: Mutex<Vec<Living>>,
}

impl Scene {
    fn new(seed: u64, sabotage: Sabotage) -> Arc<Self> {
        let (rolls, clock, history) = (Rolls::new(seed), ManualClock::new(), History::new());
        let scene = Scene {
            seed,
            memory: MemoryTier::with_clock(1_000, clock.clock()),
            database: Database::new(KEYS, rolls.clone(), history.clone()),
            trouble: [0, 20, 60][rolls.below(3)],
            forgets: rolls.chance(50),
            nodes: Mutex::default(),
            rolls,
            clock,
            history,
            sabotage,
        };
        for _ in 0..2 + scene.rolls.below(2) {
            let node = scene.node();
            scene.nodes.lock().unwrap().push(node);
        }
        Arc::new(scene)
    }

    fn node(&self) -> Living {
        // Each has a number of its own, drawn from what was drawn before.
        let number = 1 + self.rolls.below(1 << 20) as Number;
        let tier = FaultyTier::new(
            self.memory.clone(),
            self.rolls.clone(),
            self.trouble,
            self.forgets,
            self.sabotage,
        );
        let tier = Arc::new(tier);
        let node = match self.rolls.below(5) {
            0 => self.of_shape::<NextItem>(number, &tier),
            1 => self.of_shape::<ItemMark>(number, &tier),
            _ => self.of_shape::<Item>(number, &tier),
        };
        (node, tier)
    }

    fn of_shape<E: Shape>(&self, number: Number, tier: &Arc<FaultyTier>) -> Arc<dyn Calls> {
        let mut writes = WriteSettings::default();
        writes.l2_timeout = settings().l2_timeout;
        writes.floor_life = Duration::from_secs(2);
        let namespace = Namespace::builder("storm")
            .l2_shared(tier.clone())
            .clock(self.clock.clock())
            .random(Random::seeded(self.seed ^ u64::from(number)))
            .writes(writes)
            .bus(bus())
            .build()
            .unwrap();
        let items = namespace
            .cache::<E>()
            .l1(L1::capacity(1_000))
            .origin(self.database.origin::<E>())
            .freshness(freshness())
            .settings(settings())
            .build()
            .unwrap();
        let strict = self.rolls.chance(50).then_some(namespace);
        let writer = Client { node: number, database: self.database.clone(), strict };
        let book = Arc::new(Book(number, self.history.clone()));
        Arc::new(Node::new(number, items, Box::new(writer), book, KEYS).unwrap())
    }

    fn nodes(&self) -> Vec<Living> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run(self: Arc<Self>) -> Storm {
        let clients = (0..CLIENTS).map(|client| {
            let scene = self.clone();
            tokio::spawn(async move { scene.client(client as u64).await })
        });
        let clients: Vec<_> = clients.collect();
        let trouble = tokio::spawn({
            let scene = self.clone();
            async move { scene.trouble().await }
        });
        for client in clients {
            client.await.unwrap();
        }
        trouble.await.unwrap();
        self.heal().await;
        let log = self.database.log();
        let notes = self.history.notes();
        let mut timeline = Timeline::new(bounds(self.forgets), log);
        notes.iter().for_each(|(node, record)| timeline.note(*node, record));
        let mut judge = timeline.finish().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        notes.iter().for_each(|(node, record)| judge.read(*node, record));
        Storm { notes, report: judge.report() }
    }

    async fn client(&self, client: u64) {
        let mut draws = Draws::new(self.seed ^ (client + 1) << 32, KEYS);
        for _ in 0..CALLS {
            self.rolls.pause(40).await;
            let nodes = self.nodes();
            let (node, _) = &nodes[self.rolls.below(nodes.len())];
            let call = node.call(draws.call());
            if self.rolls.chance(10) {
                cut(call, self.rolls.below(12)).await;
            } else {
                call.await.unwrap();
            }
        }
    }

    /// What happens to all.
    async fn trouble(&self) {
        if self.trouble == 0 {
            return;
        }
        for _ in 0..self.rolls.below(6) {
            self.rolls.pause(60).await;
            match self.rolls.below(8) {
                0 if self.forgets => self.memory.clear(),
                1 => {
                    self.memory.set_outage(true);
                    self.rolls.pause(80).await;
                    self.memory.set_outage(false);
                }
                2 => {
                    // It lives on, and hears and says nothing.
                    let place = self.rolls.below(self.nodes().len());
                    let node = self.node();
                    let mut nodes = self.nodes.lock().unwrap();
                    let (_, tier) = std::mem::replace(&mut nodes[place], node);
                    tier.cut_off();
                }
                3 => self.memory.cut(),
                _ if self.forgets => evict(&self.memory, &self.rolls),
                _ => {}
            }
        }
    }

    /// What can be delivered is; then whatever was never told of has ended, and every node reads every row.
    async fn heal(&self) {
        for (node, _) in self.nodes() {
            for _ in 0..1_000 {
                if node.deliver().await.unwrap() {
                    break;
                }
            }
        }
        // Late requests come in meanwhile, too.
        tokio::time::sleep(bounds(self.forgets).life + LATEST).await;
        for (node, _) in self.nodes() {
            node.call(Call::Lookup((0..KEYS).collect())).await.unwrap();
            node.call(Call::List(self.rolls.below(usize::from(SHELVES)) as u8)).await.unwrap();
        }
    }
}

/// Polls a call so often, and then drops it.
async fn cut(call: impl Future<Output = anyhow::Result<()>>, polls: usize) {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 || call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}
