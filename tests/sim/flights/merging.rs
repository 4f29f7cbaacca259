//! Many callers of different keys at once cost few requests, and a lone one waits for nobody.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::{End, Film};
use tierstack_core::Cache;
use tokio::time::Instant;

use super::rig::{Found, Rig, Shape, ask, ask_all, in_every_stack, is_after, on_two_threads, pass, row};
use crate::shop::by_title;

const CALLERS: i32 = 1_000;

/// Each key was loaded once, in few loads, after few reads of L2.
fn few(rig: &Rig) {
    let log = rig.origin.log();
    let mut keys: Vec<i32> = log.iter().flat_map(|load| load.keys.clone()).collect();
    keys.sort_unstable();
    assert_eq!(keys, Vec::from_iter(1..=CALLERS));
    assert!(log.len() <= 10, "{} loads", log.len());
    assert!(rig.tier.reads().len() <= 10, "reads of {:?} keys", rig.tier.reads());
}

/// A thousand tasks that each want a cold key of their own cost at most ten loads and ten reads of L2; and, once L2 holds
/// them, ten reads and no load.
#[test]
fn callers_of_different_keys_share_requests() {
    in_every_stack(async |rig| {
        let began = Instant::now();
        for times in 1..=2 {
            let films = rig.films();
            let asked: Vec<_> = (1..=CALLERS).map(|key| ask(&films, key)).collect();
            for (key, found) in (1..=CALLERS).zip(asked) {
                assert_eq!(row(found).await.film_id, key);
            }
            if times == 1 {
                few(&rig);
            }
            if rig.shape == Shape::NoL2 {
                break;
            }
        }
        is_after(began, 0);
        assert!(rig.origin.loads() <= 10, "{} loads", rig.origin.loads());
        assert!(rig.tier.reads().len() <= 20, "reads of {:?} keys", rig.tier.reads());
    });
}

/// So on two threads, with servers that answer when all have asked.
#[test]
fn callers_on_two_threads_share_requests() {
    for shape in [Shape::Full, Shape::NoL1, Shape::NoL2] {
        println!("in the stack {shape:?}");
        on_two_threads(async {
            let mut rig = Rig::new(shape);
            rig.settings.l2_timeout = Duration::from_secs(8);
            let films = rig.films();
            for (key, found) in (1..=CALLERS).zip(crowd(&rig, &films, 1..=CALLERS).await) {
                assert_eq!(found.unwrap().unwrap().film_id, key);
            }
            few(&rig);
        });
    }
}

/// What L2 holds is read half by half, if it is much: as one half is told, the other is looked up. Little goes in one read.
#[test]
fn half_of_what_is_asked_is_read_while_the_other_half_is_told() {
    in_every_stack(async |rig| {
        if rig.shape == Shape::NoL2 {
            return;
        }
        ask_all(&rig.films(), 1..=200).await.unwrap().unwrap();
        // The tier answers at once: what is left then is not halved again.
        for (callers, expected) in [(16, vec![16]), (64, vec![32, 32]), (200, vec![100, 100])] {
            let films = rig.films();
            let before = rig.tier.reads().len();
            let asked: Vec<_> = (1..=callers).map(|key| ask(&films, key)).collect();
            for found in asked {
                row(found).await;
            }
            // With them goes the record that all rows rest on.
            let reads: Vec<usize> = rig.tier.reads()[before..].iter().map(|keys| keys - 1).collect();
            assert_eq!(reads, expected, "of {callers} callers");
        }
    });
}

/// Asks for each of the keys in a task of its own; L2 and the origin reply when every task has asked.
pub(super) async fn crowd(rig: &Rig, films: &Cache<Film>, keys: impl Iterator<Item = i32>) -> Vec<Found> {
    rig.tier.gate().shut();
    rig.origin.gate().shut();
    let asked = Arc::new(AtomicUsize::new(0));
    let caller = |key| {
        let (films, asked) = (films.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut found = pin!(films.get(key));
            let mut first = true;
            std::future::poll_fn(move |cx| {
                let polled = found.as_mut().poll(cx);
                asked.fetch_add(usize::from(std::mem::take(&mut first)), Ordering::SeqCst);
                polled
            })
            .await
        })
    };
    let callers: Vec<_> = keys.map(caller).collect();
    while asked.load(Ordering::SeqCst) < callers.len() {
        tokio::task::yield_now().await;
    }
    rig.tier.gate().open();
    rig.origin.gate().open();
    let mut found = Vec::with_capacity(callers.len());
    for caller in callers {
        found.push(caller.await.unwrap());
    }
    found
}

/// Nothing that is merged is longer than `max_batch`, in L2 or at the origin: also of batches, which are not torn apart more
/// than need be.
#[test]
fn no_merged_batch_is_longer_than_allowed() {
    in_every_stack(async |mut rig| {
        rig.settings.max_batch = 64;
        let films = rig.films();
        let asked: Vec<_> = (0..300).map(|n| ask_all(&films, [n, 1_000 + n, 2_000 + n])).collect();
        for found in asked {
            assert_eq!(found.await.unwrap().unwrap().iter().flatten().count(), 3);
        }
        let loads: Vec<usize> = rig.origin.log().iter().map(|load| load.keys.len()).collect();
        assert!(loads.iter().chain(&rig.tier.reads()).all(|keys| *keys <= 64), "{loads:?}");
        assert_eq!(loads.iter().sum::<usize>(), 900);
        assert!(loads.len() <= 20, "full batches, or nearly: {loads:?}");
    });
}

/// A lone caller is delayed by no timer, however often it asks: no time passes.
#[test]
fn a_lone_caller_waits_for_nobody() {
    in_every_stack(async |rig| {
        let films = rig.films();
        let began = Instant::now();
        for key in 1..=100 {
            films.get(key).await.unwrap().unwrap();
            films.objects_by_pks([key, 1_000 + key]).await.unwrap();
            films.one(&by_title().bind((format!("Film {}", 2_000 + key),))).await.unwrap().unwrap();
        }
        assert_eq!(Instant::now(), began);
    });
}

/// Different queries at once share loads like rows do.
#[test]
fn callers_of_different_queries_share_requests() {
    in_every_stack(async |rig| {
        let films = rig.films();
        let asked = (1..=100).map(|n| {
            let films = films.clone();
            tokio::spawn(async move { films.one(&by_title().bind((format!("Film {n}"),))).await })
        });
        for (n, found) in (1..=100).zip(Vec::from_iter(asked)) {
            assert_eq!(row(found).await.film_id, n);
        }
        let log = rig.origin.log();
        assert_eq!(log.iter().map(|load| load.queries).sum::<usize>(), 100);
        assert!(log.len() <= 10, "{} loads of queries and rows", log.len());
    });
}

/// While a slow load is under way, others are not kept waiting for it: they load what they want meanwhile.
#[test]
fn a_slow_load_holds_up_no_other_key() {
    in_every_stack(async |rig| {
        rig.origin.next(1, [End::Value.after(3_000)]);
        let films = rig.films();
        let slow = ask(&films, 1);
        pass(10).await;
        let began = Instant::now();
        let asked: Vec<_> = (2..=50).map(|key| ask(&films, key)).collect();
        for found in asked {
            row(found).await;
        }
        assert!(began.elapsed() <= Duration::from_millis(20), "{:?}", began.elapsed());
        assert!(!slow.is_finished());
        assert_eq!(row(slow).await.film_id, 1);
    });
}
