//! Ten thousand callers at once.

use std::sync::Arc;

use tests::End;
use tokio::time::Instant;

use super::merging::crowd;
use super::rig::{Rig, Shape, ask, in_every_stack, is_after, on_two_threads, row};

const CALLERS: i32 = 10_000;

/// Ten thousand callers of one cold key cost one load, in one load's time, and all are given the same row; so again after
/// each invalidation.
#[test]
fn one_cold_key_is_loaded_once() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(200));
        let films = rig.films();
        for round in 1..=3 {
            let began = Instant::now();
            let asked: Vec<_> = (0..CALLERS).map(|_| ask(&films, 7)).collect();
            let mut rows = Vec::new();
            for found in asked {
                rows.push(row(found).await);
            }
            is_after(began, 200);
            assert!(rows.iter().all(|row| Arc::ptr_eq(row, &rows[0])));
            assert_eq!(rig.origin.loads(), round);
            films.invalidate([7]).await.unwrap();
        }
    });
}

/// So on two threads.
#[test]
fn one_cold_key_is_loaded_once_on_two_threads() {
    for shape in [Shape::Full, Shape::NoL1, Shape::NoL2] {
        println!("in the stack {shape:?}");
        on_two_threads(async {
            let mut rig = Rig::new(shape);
            rig.settings.l2_timeout = std::time::Duration::from_secs(8);
            let found = crowd(&rig, &rig.films(), (0..CALLERS).map(|_| 7)).await;
            let rows: Vec<_> = found.into_iter().map(|found| found.unwrap().unwrap()).collect();
            assert!(rows.iter().all(|row| Arc::ptr_eq(row, &rows[0])));
            assert_eq!(rig.origin.loads(), 1);
        });
    }
}

/// Ten thousand callers over a thousand cold keys: each key is loaded once, in few loads.
#[test]
fn a_thousand_cold_keys_are_loaded_once_each() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(200));
        let films = rig.films();
        let asked: Vec<_> = (0..CALLERS).map(|n| ask(&films, 1 + n % 1_000)).collect();
        for (n, found) in (0..CALLERS).zip(asked) {
            assert_eq!(row(found).await.film_id, 1 + n % 1_000);
        }
        let mut keys: Vec<i32> = rig.origin.log().into_iter().flat_map(|load| load.keys).collect();
        keys.sort_unstable();
        assert_eq!(keys, Vec::from_iter(1..=1_000));
        assert!(rig.origin.loads() <= 10, "{} loads", rig.origin.loads());
        assert_eq!(films.stats().keys(), CALLERS as u64);
    });
}
