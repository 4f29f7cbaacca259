//! The table of names, beside what is emitted.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::FilmTitle;
use tests_telemetry::Memory;
use tierstack::otel::Keys;
use tierstack::{L1, Lookup, origin_fn};

use crate::rig::{Rig, settle};

const PAGE: &str = include_str!("../../../docs/telemetry.md");

/// The first column of the tables.
fn documented() -> BTreeSet<String> {
    let rows =
        PAGE.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// Everything that can be emitted is, here; and all of it stands in the table, and nothing else does.
#[tokio::test(start_paused = true)]
async fn the_table_of_names_is_what_is_emitted() {
    let rig = Rig { keys: Keys::Plain, ..Rig::new(Memory::new()) };
    let node = rig.node();
    let films = rig.films_of(&node);
    let titles =
        node.cache::<FilmTitle>().l1(L1::capacity(10)).origin(origin_fn(|keys: Vec<i32>| async move {
            let titles =
                keys.into_iter().map(|film_id| (film_id, FilmTitle { film_id, title: String::new() }));
            Ok::<_, std::io::Error>(titles.collect())
        }));
    titles.build().unwrap().get(1).await.unwrap();
    films.objects_by_pks([1, 2, 100]).await.unwrap();
    for _ in 0..2_000 {
        films.get(1).await.unwrap();
    }
    films.lookup(Lookup::one(5).never_load()).await.unwrap();
    rig.manual.advance(Duration::from_secs(61));
    films.get(1).await.unwrap();
    settle().await;
    rig.rows.set_failing(true);
    films.get(3).await.unwrap_err();
    rig.rows.set_failing(false);
    let write = films.begin_write([1], Duration::from_secs(1)).await.unwrap();
    write.commit().await.unwrap();
    films.invalidate([1]).await.unwrap();
    // Another node loads what this one wants.
    rig.rows.gate().shut();
    let (held, waiting) = (rig.films(), films.clone());
    let held = tokio::spawn(async move { held.get(9).await });
    settle().await;
    let waits = tokio::spawn(async move { waiting.get(9).await });
    settle().await;
    rig.rows.gate().open();
    held.await.unwrap().unwrap();
    waits.await.unwrap().unwrap();
    settle().await;

    let spans = rig.memory.spans();
    let (_, mut emitted, attributes) = rig.memory.metrics();
    emitted.extend(attributes);
    for span in &spans.0 {
        // The others are named after what is asked of L2, as an attribute says.
        emitted.extend(Some(span.name.clone()).filter(|_| span.get("cache.request").is_empty()));
        emitted.extend(span.attributes.keys().cloned());
    }
    let documented = documented();
    let missing: Vec<_> = emitted.difference(&documented).collect();
    let unseen: Vec<_> = documented.difference(&emitted).collect();
    assert!(
        missing.is_empty() && unseen.is_empty(),
        "not in the table: {missing:?}; not emitted: {unseen:?}"
    );
}

/// Each key that was asked for ends in exactly one outcome.
#[tokio::test(start_paused = true)]
async fn every_key_ends_in_one_outcome() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    films.objects_by_pks([1, 2, 100]).await.unwrap();
    films.objects_by_pks([1, 2, 100]).await.unwrap();
    films.lookup(Lookup::batch([1, 2]).skip_l1()).await.unwrap();
    films.lookup(Lookup::one(3).skip_l2()).await.unwrap();
    films.lookup(Lookup::one(4).never_load()).await.unwrap();
    rig.rows.set_failing(true);
    films.get(5).await.unwrap_err();
    rig.manual.advance(Duration::from_secs(61));
    films.get(1).await.unwrap();
    let (sums, ..) = rig.memory.metrics();
    let told = |tier: &str, outcome: &str| -> u64 {
        let is = |labels: &std::collections::BTreeMap<String, String>| {
            labels["cache.tier"] == tier && labels["cache.outcome"] == outcome
        };
        sums.iter()
            .filter(|((name, labels), _)| name == "cache.lookups" && is(labels))
            .map(|(_, sum)| sum)
            .sum()
    };
    assert_eq!((told("origin", "miss"), told("origin", "absent"), told("origin", "bypass")), (2, 1, 1));
    assert_eq!(
        (told("l1", "hit"), told("l1", "absent"), told("l1", "stale"), told("l2", "hit")),
        (2, 1, 1, 2)
    );
    assert_eq!((told("none", "miss"), told("none", "error")), (1, 1));
    let all: u64 = sums.iter().filter(|((name, _), _)| name == "cache.lookups").map(|(_, sum)| sum).sum();
    assert_eq!(all, 12);
    // A cache that is dropped is reported no more.
    drop(films);
    assert!(rig.memory.metrics().0.keys().all(|(name, _)| name != "cache.lookups"));
}
