//! A key that fails at the origin does so by itself, whoever's keys it was loaded with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tests::{End, Film};
use tierstack_core::{BatchError, Cache, Error, ErrorKind, Origin};
use tokio::time::Instant;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::{Layer, Service};

use super::rig::{Found, Rig, Shape, ask, ask_all, in_every_stack, is_after, pass, row};

/// How the origin is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// For a batch, of which it says what failed.
    Batch,
    /// For each key.
    Each,
}

/// Every way in which one key fails.
const CASES: [(By, End); 5] = [
    (By::Batch, End::KeyError),
    (By::Each, End::KeyError),
    (By::Each, End::Error),
    (By::Each, End::PanicAtOnce),
    (By::Each, End::Panic),
];

/// The films of one more node.
fn films(rig: &Rig, by: By) -> Cache<Film> {
    match by {
        By::Batch => rig.films(),
        By::Each => rig.films_from(Origin::each(rig.origin.one_by_one(), 8).unwrap()),
    }
}

/// Whether it is what the origin failed with.
fn is_origins(end: End, error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Origin);
    let torn = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let expected = matches!(end, End::Error | End::KeyError).then_some(io::ErrorKind::ConnectionRefused);
    assert_eq!(torn, expected, "{error:?}");
}

/// The keys that a batch found; the others failed as the origin did.
fn found(end: End, failed: BatchError<Film>) -> Vec<i32> {
    let outcomes: Vec<Found> = failed.into_outcomes();
    let found =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().map_err(|error| is_origins(end, error)).ok());
    found.map(|row| row.as_ref().unwrap().film_id).collect()
}

/// One key of a load fails, and the load is of many: of a batch, of others who want its keys too, and of strangers. It fails
/// for those who want it, is counted, and given up; all the rest is answered, and kept in every tier.
#[test]
fn a_key_that_fails_costs_no_other() {
    for (by, end) in CASES {
        in_every_stack(async |mut rig| {
            println!("{by:?}, {end:?}");
            rig.settings.loads_in_flight = 1;
            rig.origin.next(9, [End::Value.after(50)]);
            rig.origin.next(2, [end.after(20)]);
            rig.origin.next(3, [End::Value.after(20)]);
            let cache = films(&rig, by);
            let began = Instant::now();
            let slow = ask(&cache, 9);
            pass(10).await;
            let leader = ask_all(&cache, [1, 2, 3]);
            pass(10).await;
            let (follower, batch) = (ask(&cache, 2), ask_all(&cache, [4, 2, 1]));
            pass(10).await;
            let stranger = ask_all(&cache, [5, 6]);
            row(slow).await;
            assert_eq!(found(end, leader.await.unwrap().unwrap_err()), [1, 3]);
            is_origins(end, &follower.await.unwrap().unwrap_err());
            assert_eq!(found(end, batch.await.unwrap().unwrap_err()), [4, 1]);
            assert_eq!(stranger.await.unwrap().unwrap().iter().flatten().count(), 2);
            is_after(began, 70);

            let stats = cache.stats();
            assert_eq!(
                (stats.loads, stats.failed_loads, stats.errors),
                (2, 1, 3),
                "9, and the rest together"
            );
            let health = cache.health().await;
            let fault = health.caches[0].last_load_error.as_ref().unwrap();
            assert!(fault.text.contains("the load"), "{}", fault.text);
            if rig.shape != Shape::NoL2 {
                assert_eq!(stats.fills, [6, 0, 0, 0, 1], "one right was given up");
            }

            let loads = rig.origin.loads();
            let nodes = [cache.clone(), films(&rig, by)];
            let tiers = if rig.shape == Shape::NoL2 { &nodes[..1] } else { &nodes[..] };
            for node in tiers {
                assert_eq!(ask_all(node, [1, 3, 4, 5, 6, 9]).await.unwrap().unwrap().len(), 6);
            }
            assert_eq!(rig.origin.loads(), loads);
            let began = Instant::now();
            assert_eq!(row(ask(tiers.last().unwrap(), 2)).await.film_id, 2);
            is_after(began, 0);
            assert_eq!((rig.origin.loads(), rig.origin.loads_of(2)), (loads + 1, 2));
        });
    }
}

/// All of them may fail, and none is taken for absent.
#[test]
fn every_key_of_a_load_may_fail() {
    for (by, end) in CASES {
        in_every_stack(async |rig| {
            (1..=3).for_each(|key| rig.origin.next(key, [end]));
            let films = films(&rig, by);
            assert!(found(end, ask_all(&films, 1..=3).await.unwrap().unwrap_err()).is_empty());
            assert_eq!((films.stats().failed_loads, films.stats().errors), (1, 3));
            assert_eq!(ask_all(&films, 1..=3).await.unwrap().unwrap().iter().flatten().count(), 3);
        });
    }
}

/// A stale row is answered though its refresh fails, and is left alone for a while; those refreshed with it are renewed.
#[test]
fn a_key_that_fails_is_refreshed_no_more_for_a_while() {
    for (by, end) in CASES {
        in_every_stack(async |mut rig| {
            rig.freshness =
                rig.freshness.fresh_for(Duration::from_secs(10)).stale_for(Duration::from_secs(60));
            let films = films(&rig, by);
            let versions = async || {
                let rows = ask_all(&films, 1..=3).await.unwrap().unwrap();
                pass(1).await;
                rows.iter().flatten().map(|film| film.version).collect::<Vec<_>>()
            };
            assert_eq!(versions().await, [0, 0, 0]);
            for key in 1..=3 {
                rig.origin.write(key);
            }
            rig.manual.advance(Duration::from_secs(11));
            rig.origin.next(2, [end]);
            assert_eq!(versions().await, [0, 0, 0], "stale");
            assert_eq!(versions().await, [1, 0, 1]);
            assert_eq!((films.stats().refreshes, films.stats().refreshes_failed), (3, 1));
            assert_eq!(rig.origin.loads_of(2), 2, "left alone");
            rig.manual.advance(Duration::from_secs(1));
            assert_eq!(versions().await, [1, 0, 1]);
            assert_eq!(versions().await, [1, 1, 1]);
            assert_eq!((films.stats().errors, rig.origin.loads_of(2)), (0, 3));
        });
    }
}

/// A service that is ready for every call but its first.
#[derive(Clone)]
struct Unready<S> {
    was_asked: Arc<AtomicBool>,
    inner: S,
}

impl<S: Service<i32, Error = Error>> Service<i32> for Unready<S> {
    type Response = S::Response;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.was_asked.swap(true, Ordering::SeqCst) {
            let torn = io::Error::new(io::ErrorKind::ConnectionRefused, "scripted");
            return Poll::Ready(Err(Error::with_source(ErrorKind::Origin, "not ready", torn)));
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, key: i32) -> Self::Future {
        self.inner.call(key)
    }
}

/// A service that fails to become ready for one key is asked for the others.
#[test]
fn an_error_of_readiness_is_one_keys() {
    in_every_stack(async |rig| {
        let unready = Unready { was_asked: Arc::default(), inner: rig.origin.one_by_one() };
        let films = rig.films_from(Origin::each(unready, 8).unwrap());
        assert_eq!(found(End::Error, ask_all(&films, 1..=3).await.unwrap().unwrap_err()), [2, 3]);
        assert_eq!(row(ask(&films, 1)).await.film_id, 1);
    });
}

/// A key that hangs makes the whole load late, whatever was found; below a bound of the time of each call, itself only.
#[test]
fn a_key_that_hangs_is_late_by_itself_if_its_call_is_bounded() {
    in_every_stack(async |rig| {
        rig.origin.next(2, [End::Never]);
        let unbounded = films(&rig, By::Each);
        let began = Instant::now();
        let late = ask_all(&unbounded, 1..=3).await.unwrap().unwrap_err().into_outcomes();
        assert!(late.iter().all(|late| late.as_ref().unwrap_err().kind() == ErrorKind::Timeout));
        is_after(began, 5_000);

        rig.origin.next(2, [End::Never]);
        let bounded = TimeoutLayer::new(Duration::from_millis(100)).layer(rig.origin.one_by_one());
        let bounded = rig.films_from(Origin::each(bounded, 8).unwrap());
        let began = Instant::now();
        let outcomes = ask_all(&bounded, 1..=3).await.unwrap().unwrap_err().into_outcomes();
        is_after(began, 100);
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
        assert!(outcomes[1].as_ref().unwrap_err().downcast_ref::<Elapsed>().is_some());
    });
}
