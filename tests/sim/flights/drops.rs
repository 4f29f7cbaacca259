//! Callers that go away: at whatever poll, it costs nobody anything.

use tests::{End, Film};
use tierstack_core::{Cache, Lookup};
use tokio::time::Instant;

use super::rig::{Held, ask, hold, in_every_stack, is_after, pass, poll_once, row};

/// A caller of key 7 that is held.
type Caller = fn(&Cache<Film>) -> Held<()>;

const CALLERS: [(&str, Caller); 3] = [
    ("get", |films| {
        let found = hold(films, 7);
        Box::pin(async move { drop(found.await) })
    }),
    ("objects_by_pks", |films| {
        let films = films.clone();
        Box::pin(async move { drop(films.objects_by_pks([6, 7]).await) })
    }),
    ("lookup", |films| {
        let films = films.clone();
        Box::pin(async move { drop(films.lookup(Lookup::batch([7, 8]).skip_l1()).await) })
    }),
];

/// The first caller is dropped after any number of polls: the load goes on, whoever follows gets its row when it is there,
/// and each key was loaded once.
#[test]
fn a_first_caller_dropped_at_any_poll_costs_its_follower_nothing() {
    for (name, caller) in CALLERS {
        in_every_stack(async |rig| {
            for polls in 0.. {
                println!("{name}, dropped after {polls} polls");
                let began = Instant::now();
                let (ready, films, loads) = drop_after(&rig, caller, polls).await;
                if ready {
                    assert!(polls > 2, "it was dropped while it waited");
                    break;
                }
                let gone_at = began.elapsed().as_millis() as u64;
                row(ask(&films, 7)).await;
                is_after(began, gone_at.max(35));
                for key in 6..=8 {
                    row(ask(&films, key)).await;
                    assert_eq!(rig.origin.loads_of(key), loads + 1, "key {key}");
                }
            }
        });
    }
}

/// Dropped with nobody following: the load ends all the same, and what it found is in the tiers for the next caller.
#[test]
fn a_load_without_any_caller_left_serves_the_next_one() {
    for (name, caller) in CALLERS {
        in_every_stack(async |rig| {
            for polls in 1.. {
                println!("{name}, dropped after {polls} polls");
                let (ready, films, loads) = drop_after(&rig, caller, polls).await;
                if ready {
                    break;
                }
                pass(60).await;
                let began = Instant::now();
                assert_eq!(rig.origin.loads_of(7), loads + 1, "it was loaded before anybody asked again");
                row(ask(&films, 7)).await;
                is_after(began, 0);
                assert_eq!(rig.origin.loads_of(7), loads + 1);
            }
        });
    }
}

/// Polls a caller of a cold node that often, or until it is ready, 5 ms apart, and drops it; its load takes 35 ms. Says
/// whether it was ready, and how many loads of key 7 there were before.
async fn drop_after(rig: &super::rig::Rig, caller: Caller, polls: usize) -> (bool, Cache<Film>, usize) {
    rig.tier.memory().clear();
    rig.origin.always(End::Value.after(0));
    for key in 6..=8 {
        rig.origin.next(key, [End::Value.after(35)]);
    }
    let (films, loads) = (rig.films(), rig.origin.loads_of(7));
    let mut dropped = caller(&films);
    let mut ready = false;
    for _ in 0..polls {
        ready = poll_once(&mut dropped).is_ready();
        if ready {
            break;
        }
        pass(5).await;
    }
    (ready, films, loads)
}

/// A follower is dropped after any number of polls: the first caller doesn't notice.
#[test]
fn a_follower_dropped_at_any_poll_disturbs_nobody() {
    for (name, caller) in CALLERS {
        in_every_stack(async |rig| {
            for polls in 0..12 {
                println!("{name}, dropped after {polls} polls");
                rig.tier.memory().clear();
                rig.origin.always(End::Value.after(35));
                let (films, loads) = (rig.films(), rig.origin.loads_of(7));
                let began = Instant::now();
                let (first, other) = (ask(&films, 7), ask(&films, 7));
                pass(1).await;
                let mut dropped = caller(&films);
                for _ in 0..polls {
                    if poll_once(&mut dropped).is_ready() {
                        break;
                    }
                    pass(1).await;
                }
                drop(dropped);
                let (first, other) = (row(first).await, row(other).await);
                is_after(began, 35);
                assert!(std::sync::Arc::ptr_eq(&first, &other));
                assert_eq!(rig.origin.loads_of(7), loads + 1);
            }
        });
    }
}
