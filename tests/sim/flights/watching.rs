//! A lookup leaves by its deadline, though its round looks after that in place of a timer of its own.

use std::time::Duration;

use tests::{End, Film};
use tierstack_core::{Cache, ErrorKind, Lookup};
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::rig::{Rig, Shape, ask, in_every_stack, is_after, kind, look, pass, row};

/// Whoever follows after the first deadline of a round has passed, or was there before, leaves by his own.
#[test]
fn followers_leave_by_their_own_deadlines_when_the_leaders_has_passed() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(2_000));
        let films = rig.films();
        let began = Instant::now();
        let leader = look(&films, Lookup::one(1).deadline(rig.in_ms(200)));
        pass(100).await;
        let before = look(&films, Lookup::one(1).deadline(rig.in_ms(300)));
        assert_eq!(kind(leader).await, ErrorKind::Timeout);
        is_after(began, 200);
        pass(50).await;
        let after = look(&films, Lookup::one(1).deadline(rig.in_ms(400)));
        assert_eq!(kind(before).await, ErrorKind::Timeout);
        is_after(began, 400);
        assert_eq!(kind(after).await, ErrorKind::Timeout);
        is_after(began, 650);
        assert_eq!(rig.origin.loads(), 1);
    });
}

/// So does one who follows a flight that nobody may join any more.
#[test]
fn a_follower_of_a_detached_flight_leaves_by_its_own_deadline() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(2_000));
        let films = rig.films();
        let began = Instant::now();
        let leader = look(&films, Lookup::one(1).deadline(rig.in_ms(200)));
        pass(50).await;
        let follower = look(&films, Lookup::one(1).deadline(rig.in_ms(350)));
        pass(50).await;
        films.invalidate([1]).await.unwrap();
        assert_eq!(kind(leader).await, ErrorKind::Timeout);
        is_after(began, 200);
        assert_eq!(kind(follower).await, ErrorKind::Timeout);
        is_after(began, 400);
    });
}

/// A lookup whose round can't begin, as others are under way, leaves by its deadline; and so does one who follows it.
#[test]
fn who_waits_for_a_round_leaves_by_its_deadline() {
    in_every_stack(async |mut rig| {
        let films = one_slow_round(&mut rig);
        let began = Instant::now();
        let first = ask(&films, 1);
        pass(10).await;
        let waits = look(&films, Lookup::one(2).deadline(rig.in_ms(190)));
        let follows = look(&films, Lookup::one(2).deadline(rig.in_ms(290)));
        assert_eq!(kind(waits).await, ErrorKind::Timeout);
        is_after(began, 200);
        assert_eq!(kind(follows).await, ErrorKind::Timeout);
        is_after(began, 300);
        row(first).await;
    });
}

/// So does one that was to go with a round that begins, and had no room there.
#[test]
fn who_had_no_room_in_a_round_leaves_by_its_deadline() {
    in_every_stack(async |mut rig| {
        rig.settings.max_batch = 2;
        let films = one_slow_round(&mut rig);
        let began = Instant::now();
        let together = [1, 2].map(|key| ask(&films, key));
        let left = look(&films, Lookup::one(3).deadline(rig.in_ms(200)));
        let follows = look(&films, Lookup::one(3).deadline(rig.in_ms(300)));
        assert_eq!(kind(left).await, ErrorKind::Timeout);
        is_after(began, 200);
        assert_eq!(kind(follows).await, ErrorKind::Timeout);
        is_after(began, 300);
        for film in together {
            row(film).await;
        }
    });
}

/// A node of which one round is under way at a time, and takes a second: in L2 if there is one, else at the origin.
fn one_slow_round(rig: &mut Rig) -> Cache<Film> {
    (rig.settings.reads_in_flight, rig.settings.loads_in_flight) = (1, 1);
    rig.settings.l2_timeout = Duration::from_secs(1);
    if rig.shape == Shape::NoL2 {
        rig.origin.always(End::Value.after(1_000));
    } else {
        rig.tier.set_read_delay(Duration::from_secs(1));
    }
    rig.films()
}

/// The tasks of a runtime that stands still hold nobody of another one beyond its deadline.
#[test]
fn who_follows_a_round_of_a_runtime_that_stands_still_leaves_by_its_deadline() {
    let runtime = || Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (still, runs) = (runtime(), runtime());
    let rig = Rig::new(Shape::NoL2);
    rig.origin.always(End::Never);
    let films = rig.films();
    let mut leader = None;
    still.block_on(async {
        // With less time than who follows: else he would have a timer of his own anyway.
        leader = Some(look(&films, Lookup::one(1).deadline(rig.in_ms(100))));
        while rig.origin.loads() == 0 {
            tokio::task::yield_now().await;
        }
    });
    runs.block_on(async {
        let follower = look(&films, Lookup::one(1).deadline(rig.in_ms(200)));
        let left = tokio::time::timeout(Duration::from_secs(60), kind(follower)).await;
        assert_eq!(left.expect("it hangs"), ErrorKind::Timeout);
    });
    drop(leader);
}
