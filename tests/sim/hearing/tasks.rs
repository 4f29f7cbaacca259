//! The task that listens: begun when it is needed, ended with the namespace.

use std::time::Duration;

use tierstack_core::Level;
use tokio::runtime::{Builder, Handle, Runtime};

use super::rig::{Rig, pass, source, stats};
use crate::shop::settle;

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// One task for a namespace, however many caches there are; none before the first lookup that L1 can't answer, none after
/// the last clone is gone.
#[tokio::test(start_paused = true)]
async fn it_ends_when_the_namespace_is_dropped() {
    let rig = Rig::new();
    let films = rig.films();
    settle().await;
    assert_eq!((alive(), rig.tier.subscribed()), (0, 0));
    for id in 1..=3 {
        films.get(id).await.unwrap();
    }
    settle().await;
    assert_eq!((alive(), rig.tier.subscribed()), (1, 1));
    drop(films);
    settle().await;
    let beats = rig.tier.beats();
    assert_eq!(alive(), 0);
    pass(Duration::from_secs(10)).await;
    assert_eq!(rig.tier.beats(), beats);
}

/// When a shutdown has returned, no heartbeat is sent, and L1 answers what is brief.
#[tokio::test(start_paused = true)]
async fn it_ends_with_a_shutdown() {
    let rig = Rig::new();
    let films = rig.films();
    films.get(1).await.unwrap();
    assert_eq!(source(&films, 1).await, Level::L1);
    films.namespace().shutdown().await;
    settle().await;
    let beats = rig.tier.beats();
    assert_eq!((alive(), stats(&films).deaf_for.is_some()), (0, true));
    assert_eq!((source(&films, 1).await, source(&films, 1).await), (Level::L2, Level::L1));
    pass(Duration::from_millis(1_001)).await;
    assert_eq!((source(&films, 1).await, rig.tier.beats()), (Level::L2, beats));
}

/// A shutdown while nobody confirms a subscription.
#[tokio::test(start_paused = true)]
async fn it_ends_while_it_waits() {
    let rig = Rig::new();
    rig.tier.set_refusing(true);
    let films = rig.films();
    films.get(1).await.unwrap();
    pass(Duration::from_secs(10)).await;
    let began = tokio::time::Instant::now();
    films.namespace().shutdown().await;
    settle().await;
    assert_eq!((began.elapsed(), alive()), (Duration::ZERO, 0));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Its runtime ended: the node is deaf at once, and the next lookup below L1 begins another task, in its own runtime.
#[test]
fn it_is_begun_again_when_its_runtime_has_ended() {
    let first = runtime();
    let (rig, films) = first.block_on(async {
        let rig = Rig::new();
        let films = rig.films();
        films.get(1).await.unwrap();
        assert_eq!(source(&films, 1).await, Level::L1);
        (rig, films)
    });
    drop(first);
    assert!(stats(&films).deaf_for.is_some());
    runtime().block_on(async {
        assert_eq!(source(&films, 1).await, Level::L2);
        settle().await;
        assert_eq!((stats(&films).deaf_for, rig.tier.subscribed(), alive()), (None, 2, 1));
        assert_eq!(source(&films, 1).await, Level::L1);
    });
}
