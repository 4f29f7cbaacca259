//! The property run against a real Redis and Postgres: hundreds of cases.

use std::cell::Cell;
use std::time::Duration;

use tests::Film;
use tests::model::{ClockStep, NODES, World, first_rows, hold, run};
use tierstack_core::{
    BusSettings, Cache, Freshness, KeyFormat, L1, ManualClock, Moment, Namespace, Settings, Tier, WireKey,
};
use tierstack_postgres::PgOrigin;
use tierstack_redis::{RedisSettings, RedisTier};

use crate::rig::Rig;

/// Nodes with a clock that the test moves, over servers that keep their own.
struct Live<'a> {
    rig: &'a Rig,
    clock: ManualClock,
    tiers: Vec<RedisTier>,
    next: Cell<usize>,
    probe: WireKey,
}

/// Of the nodes' clocks, which the test moves on by seconds.
const DEAF_AFTER: Duration = Duration::from_secs(10);

impl World for Live<'_> {
    fn node(&self) -> Cache<Film> {
        // Each node has its connection; a restarted one takes over that of either.
        let at = self.next.replace((self.next.get() + 1) % NODES);
        let mut bus = BusSettings::default();
        (bus.deaf_after, bus.beat_every) = (DEAF_AFTER, Duration::from_millis(100));
        let shop = Namespace::builder("shop").l2(self.tiers[at].clone()).bus(bus);
        let shop = shop.clock(self.clock.clock()).build().unwrap();
        let mut settings = Settings::default();
        settings.l2_timeout = Duration::from_millis(50);
        let lives = Freshness::default()
            .fresh_for(Duration::from_secs(4))
            .stale_for(Duration::from_secs(4))
            .absent_for(Duration::from_secs(3));
        shop.cache()
            .l1(L1::capacity(1_000))
            .origin(PgOrigin::new(self.rig.pool.clone()))
            .freshness(lives)
            .settings(settings)
            .build()
            .unwrap()
    }

    async fn write(&self, film_id: i32, row: Option<Film>) {
        let client = self.rig.pool.get().await.unwrap();
        match row {
            Some(Film { film_id, title, rating, version }) => {
                let upsert = "INSERT INTO film VALUES ($1, $2, $3, $4) ON CONFLICT (film_id) \
                              DO UPDATE SET rating = excluded.rating, version = excluded.version";
                client.execute(upsert, &[&film_id, &title, &rating, &version]).await.unwrap();
            }
            None => {
                client.execute("DELETE FROM film WHERE film_id = $1", &[&film_id]).await.unwrap();
            }
        }
    }

    async fn evict_l2(&self, key: &str) {
        self.rig.redis.cli(&["DEL", key]).unwrap();
    }

    /// A stopped server answers nothing and closes nothing: only a timeout tells.
    async fn set_outage(&self, out: bool) {
        if out {
            return self.rig.redis.stop().unwrap();
        }
        self.rig.redis.cont().unwrap();
        // It is back when both nodes reach it: connections that were given up are opened anew.
        for tier in &self.tiers {
            let mut reached = false;
            for _ in 0..500 {
                reached = tier.read(std::slice::from_ref(&self.probe)).await.each.iter().all(Result::is_ok);
                if reached {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(reached, "Redis did not come back within 5 s");
        }
    }

    /// The servers' clocks are the machine's: only the nodes' clock is set, ahead.
    async fn step_clock(&self, step: ClockStep) {
        let seconds = match step {
            ClockStep::Tier(seconds) => u64::from(seconds.unsigned_abs()),
            ClockStep::Nodes(seconds) => seconds.into(),
        };
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn now(&self) -> Moment {
        self.clock.clock().coarse()
    }

    fn behind(&self) -> Duration {
        DEAF_AFTER
    }

    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// As in the simulation: every answer is one that the caller may be told, whatever tier gives it.
#[test]
fn every_answer_equals_the_models_row_or_its_absence() {
    let cases = if std::env::var_os("TIERSTACK_LONG").is_some() { 3_000 } else { 300 };
    let rig = Rig::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tiers = (0..NODES).map(|_| RedisTier::new(RedisSettings::new(rig.redis.url())).unwrap()).collect();
    let format = KeyFormat::new("probe", "probe", None, &["id"], 64).unwrap();
    let probe = format.wire(&[0]).pop().unwrap().unwrap();
    let live = Live { rig: &rig, clock: ManualClock::new(), tiers, next: Cell::new(0), probe };
    hold(cases, 60, |events| {
        runtime.block_on(async {
            rig.begin_with(&first_rows()).await;
            run(&live, events).await
        })
    });
}
