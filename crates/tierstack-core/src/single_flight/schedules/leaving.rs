//! Callers, runtimes and caches that go, at any point.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::JoinHandle;

use super::play;
use super::rig::{Gate, Rig, entering, pause, reached, rows, settings};
use crate::namespace::Drain;
use crate::sync::{Handle, yield_now};
use crate::{Error, ErrorKind};

/// Waits until each of these is told or gone; says how many are gone.
async fn gone<T>(tasks: Vec<JoinHandle<T>>) -> usize {
    let mut gone = 0;
    for task in tasks {
        gone += usize::from(task.await.is_err());
    }
    gone
}

#[test]
fn whoever_leaves_the_others_are_told() {
    play(|| async {
        let rig = Rig::slow(settings());
        let leaving = rig.ask_each(&[&[1, 2], &[2, 3]]);
        let staying = rig.ask_each(&[&[2], &[3, 1]]);
        for task in &leaving {
            pause().await;
            task.abort();
        }
        rows(staying).await;
        gone(leaving).await;
        rig
    });
}

#[test]
fn what_everybody_left_before_its_end_is_counted_as_abandoned() {
    play(|| async {
        let left = Gate::default();
        let wait = left.clone();
        let rig = Rig::new(settings(), move |_| {
            let wait = wait.clone();
            async move { reached(&wait, 1).await }
        });
        let callers = rig.ask_each(&[&[1, 2], &[2, 3], &[1]]);
        pause().await;
        rig.write(2);
        for task in &callers {
            pause().await;
            task.abort();
        }
        assert_eq!(gone(callers).await, 3);
        let abandoned = rig.led() as u64;
        left.send_replace(1);
        rig.drained().await;
        assert_eq!(rig.stats().abandoned, abandoned);
        rig
    });
}

#[test]
fn what_a_follower_still_waits_for_is_not_abandoned() {
    play(|| async {
        let (entered, left) = (Gate::default(), Gate::default());
        let wait = left.clone();
        let rig = Rig::new(settings(), move |_| {
            let wait = wait.clone();
            async move { reached(&wait, 1).await }
        });
        let leader = shuttle::future::spawn(entering(rig.ask(&[1]), &entered));
        reached(&entered, 1).await;
        let followers = [(); 2].map(|()| shuttle::future::spawn(entering(rig.ask(&[1]), &entered)));
        reached(&entered, 3).await;
        let [leaves, stays] = followers;
        leader.abort();
        leaves.abort();
        assert_eq!(gone(vec![leader, leaves]).await, 2);
        left.send_replace(1);
        assert!(rows(vec![stays]).await[0][0].followed);
        rig.drained().await;
        assert_eq!(rig.stats().abandoned, 0);
        rig
    });
}

/// The tasks of a runtime that ends are dropped wherever they are. Who waits asks again; a round of the same runtime may
/// take that too, and twice is an error.
#[test]
fn a_round_whose_runtime_ends_tells_those_who_wait() {
    play(|| async {
        let rig = Rig::slow(settings());
        let asked = rig.ask_each(&[&[1, 2], &[2, 3], &[3, 1]]);
        pause().await;
        pause().await;
        Handle::end();
        for task in asked {
            let told = task.await.expect("nobody aborted it");
            assert_eq!(told.len(), 2);
            let twice = |error: &Error| error.kind() == ErrorKind::Overloaded;
            assert!(told.iter().all(|told| told.as_ref().err().is_none_or(twice)), "{told:?}");
        }
        rig
    });
}

/// With one caller there is no round that could take its second lookup before it ends itself.
#[test]
fn who_waits_for_a_round_whose_runtime_ended_is_answered_by_another() {
    play(|| async {
        let rig = Rig::slow(settings());
        let asked = rig.ask_each(&[&[1, 2]]);
        pause().await;
        Handle::end();
        assert_eq!(rows(asked).await[0].len(), 2);
        rig
    });
}

#[test]
fn after_a_shutdown_nothing_is_under_way_that_may_write() {
    play(|| async {
        let writing = Arc::new(AtomicUsize::new(0));
        let begun = Arc::clone(&writing);
        let rig = Rig::new(settings(), move |lookup| {
            let writing = Arc::clone(&begun);
            async move {
                let writes = usize::from(lookup.terms.fill_l2);
                writing.fetch_add(writes, Ordering::SeqCst);
                pause().await;
                writing.fetch_sub(writes, Ordering::SeqCst);
            }
        });
        let asked = rig.ask_each(&[&[1], &[2, 3], &[3]]);
        pause().await;
        rig.flights.drain().await;
        for _ in 0..8 {
            assert_eq!(writing.load(Ordering::SeqCst), 0, "a load that may write is under way");
            yield_now().await;
        }
        rows(asked).await;
        rig
    });
}
