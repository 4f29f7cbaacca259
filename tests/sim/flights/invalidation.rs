//! After an invalidation returned, nobody joins what began before it.

use std::time::Duration;

use tests::End;
use tokio::time::Instant;

use super::rig::{Shape, ask, ask_all, hold, in_every_stack, is_after, pass, poll_once, row};
use crate::shop::rated_pg;

/// A caller that comes after an invalidation loads anew. The older load answers those that waited for it, and leaves
/// nothing in any tier.
#[test]
fn a_new_caller_does_not_join_a_load_from_before() {
    in_every_stack(async |rig| {
        rig.origin.next(1, [End::Value.after(100)]);
        let films = rig.films();
        let (first, follower) = (ask(&films, 1), ask(&films, 1));
        pass(10).await;
        rig.origin.write(1);
        films.invalidate([1]).await.unwrap();
        let began = Instant::now();
        assert_eq!(row(ask(&films, 1)).await.version, 1);
        is_after(began, 0);
        assert_eq!((row(first).await.version, row(follower).await.version), (0, 0), "they asked before");
        is_after(began, 90);
        assert_eq!(row(ask(&films, 1)).await.version, 1);
        assert_eq!(rig.origin.loads_of(1), 2, "the newer load is in the tiers");
        if rig.shape != Shape::NoL2 {
            assert_eq!(row(ask(&rig.films(), 1)).await.version, 1);
            assert_eq!(rig.origin.loads_of(1), 2, "on every node");
        }
    });
}

/// A load that an invalidation overtook is stored nowhere, though nobody else loads the key meanwhile.
#[test]
fn an_overtaken_load_is_stored_nowhere() {
    in_every_stack(async |rig| {
        rig.origin.next(1, [End::Value.after(100)]);
        let films = rig.films();
        let first = ask(&films, 1);
        pass(10).await;
        rig.origin.write(1);
        films.invalidate([1]).await.unwrap();
        assert_eq!(row(first).await.version, 0);
        assert_eq!(row(ask(&films, 1)).await.version, 1);
        assert_eq!(rig.origin.loads_of(1), 2);
    });
}

/// Nor does a new caller join a read of L2 that began before: what it will bring is the row from before.
#[test]
fn a_new_caller_does_not_join_a_read_from_before() {
    in_every_stack(async |rig| {
        if rig.shape == Shape::NoL2 {
            return;
        }
        rig.films().get(1).await.unwrap();
        let films = rig.films();
        rig.tier.set_read_delay(Duration::from_millis(100));
        let first = ask(&films, 1);
        pass(10).await;
        rig.tier.set_read_delay(Duration::ZERO);
        rig.origin.write(1);
        films.invalidate([1]).await.unwrap();
        assert_eq!(row(ask(&films, 1)).await.version, 1);
        row(first).await;
        assert_eq!(row(ask(&films, 1)).await.version, 1, "what was read before is not kept");
    });
}

/// A key asked before an invalidation and after it, both before anything was loaded, may be loaded at once for both, but is
/// never asked twice in one load: the loader is given distinct keys.
#[test]
fn a_key_that_is_led_twice_is_asked_once_in_a_load() {
    in_every_stack(async |rig| {
        let films = rig.films();
        let mut before = hold(&films, 1);
        assert!(poll_once(&mut before).is_pending());
        films.invalidate([1]).await.unwrap();
        let after = ask(&films, 1);
        assert_eq!(before.await.unwrap().unwrap().film_id, 1);
        assert_eq!(row(after).await.film_id, 1);
        assert!(rig.origin.log().iter().all(|load| load.keys == [1]), "{:?}", rig.origin.log());
    });
}

/// An invalidation concerns its keys: a batch's other keys are followed still.
#[test]
fn other_keys_of_the_same_load_are_followed_still() {
    in_every_stack(async |rig| {
        rig.origin.next(1, [End::Value.after(100)]);
        let films = rig.films();
        let both = ask_all(&films, [1, 2]);
        pass(10).await;
        films.invalidate([1]).await.unwrap();
        let began = Instant::now();
        row(ask(&films, 2)).await;
        is_after(began, 90);
        both.await.unwrap().unwrap();
        row(ask(&films, 1)).await;
        row(ask(&films, 2)).await;
        assert_eq!((rig.origin.loads_of(1), rig.origin.loads_of(2)), (2, 1));
    });
}

/// A list asked after an invalidation of any row is not the one whose load began before it.
#[test]
fn a_new_caller_does_not_join_a_list_from_before() {
    in_every_stack(async |rig| {
        let lists = || rig.origin.log().iter().filter(|load| load.queries > 0).count();
        rig.origin.next(tests::QUERIES, [End::Value.after(100)]);
        let films = rig.films();
        let list = || {
            let films = films.clone();
            tokio::spawn(async move { films.list(&rated_pg()).await })
        };
        let before = [list(), list()];
        pass(10).await;
        films.invalidate([9]).await.unwrap();
        assert_eq!(list().await.unwrap().unwrap().len(), 3);
        assert_eq!(lists(), 2, "though it may have waited for the first one to end");
        for list in before {
            assert_eq!(list.await.unwrap().unwrap().len(), 3, "they asked before");
        }
        films.list(&rated_pg()).await.unwrap();
        assert_eq!(lists(), 2, "the newer one is in the tiers");
    });
}
