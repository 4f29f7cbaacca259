//! Everybody is told, and of one load.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use super::play;
use super::rig::{Gate, Rig, entering, pause, reached, rows, settings};
use crate::sync::Handle;
use crate::{Lookup, Settings};

#[test]
fn everybody_is_told_whatever_the_order() {
    play(|| async {
        let rig = Rig::slow(settings());
        let asked = rig.ask_each(&[&[1, 2], &[2, 3], &[3, 1]]);
        for seen in rows(asked).await {
            assert_eq!(seen.len(), 2);
        }
        rig
    });
}

/// A future may be polled by one task and end in another: the waker of the last poll counts.
#[test]
fn a_lookup_that_moves_to_another_task_is_told_there() {
    play(|| async {
        let rig = Rig::slow(settings());
        let others = rig.ask_each(&[&[1], &[2]]);
        let mut lookup = Box::pin(rig.ask(&[1, 2]));
        if poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx).is_pending())).await {
            assert_eq!(rows(vec![shuttle::future::spawn(lookup)]).await[0].len(), 2);
        }
        rows(others).await;
        rig
    });
}

#[test]
fn of_those_who_ask_while_a_flight_is_open_one_leads() {
    play(|| async {
        let entered = Gate::default();
        let enough = entered.clone();
        let rig = Rig::new(settings(), move |_| {
            let enough = enough.clone();
            async move { reached(&enough, 3).await }
        });
        let asked = (0..3).map(|_| shuttle::future::spawn(entering(rig.ask(&[1]), &entered)));
        let seen = rows(asked.collect()).await;
        assert_eq!(seen.iter().filter(|seen| !seen[0].followed).count(), 1, "who leads: {seen:?}");
        assert!(seen.iter().all(|seen| seen[0].load == 1), "loads: {seen:?}");
        assert_eq!(rig.stats().followed, 2);
        rig
    });
}

/// A flight that has ended answers nobody who comes later, and another doesn't begin before.
#[test]
fn a_key_is_led_once_at_a_time() {
    play(|| async {
        let loading = Arc::new(AtomicBool::new(false));
        let rig = Rig::new(settings(), move |_| {
            let loading = Arc::clone(&loading);
            async move {
                assert!(!loading.swap(true, Ordering::SeqCst), "it is being loaded already");
                pause().await;
                loading.store(false, Ordering::SeqCst);
            }
        });
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let rig = rig.clone();
                shuttle::future::spawn(async move {
                    let mut last = 0;
                    for _ in 0..2 {
                        let seen = *rig.ask(&[1]).await[0].as_ref().expect("the origin never fails");
                        assert!(seen.load > last, "told of load {} after load {last}", seen.load);
                        assert!(rig.led() <= 1, "it is led twice");
                        last = seen.load;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("nobody aborted it");
        }
        rig
    });
}

#[test]
fn a_refresh_is_answered_by_a_load_that_began_after_it() {
    play(|| async {
        let rig = Rig::slow(settings());
        let others = rig.ask_each(&[&[1], &[2, 1]]);
        let refreshes: Vec<_> = (0..2)
            .map(|_| {
                let rig = rig.clone();
                shuttle::future::spawn(async move {
                    pause().await;
                    let before = rig.loads.load(Ordering::SeqCst);
                    let seen = rig.look(Lookup::batch([1, 2]).refresh()).await;
                    for seen in seen.into_iter().map(|seen| seen.expect("the origin never fails")) {
                        assert!(seen.load > before, "load {} after load {before}", seen.load);
                    }
                })
            })
            .collect();
        for refresh in refreshes {
            refresh.await.expect("nobody aborted it");
        }
        rows(others).await;
        rig
    });
}

#[test]
fn the_end_of_a_round_starts_what_waits_though_no_timer_ends() {
    play(|| async {
        let rig = Rig::slow(Settings { gather_for: Duration::from_secs(3_600), ..settings() });
        rows(rig.ask_each(&[&[1], &[2], &[3], &[1, 4]])).await;
        // Shutdown would wait for the timers.
        Handle::end();
        rig
    });
}

#[test]
fn a_slow_round_holds_up_what_comes_behind_it_for_a_timer_at_most() {
    play(|| async {
        let (asked, loaded) = (Gate::default(), Gate::default());
        let (times, told) = (asked.clone(), loaded.clone());
        let rig = Rig::new(settings(), move |lookup| {
            let (times, told) = (*times.borrow(), told.clone());
            async move {
                // The first key is loaded when the second was: unless they went together.
                if lookup.keys() == [1] {
                    reached(&told, times).await;
                } else {
                    told.send_modify(|count| *count += 1);
                }
            }
        });
        // Twice the same, so that one timer follows another; then what no round has room for beside the first key.
        for behind in [&[2][..], &[2], &[2, 3]] {
            asked.send_modify(|times| *times += 1);
            rows(rig.ask_each(&[&[1], behind])).await;
        }
        // What is asked at the end waits for nothing.
        asked.send_replace(0);
        rig
    });
}
