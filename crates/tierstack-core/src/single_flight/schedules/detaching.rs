//! An invalidation against those who join, and against the end of what it detaches.

use super::play;
use super::rig::{Rig, pause, rows, settings};

#[test]
fn who_enters_after_detach_is_told_of_no_earlier_load() {
    play(|| async {
        let rig = Rig::slow(settings());
        let readers = rig.ask_each(&[&[1], &[2, 1], &[1]]);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let rig = rig.clone();
                shuttle::future::spawn(async move {
                    pause().await;
                    let written = rig.write(1);
                    let seen = *rig.ask(&[1]).await[0].as_ref().expect("the origin never fails");
                    assert!(seen.version >= written, "told of {} after {written} was written", seen.version);
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("nobody aborted it");
        }
        rows(readers).await;
        rig
    });
}

#[test]
fn who_enters_after_all_were_detached_is_told_of_no_earlier_load() {
    play(|| async {
        let rig = Rig::slow(settings());
        let readers = rig.ask_each(&[&[1, 3], &[2, 1], &[3, 2]]);
        pause().await;
        let written = rig.write_all();
        for seen in rows(rig.ask_each(&[&[3, 1], &[2]])).await.into_iter().flatten() {
            assert!(seen.version >= written, "told of {} after {written} was written", seen.version);
        }
        rows(readers).await;
        rig
    });
}

/// The old flight and the new one of a key end in any order, each with followers of its own.
#[test]
fn the_followers_of_a_detached_flight_and_of_the_next_are_told() {
    play(|| async {
        let rig = Rig::slow(settings());
        let before = rig.ask_each(&[&[1], &[1]]);
        pause().await;
        let written = rig.write(1);
        let after = rig.ask_each(&[&[1], &[2, 1]]);
        for seen in rows(after).await.into_iter().flatten() {
            assert!(seen.version >= written, "told of {} after {written} was written", seen.version);
        }
        rows(before).await;
        rig
    });
}
