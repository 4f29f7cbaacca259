//! What one event holds.

use std::ops::AddAssign;

use serde::Serialize;
use tierstack::{CacheStats, Namespace};

use super::latency::{Latencies, Latency};
use super::paths::Paths;
use super::request::Request;
use super::sampler::Source;
use crate::shop::Shop;

/// All that the page shows, as totals since the run began.
#[derive(Serialize)]
pub(crate) struct Figures {
    /// Whose totals these are: those of another run begin at 0.
    run: String,
    /// When they were read, in milliseconds of the node's clock.
    at_ms: u64,
    viewers: usize,
    total: Counts,
    entities: Vec<EntityCounts>,
    bus: Bus,
    /// Keys whose invalidation Redis has not got yet.
    undelivered: u64,
    latency: Vec<Latency>,
    /// The last requests that ended, the newest first.
    requests: Vec<Request>,
}

/// Of each key that was asked for, where its answer came from; then what it took.
#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    keys: u64,
    l1: u64,
    l2: u64,
    origin: u64,
    unknown: u64,
    errors: u64,
    /// Of those answered, the ones that aren't there, and the stale ones.
    absent: u64,
    stale: u64,
    loads: u64,
    failed_loads: u64,
    invalidations: u64,
    l1_entries: u64,
    flights: u64,
}

#[derive(Serialize)]
struct EntityCounts {
    name: String,
    #[serde(flatten)]
    counts: Counts,
}

/// Whether this node hears of other nodes' writes.
#[derive(Serialize)]
struct Bus {
    state: Hears,
    deaf_for_ms: Option<u64>,
    keys: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Hears {
    None,
    /// It has not subscribed yet: no lookup has needed it, or Redis can't be reached.
    Idle,
    Alive,
    Deaf,
}

/// Where figures are read from.
pub(crate) struct Sources {
    namespace: Namespace,
    latencies: Latencies,
    paths: Paths,
    run: String,
}

impl Sources {
    pub(crate) fn new(shop: &Shop) -> Sources {
        Sources {
            namespace: shop.namespace.clone(),
            latencies: Latencies::new(shop.metrics.registry()),
            paths: shop.traces.paths.clone(),
            run: format!("{} {}", shop.namespace.name(), std::process::id()),
        }
    }
}

impl Source for Sources {
    type Figures = Figures;

    fn forget(&mut self) {
        self.latencies.forget();
    }

    fn read(&mut self, viewers: usize) -> Figures {
        let mut total = Counts::default();
        let mut entities = Vec::new();
        for cache in self.namespace.caches() {
            let counts = Counts::of(&cache);
            total += counts;
            let name = cache.scope.entity.as_deref().unwrap_or_default().to_owned();
            entities.push(EntityCounts { name, counts });
        }
        entities.sort_by(|one, other| one.name.cmp(&other.name));
        Figures {
            run: self.run.clone(),
            at_ms: self.namespace.now().as_nanos() / 1_000_000,
            viewers,
            total,
            entities,
            bus: Bus::of(&self.namespace),
            undelivered: self.namespace.write_stats().undelivered,
            latency: self.latencies.read(),
            requests: self.paths.last(),
        }
    }
}

impl Counts {
    fn of(cache: &CacheStats) -> Counts {
        let stats = &cache.stats;
        let tiers = [stats.l1, stats.l2, stats.origin];
        Counts {
            keys: stats.keys(),
            l1: stats.l1.total(),
            l2: stats.l2.total(),
            origin: stats.origin.total(),
            unknown: stats.unknown,
            errors: stats.errors,
            absent: tiers.iter().map(|tier| tier.absent).sum(),
            stale: tiers.iter().map(|tier| tier.stale).sum(),
            loads: stats.loads,
            failed_loads: stats.failed_loads,
            invalidations: stats.invalidations,
            l1_entries: cache.l1_len,
            flights: cache.flights,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        // A field that is forgotten here doesn't compile.
        let Counts {
            keys,
            l1,
            l2,
            origin,
            unknown,
            errors,
            absent,
            stale,
            loads,
            failed_loads,
            invalidations,
            l1_entries,
            flights,
        } = more;
        self.keys += keys;
        self.l1 += l1;
        self.l2 += l2;
        self.origin += origin;
        self.unknown += unknown;
        self.errors += errors;
        self.absent += absent;
        self.stale += stale;
        self.loads += loads;
        self.failed_loads += failed_loads;
        self.invalidations += invalidations;
        self.l1_entries += l1_entries;
        self.flights += flights;
    }
}

impl Bus {
    fn of(namespace: &Namespace) -> Bus {
        let Some(stats) = namespace.bus_stats() else {
            return Bus { state: Hears::None, deaf_for_ms: None, keys: 0 };
        };
        let state = match stats.deaf_for {
            None => Hears::Alive,
            Some(_) if stats.subscriptions == 0 => Hears::Idle,
            Some(_) => Hears::Deaf,
        };
        let deaf_for = stats.deaf_for.filter(|_| stats.subscriptions > 0);
        let deaf_for_ms = deaf_for.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Bus { state, deaf_for_ms, keys: stats.keys }
    }
}
