//! The ends of a flight, for whoever began it and for those who follow.

use std::io;
use std::sync::Arc;

use tests::{End, Ended, Film};
use tierstack_core::{Cache, ErrorKind};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::rig::{Found, Held, ask, ask_all, hold, in_every_stack, is_after, kind, pass, poll_once, row};

/// How a caller waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Waits,
    /// It is polled once, and then not until the flight has ended.
    Held,
    /// It is polled once and dropped.
    Dropped,
}

const CALLERS: [Caller; 3] = [Caller::Waits, Caller::Held, Caller::Dropped];

enum Asked {
    Task(JoinHandle<Found>),
    Held(Held<Found>),
    Gone,
}

impl Asked {
    async fn outcome(self) -> Option<Found> {
        match self {
            Asked::Task(asked) => Some(asked.await.unwrap()),
            Asked::Held(held) => Some(held.await),
            Asked::Gone => None,
        }
    }
}

/// A caller that has asked when this returns.
fn caller(caller: Caller, films: &Cache<Film>) -> Asked {
    let mut held = hold(films, 7);
    assert!(poll_once(&mut held).is_pending());
    match caller {
        Caller::Waits => Asked::Task(tokio::spawn(held)),
        Caller::Held => Asked::Held(held),
        Caller::Dropped => Asked::Gone,
    }
}

/// Whether a caller was told what it must be told of such an end.
fn check(end: End, found: &Found) {
    match (end, found) {
        (End::Value, Ok(Some(film))) => assert_eq!(film.film_id, 7),
        (End::Absent, Ok(None)) => {}
        (End::Error | End::KeyError, Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::Origin);
            let source = error.downcast_ref::<io::Error>().expect("the origin's error is kept");
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        (End::Panic | End::PanicAtOnce, Err(error)) => assert_eq!(error.kind(), ErrorKind::Origin),
        (End::Never, Err(error)) => assert_eq!(error.kind(), ErrorKind::Timeout),
        _ => panic!("{end:?} is told as {found:?}"),
    }
}

/// Whatever a load ends with, and whether the first caller or its follower waits, is held unpolled or is dropped: there is
/// one load, everyone who is still there is told the same of it, and the next caller finds what was found, or loads.
#[test]
fn an_end_reaches_everyone_who_is_there() {
    for (end, first, second) in cases() {
        in_every_stack(async |rig| {
            println!("{end:?}, first {first:?}, follower {second:?}");
            rig.origin.next(7, [end.after(50)]);
            let films = rig.films();
            let first = caller(first, &films);
            if end != End::PanicAtOnce {
                pass(10).await;
            }
            let second = caller(second, &films);
            // The longest a load may take, and what follows it.
            pass(if end == End::Never { 5_010 } else { 50 }).await;
            let told = [first.outcome().await, second.outcome().await];
            told.iter().flatten().for_each(|found| check(end, found));
            if let [Some(Ok(Some(one))), Some(Ok(Some(other)))] = &told {
                assert!(Arc::ptr_eq(one, other));
            }
            assert_eq!(rig.origin.loads(), 1);

            let began = Instant::now();
            let next = ask(&films, 7).await.unwrap();
            is_after(began, 0);
            let found = matches!(end, End::Value | End::Absent);
            check(if found { end } else { End::Value }, &next);
            assert_eq!(rig.origin.loads(), if found { 1 } else { 2 });
        });
    }
}

fn cases() -> impl Iterator<Item = (End, Caller, Caller)> {
    let pairs = CALLERS.into_iter().flat_map(|first| CALLERS.map(|second| (first, second)));
    pairs.flat_map(|(first, second)| End::ALL.map(|end| (end, first, second)))
}

/// A thousand callers of a load that fails, at once or later, are told of one failure. It is not stored: the next caller
/// loads.
#[test]
fn a_failure_is_told_to_all_who_wait_and_kept_nowhere() {
    for (end, ms) in
        [(End::Error, 0), (End::Error, 20), (End::KeyError, 20), (End::PanicAtOnce, 0), (End::Panic, 20)]
    {
        in_every_stack(async |rig| {
            rig.origin.next(7, [end.after(ms)]);
            let films = rig.films();
            let callers: Vec<_> = (0..1_000).map(|_| ask(&films, 7)).collect();
            for caller in callers {
                check(end, &caller.await.unwrap());
            }
            assert_eq!(rig.origin.loads(), 1);
            assert_eq!((films.stats().errors, films.stats().failed_loads), (1_000, 1));
            assert_eq!(row(ask(&films, 7)).await.film_id, 7);
            assert_eq!((rig.origin.loads(), films.stats().keys()), (2, 1_001));
        });
    }
}

/// A load that never ends is given up at `load_timeout`: its future is dropped then, all who wait are told, a late
/// follower no later than the first, and a later caller loads.
#[test]
fn a_load_that_never_ends_is_given_up() {
    in_every_stack(async |rig| {
        rig.origin.next(7, [End::Never]);
        let films = rig.films();
        let began = Instant::now();
        let (first, batch) = (ask(&films, 7), ask_all(&films, [7]));
        pass(4_000).await;
        let late = ask(&films, 7);
        assert_eq!(kind(first).await, ErrorKind::Timeout);
        is_after(began, 5_000);
        assert_eq!(kind(late).await, ErrorKind::Timeout);
        assert_eq!(batch.await.unwrap().unwrap_err().error().kind(), ErrorKind::Timeout);
        is_after(began, 5_000);
        let (ended, at) = rig.origin.log()[0].ended.expect("its future is dropped");
        assert_eq!(ended, Ended::Dropped);
        assert!(at.at.duration_since(began).as_millis().abs_diff(5_000) <= 2);

        let began = Instant::now();
        row(ask(&films, 7)).await;
        is_after(began, 0);
        assert_eq!(rig.origin.loads(), 2);
    });
}
