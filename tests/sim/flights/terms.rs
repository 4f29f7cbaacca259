//! What a lookup asks for holds for it also when others ask for the same key on other terms.

use std::task::Poll;
use std::time::Duration;

use tests::{End, Film};
use tierstack_core::{Accept, Age, Answer, Cache, ErrorKind, Level, Lookup};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::rig::{Held, Rig, Shape, ask, in_every_stack, is_after, look, pass, poll_once, row};

/// Lookups of key 1 on several terms at the same instant, in that order; the answers in the same.
async fn at_once(
    films: &Cache<Film>,
    lookups: impl IntoIterator<Item = Lookup<i32>>,
) -> Vec<Option<Answer<Film>>> {
    let asked: Vec<_> = lookups
        .into_iter()
        .map(|lookup| {
            let films = films.clone();
            tokio::spawn(async move { crate::shop::look(&films, lookup).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap().unwrap());
    }
    answers
}

fn version(answer: &Option<Answer<Film>>) -> i64 {
    answer.as_ref().unwrap().entry.clone().into_present().unwrap().version
}

fn one() -> Lookup<i32> {
    Lookup::one(1)
}

/// Film 1 in the tiers, stale, and a newer version at the origin.
async fn stale(rig: &Rig) -> Cache<Film> {
    let films = rig.films();
    films.invalidate([1]).await.unwrap();
    films.get(1).await.unwrap();
    rig.manual.advance(rig.freshness.fresh_for + Duration::from_secs(1));
    rig.origin.write(1);
    films
}

/// A refresh is answered with nothing that was loaded before it asked: neither by a plain lookup nor by another refresh.
#[test]
fn a_refresh_joins_no_load_from_before() {
    in_every_stack(async |rig| {
        rig.origin.next(1, [End::Value.after(100), End::Value.after(100), End::Value.after(100)]);
        let films = rig.films();
        let began = Instant::now();
        let plain = ask(&films, 1);
        pass(10).await;
        rig.origin.write(1);
        let first = look(&films, one().refresh());
        pass(10).await;
        rig.origin.write(1);
        let second = look(&films, one().refresh());
        assert_eq!(row(plain).await.version, 0);
        is_after(began, 100);
        assert_eq!(row(first).await.version, 1);
        is_after(began, 110);
        assert_eq!(row(second).await.version, 2);
        is_after(began, 120);
        assert_eq!(rig.origin.loads(), 3);
    });
}

/// A plain lookup and a refresh at the same instant, in either order: the refresh loads though the tiers hold the row.
#[test]
fn a_refresh_loads_beside_a_lookup_that_finds() {
    in_every_stack(async |rig| {
        let films = rig.films();
        films.get(1).await.unwrap();
        for lookups in [[one(), one().refresh()], [one().refresh(), one()]] {
            let (films, newer) = (rig.films(), rig.origin.write(1));
            let refresh = usize::from(!lookups[1].terms.read_l2);
            let answers = at_once(&films, lookups).await;
            assert_eq!(version(&answers[refresh]), newer);
            assert_eq!(answers[refresh].as_ref().unwrap().source, Level::Origin);
        }
    });
}

/// A lookup for fresh rows never gets a stale one, though it asks at the same instant as many that take it: those that came
/// first have it at once.
#[test]
fn a_lookup_for_fresh_rows_follows_nobody_to_a_stale_one() {
    in_every_stack(async |rig| {
        for fresh_first in [true, false] {
            let films = stale(&rig).await;
            let (newer, loads) = (rig.origin.version(1), rig.origin.loads());
            rig.origin.always(End::Value.after(100));
            let began = Instant::now();
            let plain = || (0..10).map(|_| ask(&films, 1)).collect::<Vec<_>>();
            let before = if fresh_first { vec![] } else { plain() };
            let fresh = look(&films, one().accept(Accept::Fresh));
            let after = if fresh_first { plain() } else { vec![] };
            for found in before {
                assert!(row(found).await.version < newer);
            }
            is_after(began, 0);
            assert_eq!(row(fresh).await.version, newer);
            is_after(began, 100);
            for found in after {
                row(found).await;
            }
            is_after(began, 100);
            assert_eq!(rig.origin.loads(), loads + 1, "it is the one that renews the row for all");
            rig.origin.end_script();
        }
    });
}

/// Nor if it can't ask once more, as it was taken out of its runtime before it was polled again: that is an error.
#[test]
fn a_lookup_taken_out_of_its_runtime_is_not_answered_by_a_stale_row() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut fresh: Option<Held<_>> = None;
    runtime.block_on(async {
        let films = stale(&Rig::new(Shape::NoL1)).await;
        let plain = ask(&films, 1);
        yield_now().await;
        let fresh: &mut Held<_> = fresh
            .insert(Box::pin(async move { crate::shop::look(&films, one().accept(Accept::Fresh)).await }));
        assert!(poll_once(fresh).is_pending(), "it follows");
        row(plain).await;
    });
    let told = fresh.as_mut().map(poll_once);
    let Some(Poll::Ready(Err(error))) = told else { panic!("it was told what was for another: {told:?}") };
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.to_string().contains("runtime"), "{error}");
}

/// If the load fails, those that take a stale row have it, also if they follow the one for fresh rows, which has the error.
#[test]
fn a_failed_load_is_told_to_whom_a_stale_row_is_nothing() {
    in_every_stack(async |rig| {
        for fresh_first in [true, false] {
            let films = stale(&rig).await;
            rig.origin.always(End::Error.after(20));
            let mut plain = vec![];
            if !fresh_first {
                plain.push(ask(&films, 1));
            }
            let fresh = look(&films, one().accept(Accept::Fresh));
            plain.push(ask(&films, 1));
            pass(10).await;
            plain.push(ask(&films, 1));
            assert_eq!(fresh.await.unwrap().unwrap_err().kind(), ErrorKind::Origin);
            for found in plain {
                assert!(row(found).await.version < rig.origin.version(1));
            }
            rig.origin.end_script();
        }
    });
}

/// A lookup that never loads neither waits for a load under way, nor keeps one who asks at the same instant from loading.
#[test]
fn a_lookup_that_never_loads_waits_for_no_load() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(100));
        for never_first in [true, false] {
            let films = rig.films();
            rig.tier.memory().clear();
            let loads = rig.origin.loads();
            let began = Instant::now();
            let mut plain = (!never_first).then(|| ask(&films, 1));
            let same_instant = look(&films, one().never_load());
            let plain = plain.take().unwrap_or_else(|| ask(&films, 1));
            assert!(same_instant.await.unwrap().unwrap().is_none());
            is_after(began, 0);
            pass(10).await;
            assert!(look(&films, one().never_load()).await.unwrap().unwrap().is_none());
            is_after(began, 10);
            row(plain).await;
            is_after(began, 100);
            assert!(
                look(&films, one().never_load()).await.unwrap().unwrap().is_some(),
                "it is in a tier now"
            );
            assert_eq!((rig.origin.loads(), films.stats().unknown), (loads + 1, 2));
        }
    });
}

/// A lookup past L2 is neither answered from it nor stuck behind one that waits for it, whichever comes first.
#[test]
fn a_lookup_past_l2_follows_nobody_into_it() {
    in_every_stack(async |rig| {
        if rig.shape == Shape::NoL2 {
            return;
        }
        rig.films().get(1).await.unwrap();
        rig.tier.set_read_delay(Duration::from_millis(100));
        for lookups in [[one(), one().skip_l2()], [one().skip_l2(), one()]] {
            let newer = rig.origin.write(1);
            let past = usize::from(!lookups[1].terms.use_l2);
            let films = rig.films();
            let began = Instant::now();
            let mut asked = lookups.map(|lookup| look(&films, lookup));
            let found = (&mut asked[past]).await.unwrap().unwrap().unwrap();
            is_after(began, 0);
            assert_eq!(found.version, newer);
            let [first, second] = asked;
            row(if past == 0 { second } else { first }).await;
        }
    });
}

/// Twenty callers on every kind of terms at once, in many orders: each gets what its terms allow.
#[test]
fn mixed_terms_hold_for_each_caller() {
    in_every_stack(async |rig| {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let films = stale(&rig).await;
            let newer = rig.origin.version(1);
            rig.origin.always(End::Value.after(20));
            let kinds: Vec<usize> = (0..20).map(|_| random.usize(0..6)).collect();
            let lookups = kinds.iter().map(|kind| match kind {
                0 => one(),
                1 => one().skip_l1(),
                2 => one().skip_l2(),
                3 => one().refresh(),
                4 => one().accept(Accept::Fresh),
                _ => one().never_load(),
            });
            let answers = at_once(&films, lookups).await;
            for (kind, answer) in kinds.iter().zip(answers) {
                let Some(answer) = &answer else { panic!("seed {seed}: {kind} got nothing") };
                let film = answer.entry.clone().into_present().unwrap();
                match kind {
                    3 => assert_eq!((film.version, answer.source), (newer, Level::Origin), "seed {seed}"),
                    4 => assert_eq!((film.version, answer.age), (newer, Age::Fresh), "seed {seed}"),
                    _ => assert!(film.version == newer || answer.age == Age::Stale, "seed {seed}: {kind}"),
                }
            }
            rig.origin.end_script();
            films.namespace().shutdown().await;
        }
    });
}
