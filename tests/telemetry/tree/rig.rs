//! A node over a tier and an origin in memory, recorded.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::FutureExt;
use tests::{Film, steady};
use tests_telemetry::{Memory, NamedTier, Rows};
use tierstack::otel::{Keys, OtelRecorder};
use tierstack::{Cache, Freshness, L1, ManualClock, MemoryTier, Namespace, Origin};
use tracing_subscriber::layer::SubscriberExt;

pub(crate) struct Rig {
    pub(crate) memory: Memory,
    pub(crate) rows: Rows,
    pub(crate) manual: ManualClock,
    pub(crate) tier: Arc<MemoryTier>,
    pub(crate) keys: Keys,
}

impl Rig {
    pub(crate) fn new(memory: Memory) -> Self {
        let manual = ManualClock::new();
        let tier = Arc::new(MemoryTier::with_clock(10_000, manual.clock()));
        Rig { memory, rows: Rows::default(), manual, tier, keys: Keys::LeftOut }
    }

    pub(crate) fn node(&self) -> Namespace {
        self.node_of("shop", self.memory.recorder(self.keys))
    }

    /// A node of that namespace, recorded by that recorder.
    pub(crate) fn node_of(&self, name: &str, recorder: Arc<OtelRecorder>) -> Namespace {
        let builder = Namespace::builder(name).l2(NamedTier(Arc::clone(&self.tier))).bus(steady());
        builder.clock(self.manual.clock()).recorder(recorder).build().unwrap()
    }

    /// The films of a node of their own: fresh for a minute, then stale for another.
    pub(crate) fn films(&self) -> Cache<Film> {
        self.films_of(&self.node())
    }

    pub(crate) fn films_of(&self, node: &Namespace) -> Cache<Film> {
        let minute = Duration::from_secs(60);
        let freshness =
            Freshness::default().jitter(0.0).fresh_for(minute).stale_for(minute).absent_for(minute);
        let origin = Origin::new(self.rows.clone());
        node.cache().l1(L1::capacity(1_000)).freshness(freshness).origin(origin).build().unwrap()
    }

    /// Users of `tracing` on this thread, with their bridge, until the guard goes. While there is one subscriber alone,
    /// `tracing` asks that of the thread which comes to a span first whether any is ever wanted; of two it asks both.
    pub(crate) fn bridge(&self) -> (tracing::subscriber::DefaultGuard, tracing::Dispatch) {
        let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
        let layer = tracing_opentelemetry::layer().with_tracer(self.memory.tracer());
        (tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)), second)
    }

    /// Does `work` within a span of the application's.
    pub(crate) async fn within<T>(&self, name: &'static str, work: impl Future<Output = T>) -> T {
        work.with_context(self.memory.caller(name)).await
    }
}

/// A context without a span.
pub(crate) fn nobody() -> Context {
    Context::new()
}

/// Lets all tasks do what they can do now.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
