//! The tree of a lookup, and what is linked.

use std::time::Duration;

use opentelemetry::trace::FutureExt;
use tests_telemetry::{Memory, Seen, Spans};
use tierstack::otel::Keys;
use tierstack::{ErrorKind, Lookup};
use tokio::join;
use tracing::Instrument;

use crate::rig::{Rig, settle};

fn names(of: Vec<&Seen>) -> Vec<String> {
    let request = |span: &Seen| match span.get("cache.request") {
        "" => span.name.clone(),
        request => format!("{} ({request})", span.name),
    };
    of.into_iter().map(request).collect()
}

fn lookup<'a>(spans: &'a Spans, caller: &str) -> &'a Seen {
    let found = spans.children(spans.one(caller));
    assert_eq!(names(found.clone()), ["cache.lookup"], "of:\n{spans}");
    found[0]
}

/// A cold key: all that was done for it is below the span of whoever asked, though it was done in tasks of their own. Warm,
/// it is a span without children.
#[tokio::test(start_paused = true)]
async fn what_is_done_for_a_lookup_is_part_of_it() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    rig.within("request", films.get(7)).await.unwrap().unwrap();
    settle().await;
    let spans = rig.memory.spans();
    let found = lookup(&spans, "request");
    assert_eq!((found.get("cache.outcome"), found.get("cache.tier")), ("miss", "origin"));
    assert_eq!((found.get("cache.namespace"), found.get("cache.entity")), ("shop", "film"));
    assert_eq!(names(spans.children(found)), ["cache.round"]);
    let round = spans.one("cache.round");
    let expected = ["MGET (read)", "EVALSHA (lease)", "cache.load", "EVALSHA (fill)"];
    assert_eq!(names(spans.children(round)), expected);
    assert_eq!(spans.named("EVALSHA")[1].get("cache.fill.result"), "ok");
    let load = spans.one("cache.load");
    assert_eq!((load.get("db.system.name"), load.get("db.collection.name")), ("postgresql", "film"));
    assert!(load.is_client && spans.one("MGET").is_client && !round.is_client);
    assert!(spans.0.iter().all(|span| !span.failed && span.links.is_empty()), "{spans}");

    rig.within("warm", films.get(7)).await.unwrap().unwrap();
    let spans = rig.memory.spans();
    let warm = lookup(&spans, "warm");
    assert_eq!((warm.get("cache.outcome"), warm.get("cache.tier")), ("hit", "l1"));
    assert_eq!(spans.0.len(), 2);
}

/// Of two callers of one key, the second follows: his lookup is linked to the round that the first one's is part of. Of two
/// callers of two keys who ask at once, one round serves both, and the second one's lookup is linked to it.
#[tokio::test(start_paused = true)]
async fn who_is_served_by_anothers_round_is_linked_to_it() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    rig.rows.gate().shut();
    let first = rig.within("first", films.get(1));
    let later = async {
        settle().await;
        let found = rig.within("second", films.get(1));
        let open = async {
            settle().await;
            rig.rows.gate().open();
        };
        join!(found, open).0
    };
    let (first, second) = join!(first, later);
    assert_eq!((first.unwrap().unwrap().film_id, second.unwrap().unwrap().film_id), (1, 1));
    let spans = rig.memory.spans();
    let round = spans.one("cache.round");
    assert!(round.is_in(lookup(&spans, "first")));
    let second = lookup(&spans, "second");
    assert!(second.leads_to(round) && spans.children(second).is_empty(), "{spans}");

    let (two, three) = join!(rig.within("two", films.get(2)), rig.within("three", films.get(3)));
    assert!(two.unwrap().is_some() && three.unwrap().is_some());
    settle().await;
    let spans = rig.memory.spans();
    let round = spans.one("cache.round");
    assert!(round.is_in(lookup(&spans, "two")) && lookup(&spans, "three").leads_to(round), "{spans}");
    assert_eq!((round.get("cache.batch.size"), lookup(&spans, "two").links.len()), ("2", 0));
}

/// Two rounds whose loads are one: it is part of the first, and the second is linked to it.
#[tokio::test(start_paused = true)]
async fn a_merged_load_is_linked_to_by_the_rounds_that_share_it() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    rig.rows.gate().shut();
    let mut finds = Vec::new();
    for (key, caller) in [(1, "one"), (2, "two"), (3, "three")] {
        let (films, caller) = (films.clone(), rig.memory.caller(caller));
        finds.push(tokio::spawn(async move { films.get(key).await }.with_context(caller)));
        settle().await;
    }
    rig.rows.gate().open();
    for found in finds {
        assert!(found.await.unwrap().unwrap().is_some());
    }
    settle().await;
    let spans = rig.memory.spans();
    let (rounds, loads) = (spans.named("cache.round"), spans.named("cache.load"));
    assert_eq!((rounds.len(), loads.len()), (3, 2), "the first goes alone, the others together:\n{spans}");
    let merged = loads.iter().find(|load| load.get("cache.batch.size") == "2").unwrap();
    let parts: Vec<_> = rounds.iter().filter(|round| merged.is_in(round)).collect();
    let linked: Vec<_> = rounds.iter().filter(|round| round.leads_to(merged)).collect();
    assert_eq!((parts.len(), linked.len()), (1, 1), "{spans}");
}

/// A refresh is a trace of its own, linked to the lookup that was answered with the stale row.
#[tokio::test(start_paused = true)]
async fn a_refresh_is_linked_to_its_cause() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    rig.within("cold", films.get(7)).await.unwrap().unwrap();
    drop(rig.memory.spans());
    rig.manual.advance(Duration::from_secs(61));
    rig.within("stale", films.get(7)).await.unwrap().unwrap();
    settle().await;
    let spans = rig.memory.spans();
    let cause = lookup(&spans, "stale");
    assert_eq!(cause.get("cache.outcome"), "stale");
    let refresh = spans.one("cache.refresh");
    assert!(refresh.parent.is_empty() && refresh.id.0 != cause.id.0 && refresh.leads_to(cause), "{spans}");
    assert!(spans.one("cache.round").is_in(refresh));
    assert!(spans.one("cache.load").is_in(spans.one("cache.round")));
}

/// One who uses `tracing`: his span is the parent of the lookup, and what his loader records is part of the load, in
/// whatever task that runs.
#[tokio::test(start_paused = true)]
async fn users_of_tracing_get_the_same() {
    let rig = Rig::new(Memory::new());
    let _bridge = rig.bridge();
    let films = rig.films();
    films.get(7).instrument(tracing::info_span!("handler")).await.unwrap().unwrap();
    settle().await;
    let spans = rig.memory.spans();
    let found = lookup(&spans, "handler");
    assert!(spans.one("cache.round").is_in(found));
    assert!(spans.one("query").is_in(spans.one("cache.load")), "{spans}");
}

/// A load of which one key fails is one that failed, though the other is answered; and so is the lookup.
#[tokio::test(start_paused = true)]
async fn a_key_that_fails_shows_in_its_load() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    let outcomes = rig.within("torn", films.objects_by_pks([7, -1])).await.unwrap_err().into_outcomes();
    assert!(outcomes[0].is_ok() && outcomes[1].is_err());
    settle().await;
    let spans = rig.memory.spans();
    for span in [lookup(&spans, "torn"), spans.one("cache.load")] {
        assert_eq!((span.failed, span.get("error.type")), (true, "origin"), "{spans}");
    }
}

/// What fails is an error with its kind, from the load up; a key that waits for another node is a wait.
#[tokio::test(start_paused = true)]
async fn failures_and_waits_are_shown() {
    let rig = Rig::new(Memory::new());
    rig.rows.set_failing(true);
    let films = rig.films();
    let error = rig.within("failing", films.get(7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    settle().await;
    let spans = rig.memory.spans();
    let found = lookup(&spans, "failing");
    assert_eq!((found.get("cache.outcome"), found.get("error.type")), ("error", "origin"));
    assert!(found.failed && spans.one("cache.load").failed, "{spans}");

    rig.rows.set_failing(false);
    rig.rows.gate().shut();
    let (holder, other) = (rig.films(), rig.films());
    let held = tokio::spawn(async move { holder.get(8).await });
    settle().await;
    let open = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rig.rows.gate().open();
    };
    let (found, ()) = join!(rig.within("waiting", other.get(8)), open);
    assert!(found.unwrap().is_some() && held.await.unwrap().unwrap().is_some());
    let spans = rig.memory.spans();
    let wait = spans.one("cache.wait");
    let round = spans.children(lookup(&spans, "waiting"))[0];
    assert!(wait.is_in(round) && spans.children(wait).iter().all(|read| read.name == "MGET"), "{spans}");
}

/// An invalidation is a span of its caller's, with the request that tells L2.
#[tokio::test(start_paused = true)]
async fn an_invalidation_is_part_of_whoever_makes_it() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    rig.within("write", films.invalidate([1, 2])).await.unwrap();
    let spans = rig.memory.spans();
    let invalidate = spans.one("cache.invalidate");
    assert!(invalidate.is_in(spans.one("write")));
    assert_eq!(names(spans.children(invalidate)), ["EVALSHA (invalidate)"]);
}

/// Keys are left out, hashed or plain, as the application says; values are never there.
#[tokio::test(start_paused = true)]
async fn keys_are_shown_as_the_settings_say_and_values_never() {
    for (keys, shown) in [
        (Keys::LeftOut, ""),
        (Keys::Hashed, "[\"42ec29dc792206c8\"]"),
        (Keys::Plain, "[\"shop:film:film_id=7\"]"),
    ] {
        let rig = Rig { keys, ..Rig::new(Memory::new()) };
        let films = rig.films();
        for _ in 0..2 {
            rig.within("request", films.lookup(Lookup::one(7))).await.unwrap();
        }
        settle().await;
        let spans = rig.memory.spans();
        assert!(spans.named("cache.lookup").iter().all(|found| found.get("cache.keys") == shown), "{spans}");
        let title = films.get(7).await.unwrap().unwrap().title.clone();
        assert!(!spans.to_string().contains(&title));
    }
}
