//! Settings that can't be: each is told at build, by its name and with what to change.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;
use serde::de::IgnoredAny;
use tests::{Film, FilmTitle};
use tierstack_core::{
    Bound, Cache, EachLayer, ErrorKind, Freshness, L1, ManualClock, Namespace, Query, Schema, Settings,
    WriteSettings,
};

use crate::shop::{Shop, rated_pg};

const ZERO: Duration = Duration::ZERO;
const DAY: Duration = Duration::from_secs(86_400);

/// A setting that is wrong: how it is made so, and what the error must say.
type Wrong<T> = (fn(&mut T), &'static [&'static str]);

fn says(error: impl Display, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
    assert!(text.len() < 300 && !text.ends_with('.'), "{text}");
}

fn build(
    settings: Settings,
    freshness: Freshness,
    l1: L1<Film>,
) -> Result<Cache<Film>, tierstack_core::Error> {
    let shop = Shop::new(0);
    let cache = shop.node().cache().settings(settings).freshness(freshness).l1(l1);
    cache.origin(shop.repository.films()).build()
}

const WRONG_SETTINGS: &[Wrong<Settings>] = &[
    (|s| s.max_batch = 0, &["max_batch is 0", "set it"]),
    (|s| s.max_batch = usize::MAX, &["max_batch", "set it"]),
    (|s| s.batches_in_flight = 0, &["batches_in_flight is 0", "set it"]),
    (|s| s.batches_in_flight = 1_001, &["batches_in_flight", "set it"]),
    (|s| s.max_flights = 0, &["max_flights is 0", "set it"]),
    (|s| s.max_flights = usize::MAX, &["max_flights", "set it"]),
    (|s| s.max_flights = 999, &["max_flights (999)", "max_batch (1000)", "raise it"]),
    (|s| s.reads_in_flight = 0, &["reads_in_flight is 0", "set it"]),
    (|s| s.reads_in_flight = 1_001, &["reads_in_flight", "set it"]),
    (|s| s.loads_in_flight = 0, &["loads_in_flight is 0", "set it"]),
    (|s| s.loads_in_flight = usize::MAX, &["loads_in_flight", "set it"]),
    (|s| s.loads_waiting = 0, &["loads_waiting is 0", "set it"]),
    (|s| s.loads_waiting = usize::MAX, &["loads_waiting", "set it"]),
    (|s| s.gather_for = ZERO, &["gather_for is 0ns", "set it"]),
    (|s| s.gather_for = DAY, &["gather_for", "set it"]),
    (|s| s.max_key_bytes = 0, &["max_key_bytes is 0", "set it"]),
    (|s| s.max_key_bytes = 512 << 20, &["max_key_bytes", "set it"]),
    (|s| s.refreshes_in_flight = 0, &["refreshes_in_flight is 0", "set it"]),
    (|s| s.refreshes_in_flight = usize::MAX, &["refreshes_in_flight", "set it"]),
    (|s| s.max_payload_bytes = 0, &["max_payload_bytes is 0", "set it"]),
    (|s| s.max_payload_bytes = 1 << 32, &["max_payload_bytes", "set it"]),
    (|s| s.max_fill_bytes = 0, &["max_fill_bytes is 0", "set it"]),
    (|s| s.max_fill_bytes = 1 << 32, &["max_fill_bytes", "set it"]),
    (|s| s.wait_for_load = Duration::from_secs(10), &["wait_for_load (10s)", "lookup_timeout", "lower it"]),
    (|s| s.lookup_timeout = ZERO, &["lookup_timeout is 0ns", "set it"]),
    (|s| s.lookup_timeout = DAY, &["lookup_timeout", "set it"]),
    (|s| s.l2_timeout = ZERO, &["l2_timeout is 0ns", "set it"]),
    (|s| s.l2_timeout = Duration::MAX, &["l2_timeout", "set it"]),
    (|s| s.l2_timeout = Duration::from_secs(11), &["l2_timeout (11s)", "lookup_timeout", "lower it"]),
    (|s| s.load_timeout = Duration::from_micros(1), &["load_timeout is 1µs", "set it"]),
    (|s| s.load_timeout = DAY, &["load_timeout", "set it"]),
    (|s| s.wait_for_load = ZERO, &["wait_for_load is 0ns", "set it"]),
    (|s| s.wait_for_load = DAY, &["wait_for_load", "set it"]),
    (|s| s.brief_for = ZERO, &["brief_for is 0ns", "set it"]),
    (|s| s.brief_for = DAY, &["brief_for", "set it"]),
    (|s| s.refresh_retry_after = ZERO, &["refresh_retry_after is 0ns", "set it"]),
    (|s| s.refresh_retry_after = DAY, &["refresh_retry_after", "set it"]),
];

/// Every field of the settings has a value that is refused, on either side; any size may be compressed.
#[test]
fn every_wrong_setting_is_told_by_name() {
    for (spoil, words) in WRONG_SETTINGS {
        let mut settings = Settings::default();
        spoil(&mut settings);
        let error = build(settings, Freshness::default(), L1::capacity(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        says(error, words);
    }
    // The names come from the settings themselves, so that a field that is added without a check is missed here.
    let fields = fields(&Settings::default());
    assert!(fields.len() >= 13, "{fields:?}");
    for field in fields {
        let refused = WRONG_SETTINGS.iter().filter(|(_, words)| words[0].starts_with(&*field)).count();
        // Half a machine's memory or a single byte are both sizes from which one may compress.
        assert!(refused >= 2 || field == "compress_from_bytes", "{field} is refused in {refused} cases");
    }
    let mut any = Settings::default();
    for size in [None, Some(0), Some(usize::MAX)] {
        any.compress_from_bytes = size;
        build(any.clone(), Freshness::default(), L1::capacity(1)).unwrap();
    }
}

const WRONG_WRITES: &[Wrong<WriteSettings>] = &[
    (|s| s.floor_life = ZERO, &["floor_life is 0ns", "set it"]),
    (|s| s.floor_life = DAY, &["floor_life", "set it"]),
    (|s| s.l2_timeout = ZERO, &["l2_timeout is 0ns", "set it"]),
    (|s| s.l2_timeout = DAY, &["l2_timeout", "set it"]),
    (|s| s.max_batch = 0, &["max_batch is 0", "set it"]),
    (|s| s.max_batch = usize::MAX, &["max_batch", "set it"]),
    (|s| s.max_rows = 0, &["max_rows is 0", "set it"]),
    (|s| s.max_rows = usize::MAX, &["max_rows", "set it"]),
    (|s| s.max_undelivered = 0, &["max_undelivered is 0", "set it"]),
    (|s| s.max_undelivered = usize::MAX, &["max_undelivered", "set it"]),
    (|s| s.retry_first = ZERO, &["retry_first is 0ns", "set it"]),
    (|s| s.retry_first = DAY, &["retry_first", "set it"]),
    (|s| s.retry_first = Duration::from_secs(11), &["retry_first (11s)", "retry_most", "lower it"]),
    (|s| s.retry_most = ZERO, &["retry_most is 0ns", "set it"]),
    (|s| s.retry_most = DAY, &["retry_most", "set it"]),
    (|s| s.drain_for = ZERO, &["drain_for is 0ns", "set it"]),
    (|s| s.drain_for = DAY, &["drain_for", "set it"]),
];

/// Every field of the writes' settings has a value that is refused, on either side; and a floor that a load may outlive is
/// refused by each cache.
#[test]
fn every_wrong_setting_of_writes_is_told_by_name() {
    for (spoil, words) in WRONG_WRITES {
        let mut settings = WriteSettings::default();
        spoil(&mut settings);
        let error = Namespace::builder("shop").writes(settings).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        says(error, words);
    }
    // Whatever it is set to can be.
    for field in fields(&WriteSettings::default()).into_iter().filter(|field| &**field != "without_l2") {
        let refused = WRONG_WRITES.iter().filter(|(_, words)| words[0].starts_with(&*field)).count();
        // Either is a choice.
        assert!(refused >= 2 || field == "without_l2", "{field} is refused in {refused} cases");
    }
    let mut settings = WriteSettings::default();
    settings.floor_life = Duration::from_secs(6);
    let node = Namespace::builder("shop").writes(settings).build().unwrap();
    let shop = Shop::new(0);
    let error = node.cache().origin(shop.repository.films()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    says(error, &["floor_life", "(6s)", "raise it", "load_timeout"]);
    let layer = node.cache_layer::<String, String>("titles").build().unwrap_err();
    says(layer, &["floor_life", "(6s)", "raise it", "load_timeout"]);
}

const WRONG_FRESHNESS: &[Wrong<Freshness>] = &[
    (|f| f.fresh_for = ZERO, &["fresh_for is 0ns", "set it"]),
    (|f| f.fresh_for = 367 * DAY, &["fresh_for", "366 days", "set it lower"]),
    (|f| f.fresh_for = Duration::MAX, &["fresh_for", "set it lower"]),
    (|f| f.stale_for = 367 * DAY, &["stale_for", "set it lower"]),
    (|f| f.stale_for = Duration::from_millis(u64::MAX), &["stale_for", "set it lower"]),
    (|f| f.absent_for = ZERO, &["absent_for is 0ns", "set it"]),
    (|f| f.absent_for = Duration::MAX, &["absent_for", "set it lower"]),
    (|f| f.absent_for = DAY, &["absent_for", "longer than a row lives", "lower absent_for"]),
    (|f| f.jitter = 1.0, &["jitter is 1", "set it"]),
    (|f| f.jitter = -0.1, &["jitter is -0.1", "set it"]),
    (|f| f.jitter = f64::NAN, &["jitter is NaN", "set it"]),
    (|f| f.jitter = f64::INFINITY, &["jitter is inf", "set it"]),
];

/// Every field of the freshness has a value that is refused.
#[test]
fn every_wrong_life_is_told_by_name() {
    for (spoil, words) in WRONG_FRESHNESS {
        let mut freshness = Freshness::default();
        spoil(&mut freshness);
        let error = build(Settings::default(), freshness, L1::capacity(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        says(error, words);
    }
    for field in fields(&Freshness::default()) {
        assert!(WRONG_FRESHNESS.iter().any(|(_, words)| words[0].starts_with(&*field)), "{field}");
    }
    build(Settings::default(), Freshness::default().stale_for(ZERO), L1::capacity(1)).unwrap();
}

/// An L1 without room, with more than any memory, or without life.
#[test]
fn a_wrong_l1_is_told() {
    for (l1, words) in [
        (L1::capacity(0), ["L1's capacity is 0", "leave l1() out"]),
        (L1::weighed(0, |_| 1), ["L1's capacity is 0", "leave l1() out"]),
        (L1::capacity(u64::MAX), ["L1's capacity", "at most"]),
        (L1::capacity(1).life(ZERO), ["L1's life", "set it"]),
        (L1::capacity(1).life(Duration::MAX), ["L1's life", "set it"]),
    ] {
        let error = build(Settings::default(), Freshness::default(), l1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        says(error, &words);
    }
    build(Settings::default(), Freshness::default(), L1::weighed(u64::MAX, |_| 1)).unwrap();
    let shop = Shop::new(0);
    let lists = shop.node().cache().l1(L1::capacity(1)).l1_listed_pks(0).origin(shop.repository.films());
    lists.build().expect("no L1 for lists is no fault");
}

/// A namespace's name begins every key.
#[test]
fn a_wrong_namespace_is_told() {
    let long = "x".repeat(65);
    for name in ["", "a b", "a:b", "{a}", "é", "a\0", "*", &long] {
        let error = Namespace::builder(name).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        says(error, &["namespace", "name it with"]);
    }
    Namespace::builder("x".repeat(64)).build().unwrap();
    assert_eq!(Cache::<Film>::builder("").unwrap_err().kind(), ErrorKind::Invalid);
}

/// A schema that can't be.
#[test]
fn a_wrong_schema_is_told() {
    let good = || Schema::table("film").pk(["film_id"]).columns(["film_id", "title"]);
    good().check::<i32>().unwrap();
    for (wrong, words) in [
        (Schema::table("").pk(["a"]).columns(["a"]), ["\"\"", "is no identifier"]),
        (Schema::table("a\0b").pk(["a"]).columns(["a"]), ["NUL", "is no identifier"]),
        (good().in_schema(""), ["film", "is no identifier"]),
        (good().projection(""), ["film", "is no identifier"]),
        (good().pk([""]), ["film", "is no identifier"]),
        (good().columns([""]), ["film", "is no identifier"]),
        (good().column_as("rating", ""), ["film", "is no identifier"]),
        (good().pk(["a", "b"]), ["pk() names 2 columns", "make them agree"]),
        (good().pk(Vec::<String>::new()), ["pk() names 0 columns", "make them agree"]),
        (Schema::table("film").pk(["film_id"]), ["no columns", "columns()"]),
        (good().columns(["title"]), ["\"title\" stands twice in columns", "name it once"]),
    ] {
        let error = wrong.check::<i32>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        says(error, &words);
    }
    says(good().pk(["a", "a"]).check::<(i32, i32)>().unwrap_err(), &["stands twice in pk"]);
}

/// A query that can't be.
#[test]
fn a_wrong_query_is_told() {
    let list = || Query::<Film>::list("q");
    for (wrong, words) in [
        (Query::<Film>::list("").build(), ["\"\"", "no identifier"]),
        (list().limit(0).build(), ["limit is 0", "set it"]),
        (list().limit(100_001).build(), ["limit is 100001", "set it"]),
        (list().order_by("").build(), ["\"\"", "no identifier"]),
        (list().fixed("a\0", 1).build(), ["NUL", "no identifier"]),
        (list().fixed("a", 1).fixed("a", 2).build(), ["\"a\"", "filtered twice"]),
        (Query::<Film>::one("q").limit(2).build(), ["one()", "leave limit"]),
        (Query::<Film>::one("q").order_by("a").build(), ["one()", "leave limit"]),
    ] {
        says(wrong.unwrap_err(), &words);
    }
    says(list().param::<i32>("").build().unwrap_err(), &["no identifier"]);
    says(list().param::<i32>("a").param::<i32>("a").build().unwrap_err(), &["filtered twice"]);
    says(list().param::<i32>("a").fixed("a", 1).build().unwrap_err(), &["not both"]);
    let six = list().param::<i32>("a").param::<i32>("b").param::<i32>("c");
    let six = six.param::<i32>("d").param::<i32>("e").param::<i32>("f");
    let seven = list().param::<i32>("a").param::<i32>("b").param::<i32>("c");
    let seven = seven.param::<i32>("d").param::<i32>("e").param::<i32>("f").param::<i32>("g");
    six.build().unwrap();
    says(seven.build().unwrap_err(), &["at most 6"]);
    assert!(EachLayer::new(0).is_err());
}

/// A second cache of the same entity, a cache without an origin, and queries of an origin that answers none.
#[tokio::test(start_paused = true)]
async fn what_a_cache_lacks_or_has_twice_is_told() {
    let shop = Shop::new(1);
    let node = shop.node();
    let films = shop.films_of(&node);
    says(
        node.cache().origin(shop.repository.films()).build().unwrap_err(),
        &["has a cache of \"film\"", "clone"],
    );
    let titles: Cache<FilmTitle> = shop.titles_of(&node);
    says(node.cache().origin(shop.repository.titles()).build().unwrap_err(), &["projected as \"titles\""]);
    drop(films);
    let again = shop.films_of(&node);
    assert!(again.get(1).await.unwrap().is_some(), "the name is free once the first is dropped");
    drop(titles);
    says(shop.node().cache::<Film>().build().unwrap_err(), &["no origin", "set one"]);
    let rows_only = tierstack_core::origin_fn(|_: Vec<i32>| {
        std::future::ready(Ok::<Vec<(i32, Film)>, std::io::Error>(vec![]))
    });
    let films = shop.node().cache().origin(rows_only).build().unwrap();
    let error = films.list(&rated_pg()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    says(error, &["answers no queries", "with_queries"]);
}

/// Everything builds outside a runtime, and works in either flavour of one, built inside or out.
#[test]
fn it_builds_outside_a_runtime_and_works_in_either_flavour() {
    let outside =
        |origin| Cache::<Film>::builder("shop").unwrap().l1(L1::capacity(10)).origin(origin).build().unwrap();
    let repository = tests::Repository::new([tests::film(1)]);
    let current = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for runtime in [current, multi] {
        let films = outside(repository.films());
        let bound: Bound<Film> = rated_pg();
        runtime.block_on(async {
            assert!(films.get(1).await.unwrap().is_some());
            assert_eq!(films.list(&bound).await.unwrap().len(), 1);
            let inside = outside(repository.films());
            let task = tokio::spawn(async move { inside.get(1).await.unwrap().is_some() });
            assert!(task.await.unwrap());
            films.namespace().shutdown().await;
        });
        drop(runtime);
        let clock = ManualClock::new();
        assert!(
            clock.clock().coarse() > tierstack_core::Moment::from_nanos(0),
            "a clock needs no runtime either"
        );
    }
}

/// The names of a struct's fields, as it is written.
fn fields(of: &impl Serialize) -> Vec<String> {
    let written = rmp_serde::to_vec_named(of).unwrap();
    rmp_serde::from_slice::<BTreeMap<String, IgnoredAny>>(&written).unwrap().into_keys().collect()
}
