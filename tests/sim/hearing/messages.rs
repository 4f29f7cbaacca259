//! What is told, and what a node that hears does about it.

use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{Keep, Level, Lookup, Message};

use super::rig::{Rig, pass, source, stats, version};
use crate::shop::{look, rated_pg, settle};

/// What one node invalidates, the other's L1 no longer answers, as soon as it has heard; nothing else is dropped.
#[tokio::test(start_paused = true)]
async fn a_write_on_one_node_is_heard_by_the_other() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    there.get(2).await.unwrap();
    rig.write(&here, 1, 1).await;
    settle().await;
    assert_eq!(version(&there, 1).await, (1, Level::Origin));
    assert_eq!(version(&here, 1).await, (1, Level::L2));
    assert_eq!(source(&there, 2).await, Level::L1);
    assert_eq!(stats(&there).keys, 2, "the row, and what lists rest on");
}

/// C1: it is told also where L2 held nothing, or had seen the write already.
#[tokio::test(start_paused = true)]
async fn a_write_is_heard_of_though_l2_holds_nothing() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    rig.tier.memory().clear();
    rig.write(&here, 1, 1).await;
    settle().await;
    assert_eq!(version(&there, 1).await, (1, Level::Origin));
}

/// Lists, secondary keys and projections are dropped with any row's invalidation.
#[tokio::test(start_paused = true)]
async fn what_is_derived_is_dropped_too() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    let pks = there.pks(&rated_pg()).await.unwrap();
    assert_eq!(there.pks(&rated_pg()).await.unwrap(), pks);
    let hits = there.stats().l1.total();
    rig.repository.remove(2);
    here.invalidate([2]).await.unwrap();
    settle().await;
    assert_ne!(there.pks(&rated_pg()).await.unwrap(), pks);
    assert_eq!(there.stats().l1.total(), hits, "by no hit in L1");
}

/// Everything of an entity: told as the record that all its rows rest on.
#[tokio::test(start_paused = true)]
async fn a_whole_entity_is_dropped_at_once() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    there.get(2).await.unwrap();
    rig.tier.say(&Message::Invalidated(vec![("shop:film:!all".into(), None)]));
    settle().await;
    assert_eq!((source(&there, 1).await, source(&there, 2).await), (Level::L2, Level::L2));
    assert_eq!((source(&there, 1).await, source(&there, 2).await), (Level::L1, Level::L1));
}

/// An entry that bears the token of the message is what L2 has held since: it stays. With any other, or none, it goes.
#[tokio::test(start_paused = true)]
async fn an_entry_that_bears_the_token_is_kept() {
    let rig = Rig::new();
    let [_, there] = rig.two().await;
    let token = look(&there, Lookup::one(1)).await.unwrap().unwrap().meta.token;
    let key: Box<str> = there.key_text(1).unwrap().into();
    rig.tier.say(&Message::Invalidated(vec![(key.clone(), Some(token))]));
    settle().await;
    assert_eq!(source(&there, 1).await, Level::L1);
    for other in [None, Some(tierstack_core::Token::from_bytes([9; 16]))] {
        rig.tier.say(&Message::Invalidated(vec![(key.clone(), other)]));
        settle().await;
        assert_eq!((source(&there, 1).await, source(&there, 1).await), (Level::L2, Level::L1), "{other:?}");
    }
}

/// A message that comes twice, or late, or about no entity of ours, costs a miss at most.
#[tokio::test(start_paused = true)]
async fn repeated_and_foreign_messages_do_no_harm() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    rig.write(&here, 1, 1).await;
    settle().await;
    assert_eq!(version(&there, 1).await.0, 1);
    let late = |key: &str| Message::Invalidated(vec![(key.into(), None)]);
    for key in
        ["shop:film:film_id=1", "shop:film:film_id=", "shop:film:", "", "other:film:film_id=1", "\u{0}"]
    {
        rig.tier.say(&late(key));
        rig.tier.say(&late(key));
    }
    rig.tier.say(&Message::Invalidated(vec![]));
    settle().await;
    assert_eq!(version(&there, 1).await, (1, Level::L2));
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, 1));
}

/// C17: a caller that asks after an invalidation was heard doesn't join a load that began before it, and what that brings is
/// not kept.
#[tokio::test(start_paused = true)]
async fn a_flight_under_way_is_detached_by_what_is_heard() {
    let rig = Rig::new();
    let [here, there] = rig.two().await;
    rig.repository.hold_loads();
    let ask = |id| {
        let there = there.clone();
        tokio::spawn(async move { there.get(id).await.unwrap().unwrap().version })
    };
    let before = ask(5);
    while rig.repository.loads() < 2 {
        tokio::task::yield_now().await;
    }
    rig.write(&here, 5, 1).await;
    settle().await;
    let after = ask(5);
    pass(Duration::from_millis(50)).await;
    rig.repository.release_loads();
    assert_eq!((before.await.unwrap(), after.await.unwrap()), (0, 1));
    assert_eq!(version(&there, 5).await.0, 1);
}

/// C2: what a load brought whose fill was refused is never kept for the life of an entry, though the message came before the
/// load was asked for.
#[tokio::test(start_paused = true)]
async fn a_refused_fill_is_kept_briefly_only() {
    let rig = Rig::new();
    let films = rig.films();
    films.get(1).await.unwrap();
    rig.repository.hold_loads();
    let asked = tokio::spawn({
        let films = films.clone();
        async move { look(&films, Lookup::one(5)).await.unwrap().unwrap() }
    });
    while rig.repository.loads() < 2 {
        tokio::task::yield_now().await;
    }
    // The row is written, and the fill refused: the floor was lost.
    rig.repository.put(Film { version: 1, ..film(5) });
    rig.tier.memory().clear();
    rig.repository.release_loads();
    let old = asked.await.unwrap();
    assert!(matches!(old.keep, Keep::BriefSince(_)), "{:?}", old.keep);
    assert_eq!(version(&films, 5).await, (0, Level::L1), "as after a read that took as long");
    pass(Duration::from_millis(1_001)).await;
    assert_eq!(version(&films, 5).await.0, 1);
}
