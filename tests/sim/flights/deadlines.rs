//! Deadlines: each caller has its own, and leaves by it without disturbing the flight.

use std::sync::Arc;
use std::time::Duration;

use tests::End;
use tierstack_core::{ErrorKind, Lookup};
use tokio::time::Instant;

use super::rig::{Shape, ask, in_every_stack, is_after, kind, look, pass, row};

/// A follower that has less time than the load takes leaves at its own deadline; the others are given the row.
#[test]
fn an_impatient_follower_leaves_at_its_own_deadline() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(500));
        let films = rig.films();
        let began = Instant::now();
        let first = ask(&films, 1);
        pass(100).await;
        let patient = ask(&films, 1);
        let impatient = look(&films, Lookup::one(1).deadline(rig.in_ms(200)));
        assert_eq!(kind(impatient).await, ErrorKind::Timeout);
        is_after(began, 300);
        let (first, patient) = (row(first).await, row(patient).await);
        is_after(began, 500);
        assert!(Arc::ptr_eq(&first, &patient));
        assert_eq!(rig.origin.loads(), 1);
    });
}

/// So does the caller that began the load; its followers are given the row when it is there.
#[test]
fn an_impatient_first_caller_leaves_the_load_to_its_followers() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(500));
        let films = rig.films();
        let began = Instant::now();
        let impatient = look(&films, Lookup::one(1).deadline(rig.in_ms(200)));
        pass(100).await;
        let patient = ask(&films, 1);
        assert_eq!(kind(impatient).await, ErrorKind::Timeout);
        is_after(began, 200);
        row(patient).await;
        is_after(began, 500);
        assert_eq!(rig.origin.loads(), 1);
    });
}

/// Alone, too: what it has begun ends, and serves the next caller.
#[test]
fn a_load_outlives_the_deadline_of_its_only_caller() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(500));
        let films = rig.films();
        let impatient = look(&films, Lookup::one(1).deadline(rig.in_ms(200)));
        assert_eq!(kind(impatient).await, ErrorKind::Timeout);
        pass(400).await;
        let began = Instant::now();
        row(ask(&films, 1)).await;
        is_after(began, 0);
        assert_eq!(rig.origin.loads(), 1);
    });
}

/// A lookup that names no deadline has the settings' one, from its own call on, whether it leads or follows.
#[test]
fn the_settings_deadline_is_counted_from_each_call() {
    in_every_stack(async |mut rig| {
        rig.settings.lookup_timeout = Duration::from_millis(700);
        rig.settings.wait_for_load = Duration::from_millis(300);
        rig.origin.next(1, [End::Never]);
        let films = rig.films();
        let began = Instant::now();
        let first = ask(&films, 1);
        pass(100).await;
        let follower = ask(&films, 1);
        assert_eq!(kind(first).await, ErrorKind::Timeout);
        is_after(began, 700);
        assert_eq!(kind(follower).await, ErrorKind::Timeout);
        is_after(began, 800);
        assert_eq!(rig.origin.loads(), 1);
    });
}

/// A deadline that has passed is a timeout at once, whether there is a load to follow or none.
#[test]
fn a_deadline_that_has_passed_waits_for_nothing() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(500));
        let films = rig.films();
        let began = Instant::now();
        let past = || Lookup::one(1).deadline(rig.in_ms(0));
        assert_eq!(kind(look(&films, past())).await, ErrorKind::Timeout);
        let first = ask(&films, 1);
        assert_eq!(kind(look(&films, past())).await, ErrorKind::Timeout);
        is_after(began, 0);
        row(first).await;
    });
}

/// An L2 that doesn't answer takes a part of a lookup's time only, though `l2_timeout` is longer than all of it: the origin
/// is asked in time, for a single key and for a batch.
#[test]
fn a_silent_l2_leaves_time_to_load() {
    in_every_stack(async |rig| {
        if rig.shape == Shape::NoL2 {
            return;
        }
        rig.tier.set_read_delay(Duration::MAX);
        rig.origin.always(End::Value.after(5));
        let films = rig.films();
        for keys in [vec![1], vec![2, 3]] {
            let began = Instant::now();
            let lookup = Lookup::batch(keys.clone()).deadline(rig.in_ms(100));
            let answers = films.lookup(lookup).await.unwrap();
            assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
            for (key, outcome) in answers {
                let film = outcome.unwrap().unwrap().entry.into_present().unwrap();
                assert_eq!(film.film_id, key);
            }
        }
        rig.tier.set_read_delay(Duration::ZERO);
        let began = Instant::now();
        row(ask(&films, 4)).await;
        is_after(began, 5);
    });
}

/// A follower with little time doesn't cut short what it follows, nor does one with much prolong it for the others.
#[test]
fn a_follower_does_not_change_the_time_of_a_flight() {
    in_every_stack(async |rig| {
        rig.origin.next(1, [End::Never]);
        let films = rig.films();
        let began = Instant::now();
        let first = look(&films, Lookup::one(1).deadline(rig.in_ms(20_000)));
        let short = look(&films, Lookup::one(1).deadline(rig.in_ms(50)));
        pass(3_000).await;
        let long = look(&films, Lookup::one(1).deadline(rig.in_ms(30_000)));
        assert_eq!(kind(short).await, ErrorKind::Timeout);
        assert_eq!((kind(first).await, kind(long).await), (ErrorKind::Timeout, ErrorKind::Timeout));
        is_after(began, 5_000);
        assert_eq!(rig.origin.loads(), 1);
    });
}
