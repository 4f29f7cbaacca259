//! A cache over a scripted origin and a watched tier, in simulated time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tests::{Film, Scripted, WatchedTier, steady};
use tierstack_core::{
    BatchError, Cache, Error, ErrorKind, Freshness, L1, Lookup, ManualClock, MemoryTier, Moment, Namespace,
    Origin, Settings,
};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What `get` gives.
pub(super) type Found = Result<Option<Arc<Film>>, Error>;

/// What `objects_by_pks` gives.
pub(super) type FoundAll = Result<Vec<Option<Arc<Film>>>, BatchError<Film>>;

/// Which tiers there are over the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Full,
    NoL1,
    NoL2,
}

/// What the nodes of a test share.
pub(super) struct Rig {
    pub(super) shape: Shape,
    pub(super) manual: ManualClock,
    pub(super) tier: Arc<WatchedTier>,
    pub(super) origin: Scripted,
    pub(super) settings: Settings,
    pub(super) freshness: Freshness,
}

impl Rig {
    pub(super) fn new(shape: Shape) -> Self {
        let manual = ManualClock::new();
        let tier = Arc::new(WatchedTier::new(MemoryTier::with_clock(1_000_000, manual.clock())));
        let freshness = Freshness::default().jitter(0.0);
        Rig { shape, manual, tier, origin: Scripted::default(), settings: Settings::default(), freshness }
    }

    /// The films of one more node.
    pub(super) fn films(&self) -> Cache<Film> {
        self.films_from(self.origin.films())
    }

    /// The same from another origin.
    pub(super) fn films_from(&self, origin: Origin<Film>) -> Cache<Film> {
        let mut node = Namespace::builder("shop").clock(self.manual.clock());
        if self.shape != Shape::NoL2 {
            node = node.l2_shared(self.tier.clone()).bus(steady());
        }
        let mut films = node.build().unwrap().cache().origin(origin);
        if self.shape != Shape::NoL1 {
            films = films.l1(L1::capacity(100_000));
        }
        films.settings(self.settings.clone()).freshness(self.freshness.clone()).build().unwrap()
    }

    /// The instant in so many milliseconds.
    pub(super) fn in_ms(&self, ms: u64) -> Moment {
        self.manual.clock().coarse().plus(Duration::from_millis(ms))
    }
}

/// Longer than any deadline and any load.
const SOON: Duration = Duration::from_secs(60);

/// Runs a test in simulated time. A hang fails it, and so does a task that is still there a minute after it.
pub(super) fn simulate(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(60 * SOON, test).await.expect("the test hangs");
        tokio::time::sleep(SOON).await;
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks are left behind");
}

/// The same on two threads, in the machine's time.
pub(super) fn on_two_threads(test: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, test).await.expect("the test hangs") });
}

/// Simulates a test in stacks with and without L1 and L2.
pub(super) fn in_every_stack(test: impl AsyncFn(Rig)) {
    for shape in [Shape::Full, Shape::NoL1, Shape::NoL2] {
        println!("in the stack {shape:?}");
        simulate(async { test(Rig::new(shape)).await });
    }
}

/// Lets so many milliseconds pass, and all happen that happens meanwhile.
pub(super) async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Whether so many milliseconds have passed, as far as timers are exact.
pub(super) fn is_after(began: Instant, ms: u64) {
    let elapsed = began.elapsed();
    let exact = Duration::from_millis(ms);
    assert!((exact..=exact + Duration::from_millis(2)).contains(&elapsed), "{elapsed:?} is not {exact:?}");
}

/// `get` in a task of its own.
pub(super) fn ask(films: &Cache<Film>, key: i32) -> JoinHandle<Found> {
    let films = films.clone();
    tokio::spawn(async move { films.get(key).await })
}

/// A lookup of one key in a task of its own.
pub(super) fn look(films: &Cache<Film>, lookup: Lookup<i32>) -> JoinHandle<Found> {
    let films = films.clone();
    tokio::spawn(async move {
        let answer = crate::shop::look(&films, lookup).await?;
        Ok(answer.and_then(|answer| answer.entry.into_present()))
    })
}

/// `objects_by_pks` in a task of its own.
pub(super) fn ask_all(films: &Cache<Film>, keys: impl IntoIterator<Item = i32>) -> JoinHandle<FoundAll> {
    let (films, keys) = (films.clone(), Vec::from_iter(keys));
    tokio::spawn(async move { films.objects_by_pks(keys).await })
}

/// The row that a task found.
pub(super) async fn row(asked: JoinHandle<Found>) -> Arc<Film> {
    asked.await.unwrap().unwrap().unwrap()
}

/// The kind of the error that a task was told.
pub(super) async fn kind(asked: JoinHandle<Found>) -> ErrorKind {
    asked.await.unwrap().unwrap_err().kind()
}

/// A future that is held, and polled when the test says.
pub(super) type Held<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls it once.
pub(super) fn poll_once<T>(held: &mut Held<T>) -> Poll<T> {
    held.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// `get`, held.
pub(super) fn hold(films: &Cache<Film>, key: i32) -> Held<Found> {
    let films = films.clone();
    Box::pin(async move { films.get(key).await })
}
