//! What a node says of itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tests::{Film, FilmTitle, Repository, WatchedTier, film};
use tierstack_core::{
    BusHealth, Cache, CacheKey, Entity, Health, L1, ManualClock, MemoryTier, Namespace, Schema, State,
    TierHealth, WriteSettings, origin_fn,
};

use crate::shop::settle;

struct Node {
    manual: ManualClock,
    memory: MemoryTier,
    tier: Arc<WatchedTier>,
    repository: Repository,
    namespace: Namespace,
    films: Cache<Film>,
    titles: Cache<FilmTitle>,
}

/// Another than that of lookups.
const L2_TIMEOUT: Duration = Duration::from_millis(90);

fn node() -> Node {
    let manual = ManualClock::new();
    let memory = MemoryTier::with_clock(1_000, manual.clock());
    let tier = Arc::new(WatchedTier::new(memory.clone()));
    let mut writes = WriteSettings::default();
    writes.l2_timeout = L2_TIMEOUT;
    let builder = Namespace::builder("shop").l2_shared(tier.clone()).writes(writes);
    let namespace = builder.clock(manual.clock()).build().unwrap();
    let repository = Repository::new((1..=9).map(film));
    let titles = namespace.cache().origin(repository.titles()).build().unwrap();
    let films = namespace.cache().l1(L1::capacity(10)).origin(repository.films()).build().unwrap();
    Node { manual, memory, tier, repository, namespace, films, titles }
}

fn names(health: &Health) -> Vec<&str> {
    health.caches.iter().map(|cache| &*cache.name).collect()
}

fn l2(health: &Health) -> (bool, Option<u64>) {
    let TierHealth { reachable, last_error, .. } = health.l2.as_ref().unwrap();
    (*reachable, last_error.as_ref().map(|fault| fault.ago_ms))
}

#[tokio::test(start_paused = true)]
async fn a_node_tells_of_its_tiers_and_caches() {
    let node = node();
    let health = node.namespace.health().await;
    assert_eq!((health.state, l2(&health), &health.bus), (State::Up, (true, None), &BusHealth::Idle));
    assert_eq!(names(&health), ["film", "film/titles"]);
    assert!(health.caches.iter().all(|cache| cache.last_load_error.is_none()));
    node.films.get(1).await.unwrap();
    node.titles.get(1).await.unwrap();
    settle().await;
    let health = node.films.health().await;
    assert_eq!((health.state, &health.bus, names(&health)), (State::Up, &BusHealth::Alive, vec!["film"]));
    assert_eq!(health.caches[0].l1_entries, Some(1));
    assert_eq!(names(&node.titles.health().await), ["film/titles"]);
    assert_eq!(node.titles.health().await.caches[0].l1_entries, None);
    // Nothing was left in L2 by asking.
    assert!(node.memory.keys().iter().all(|key| !String::from_utf8_lossy(key).contains("health")));
}

#[tokio::test(start_paused = true)]
async fn what_failed_last_is_told_of_each_origin_and_of_l2() {
    let node = node();
    node.repository.set_failing(true);
    node.films.get(1).await.unwrap_err();
    node.manual.advance(Duration::from_millis(7));
    let health = node.namespace.health().await;
    assert_eq!(health.state, State::Up, "an origin that fails is not this node's fault");
    let fault = health.caches[0].last_load_error.as_ref().unwrap();
    assert_eq!((fault.ago_ms, health.caches[1].last_load_error.as_ref()), (7, None));
    node.repository.set_failing(false);
    // L2, by a lookup.
    node.memory.set_outage(true);
    node.films.get(2).await.unwrap();
    node.memory.set_outage(false);
    node.manual.advance(Duration::from_millis(5));
    assert_eq!(l2(&node.namespace.health().await), (true, Some(5)));
}

#[tokio::test(start_paused = true)]
async fn an_l2_that_is_gone_degrades_a_node_that_is_ready() {
    let node = node();
    node.memory.set_outage(true);
    let health = node.namespace.health().await;
    assert_eq!((health.state, health.is_ready(), l2(&health)), (State::Degraded, true, (false, Some(0))));
    // What it could not be told of is told of here.
    node.films.invalidate([1]).await.unwrap_err();
    node.manual.advance(Duration::from_millis(9));
    let health = node.namespace.health().await;
    assert!(health.undelivered > 0 && health.undelivered_for_ms >= Some(9), "{health:?}");
}

/// Lookups of several caches ask one L2, and so do writes: what failed last is the last of all, whoever saw it.
#[tokio::test(start_paused = true)]
async fn what_l2_failed_with_last_is_the_last_of_all() {
    let node = node();
    let ago = async || {
        node.manual.advance(Duration::from_millis(3));
        l2(&node.namespace.health().await)
    };
    let fail = async |lookup: bool, of_films: bool| {
        node.memory.set_outage(true);
        match (lookup, of_films) {
            (true, true) => drop(node.films.get(1).await.unwrap()),
            (true, false) => drop(node.titles.get(1).await.unwrap()),
            (false, _) => drop(node.films.invalidate([9]).await.unwrap_err()),
        }
        node.memory.set_outage(false);
        node.films.evict_l1(1);
    };
    for (lookup, of_films) in [(true, true), (true, false), (true, true), (false, true)] {
        fail(lookup, of_films).await;
        assert_eq!(ago().await, (true, Some(3)), "lookup: {lookup}, of films: {of_films}");
    }
    assert_eq!(ago().await, (true, Some(6)), "asking that succeeds is no failure");
}

/// One that hangs is one that is gone: asking takes `l2_timeout` and no longer.
#[tokio::test(start_paused = true)]
async fn an_l2_that_hangs_is_waited_for_a_bounded_time() {
    let node = node();
    node.tier.set_read_delay(Duration::from_secs(3_600));
    let began = tokio::time::Instant::now();
    assert!(!l2(&node.namespace.health().await).0);
    assert_eq!(began.elapsed(), L2_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_node_is_degraded_and_one_that_ends_is_not_ready() {
    let node = node();
    node.films.get(1).await.unwrap();
    settle().await;
    node.manual.advance(Duration::from_secs(3));
    let health = node.namespace.health().await;
    assert_eq!(health.state, State::Degraded);
    assert!(matches!(health.bus, BusHealth::Deaf { for_ms: 1_000.. }), "{:?}", health.bus);
    node.namespace.shutdown().await;
    let health = node.namespace.health().await;
    assert_eq!((health.state, health.is_ready()), (State::Ending, false));
    assert!(
        matches!(health.bus, BusHealth::Deaf { .. }),
        "it has heard, and doesn't any more: {:?}",
        health.bus
    );
}

/// A node that nobody has asked anything needs not hear; one that was asked, and may not subscribe, is deaf from the start.
#[tokio::test(start_paused = true)]
async fn a_node_that_never_could_subscribe_is_deaf() {
    let node = node();
    node.memory.set_outage(true);
    node.manual.advance(Duration::from_millis(4));
    assert_eq!(node.namespace.health().await.bus, BusHealth::Idle);
    node.films.get(1).await.unwrap();
    settle().await;
    node.memory.set_outage(false);
    let health = node.namespace.health().await;
    assert_eq!((health.state, &health.bus), (State::Degraded, &BusHealth::Deaf { for_ms: 4 }));
}

#[tokio::test(start_paused = true)]
async fn a_table_in_a_schema_is_named_with_it_and_a_cache_that_is_gone_is_not() {
    #[derive(Serialize, Deserialize)]
    struct Stock(i32);
    impl Entity for Stock {
        type Pk = i32;
        fn schema() -> Schema {
            Schema::table("stock").in_schema("depot").pk(["stock_id"]).columns(["stock_id"])
        }
        fn pk(&self) -> i32 {
            self.0
        }
    }
    let node = node();
    let none = origin_fn(|_: Vec<i32>| async { Ok::<_, std::io::Error>(Vec::<(i32, Stock)>::new()) });
    let stock = node.namespace.cache::<Stock>().origin(none).build().unwrap();
    assert_eq!(names(&stock.health().await), ["depot.stock"]);
    assert_eq!(names(&node.namespace.health().await), ["depot.stock", "film", "film/titles"]);
    drop((stock, node.titles));
    assert_eq!(names(&node.namespace.health().await), ["film"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_an_l2_is_up() {
    #[derive(Clone)]
    struct Ask;
    impl CacheKey for Ask {
        fn write_key(&self, out: tierstack_core::RequestWriter<'_>) -> tierstack_core::Written {
            1_u64.write_key(out)
        }
    }
    let namespace = Namespace::builder("shop").build().unwrap();
    let _layer = namespace.cache_layer::<Ask, u64>("squares").l1(L1::capacity(1)).build().unwrap();
    let health = namespace.health().await;
    assert_eq!((health.state, health.l2.clone(), &health.bus), (State::Up, None, &BusHealth::None));
    assert_eq!(names(&health), ["squares"]);
}
