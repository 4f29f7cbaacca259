//! What is recorded of whom.

use std::time::Duration;

use opentelemetry::trace::FutureExt;
use opentelemetry_sdk::trace::Sampler;
use tests_telemetry::Memory;
use tierstack::Lookup;

use crate::rig::{Rig, nobody, settle};

/// Of a caller who is not sampled nothing is: neither what is done for him elsewhere nor the refresh that he caused.
#[tokio::test(start_paused = true)]
async fn a_caller_who_is_not_sampled_leaves_no_span() {
    let rig = Rig::new(Memory::sampling(Sampler::AlwaysOff));
    let films = rig.films();
    let other = Memory::new();
    for _ in 0..2 {
        rig.within("dropped", films.get(7)).await.unwrap().unwrap();
        rig.within("dropped", films.objects_by_pks([7, 8])).await.unwrap();
        rig.manual.advance(Duration::from_secs(61));
        rig.within("dropped", films.get(7)).await.unwrap().unwrap();
        rig.within("dropped", films.invalidate([7])).await.unwrap();
        settle().await;
    }
    assert!(rig.memory.spans().0.is_empty());
    // The sampler that decides is the application's, whoever makes the spans.
    let sampled = Rig { memory: other, ..rig };
    let films = sampled.films();
    let dropped = Memory::sampling(Sampler::AlwaysOff).caller("dropped");
    films.get(9).with_context(dropped.clone()).await.unwrap().unwrap();
    sampled.manual.advance(Duration::from_secs(61));
    films.get(9).with_context(dropped).await.unwrap().unwrap();
    settle().await;
    let spans = sampled.memory.spans();
    assert!(spans.0.is_empty(), "{spans}");
}

/// Without a caller's span a miss is a trace of its own; a hit in L1 is none, by whatever call.
#[tokio::test(start_paused = true)]
async fn a_hit_of_nobody_is_no_span() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    films.get(7).with_context(nobody()).await.unwrap().unwrap();
    settle().await;
    let spans = rig.memory.spans();
    assert!(spans.one("cache.lookup").parent.is_empty());
    assert!(spans.one("cache.round").is_in(spans.one("cache.lookup")));
    films.get(7).await.unwrap().unwrap();
    films.objects_by_pks([7]).await.unwrap();
    films.lookup(Lookup::one(7)).await.unwrap();
    let spans = rig.memory.spans();
    assert!(spans.0.is_empty(), "{spans}");
    films.lookup(Lookup::one(7).skip_l1()).await.unwrap();
    assert_eq!(rig.memory.spans().one("cache.lookup").get("cache.tier"), "l2");
}

/// What serves several is part of the first of them whose caller is sampled, though another came first: a round, and a load.
#[tokio::test(start_paused = true)]
async fn what_is_shared_is_part_of_the_first_that_is_sampled() {
    let rig = Rig::new(Memory::new());
    let films = rig.films();
    let dropped = Memory::sampling(Sampler::AlwaysOff).caller("dropped");
    let one = films.get(1).with_context(dropped.clone());
    let (one, two, three) =
        tokio::join!(one, rig.within("two", films.get(2)), rig.within("three", films.get(3)));
    assert!(one.unwrap().is_some() && two.unwrap().is_some() && three.unwrap().is_some());
    settle().await;
    let spans = rig.memory.spans();
    let round = spans.one("cache.round");
    let lookup = |caller: &str| spans.children(spans.one(caller))[0];
    assert!(round.is_in(lookup("two")) && round.get("cache.batch.size") == "3", "{spans}");
    assert!(lookup("three").leads_to(round) && spans.one("cache.load").is_in(round), "{spans}");
    assert_eq!(spans.named("cache.lookup").len(), 2);

    // The first load goes alone; those of the other two, each of a round of its own, are one.
    rig.rows.gate().shut();
    let callers = [dropped.clone(), dropped, rig.memory.caller("six")];
    let mut finds = Vec::new();
    for (key, caller) in (4..).zip(callers) {
        let films = films.clone();
        finds.push(tokio::spawn(async move { films.get(key).await }.with_context(caller)));
        settle().await;
    }
    rig.rows.gate().open();
    for found in finds {
        assert!(found.await.unwrap().unwrap().is_some());
    }
    settle().await;
    let spans = rig.memory.spans();
    let load = spans.one("cache.load");
    assert!(load.is_in(spans.one("cache.round")) && load.get("cache.batch.size") == "2", "{spans}");
}
