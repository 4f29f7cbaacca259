//! The property run against in-process tiers: thousands of cases. A failing one is shrunk and printed.

use std::sync::Arc;
use std::time::Duration;

use tests::model::{ClockStep, World, first_rows, hold, run};
use tests::{Film, Repository};
use tierstack_core::{
    BusSettings, Cache, Eviction, Freshness, L1, ManualClock, MemoryTier, Moment, Namespace, Random, Settings,
};

use crate::shop::settle;

/// Two nodes over a [`MemoryTier`] in paused time. Nodes and tier have clocks of their own.
struct InProcess {
    nodes: ManualClock,
    tier_clock: ManualClock,
    tier: Arc<MemoryTier>,
    repository: Repository,
    random: Random,
}

impl InProcess {
    fn new() -> Self {
        let (nodes, tier_clock) = (ManualClock::new(), ManualClock::new());
        let repository = Repository::new(first_rows());
        // A load that takes a moment overlaps what comes next, and a refresh behind an answer the more.
        repository.set_delay(Duration::from_millis(3));
        InProcess {
            tier: Arc::new(MemoryTier::with_clock(1_000, tier_clock.clock())),
            nodes,
            tier_clock,
            repository,
            random: Random::seeded(1),
        }
    }
}

impl World for InProcess {
    fn node(&self) -> Cache<Film> {
        let shop = Namespace::builder("shop")
            .l2_shared(self.tier.clone())
            .clock(self.nodes.clock())
            .random(self.random.clone())
            .build();
        shop.unwrap()
            .cache()
            .l1(L1::capacity(1_000).eviction(Eviction::Lru))
            .origin(self.repository.films())
            .freshness(
                Freshness::default()
                    .fresh_for(Duration::from_secs(4))
                    .stale_for(Duration::from_secs(4))
                    .absent_for(Duration::from_secs(3)),
            )
            .settings(Settings::default())
            .build()
            .unwrap()
    }

    async fn write(&self, film_id: i32, row: Option<Film>) {
        match row {
            Some(film) => self.repository.put(film),
            None => self.repository.remove(film_id),
        }
    }

    async fn evict_l2(&self, key: &str) {
        self.tier.evict(key.as_bytes());
    }

    async fn set_outage(&self, out: bool) {
        self.tier.set_outage(out);
    }

    async fn step_clock(&self, step: ClockStep) {
        match step {
            ClockStep::Tier(seconds) => self.tier_clock.step_wall(i64::from(seconds) * 1_000),
            ClockStep::Nodes(seconds) => self.nodes.advance(Duration::from_secs(seconds.into())),
        }
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    fn now(&self) -> Moment {
        self.nodes.clock().coarse()
    }

    fn behind(&self) -> Duration {
        Settings::default().brief_for.max(BusSettings::default().deaf_after)
    }

    async fn settle(&self) {
        settle().await;
    }
}

/// For any sequence of lookups, batches, lists, writes followed by `invalidate`, evictions, restarts, outages and clock
/// steps, every answer is one that the caller may be told, whatever tier gives it.
#[test]
fn every_answer_equals_the_models_row_or_its_absence() {
    let cases = if std::env::var_os("TIERSTACK_LONG").is_some() { 50_000 } else { 4_000 };
    hold(cases, 80, |events| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { run(&InProcess::new(), events).await })
    });
}
