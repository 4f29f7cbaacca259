//! Callers who want the same key at once share one load.

use std::sync::Arc;

use tests::{End, QUERIES};
use tokio::time::Instant;

use super::rig::{ask, ask_all, in_every_stack, is_after, pass, row};
use crate::shop::{by_title, rated_pg};

/// A single lookup and overlapping batches at once load each key once, and are given the same row.
#[test]
fn lookups_at_once_load_each_key_once() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(50));
        let films = rig.films();
        let began = Instant::now();
        let (one, first, second) = (ask(&films, 7), ask_all(&films, [5, 6, 7]), ask_all(&films, [7, 8]));
        let (one, first, second) = (row(one).await, first.await.unwrap(), second.await.unwrap());
        is_after(began, 50);
        let (first, second) = (first.unwrap(), second.unwrap());
        for same in [&first[2], &second[0]] {
            assert!(Arc::ptr_eq(&one, same.as_ref().unwrap()));
        }
        let ids = |rows: &[Option<Arc<_>>]| {
            rows.iter().flatten().map(|film: &Arc<tests::Film>| film.film_id).collect()
        };
        let (first, second): (Vec<i32>, Vec<i32>) = (ids(&first), ids(&second));
        assert_eq!((first, second), (vec![5, 6, 7], vec![7, 8]));
        for key in 5..=8 {
            assert_eq!(rig.origin.loads_of(key), 1, "{key}");
        }
    });
}

/// A batch that comes later loads what nobody loads yet, follows for the rest, and is answered when both are there.
#[test]
fn a_batch_leads_some_keys_and_follows_for_others() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(50));
        let films = rig.films();
        let began = Instant::now();
        let first = ask_all(&films, [1, 2]);
        pass(10).await;
        let second = ask_all(&films, [2, 3, 1]);
        let first = first.await.unwrap().unwrap();
        is_after(began, 50);
        let second = second.await.unwrap().unwrap();
        is_after(began, 60);
        assert!(Arc::ptr_eq(first[1].as_ref().unwrap(), second[0].as_ref().unwrap()));
        assert!(Arc::ptr_eq(first[0].as_ref().unwrap(), second[2].as_ref().unwrap()));
        let loads: Vec<Vec<i32>> = rig.origin.log().into_iter().map(|load| load.keys).collect();
        assert_eq!(loads, [vec![1, 2], vec![3]]);
    });
}

/// A follower that comes late waits for what is left of the load, not for a load's time.
#[test]
fn a_late_follower_waits_for_the_rest_only() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(300));
        let films = rig.films();
        let first = ask(&films, 1);
        pass(290).await;
        let began = Instant::now();
        let (late, first) = (row(ask(&films, 1)).await, row(first).await);
        is_after(began, 10);
        assert!(Arc::ptr_eq(&late, &first));
        assert_eq!(rig.origin.loads(), 1);
    });
}

/// Lists and secondary keys are shared like rows: one load of the query, and one of its rows.
#[test]
fn callers_of_one_query_share_one_load() {
    in_every_stack(async |rig| {
        rig.origin.next(QUERIES, [End::Value.after(50)]);
        let films = rig.films();
        let lists = (0..10).map(|_| films.clone());
        let lists = lists.map(|films| tokio::spawn(async move { films.list(&rated_pg()).await }));
        for list in Vec::from_iter(lists) {
            assert_eq!(list.await.unwrap().unwrap().len(), 3);
        }
        let queries: Vec<usize> = rig.origin.log().into_iter().map(|load| load.queries).collect();
        assert_eq!(queries, [1, 0], "one load of the list, and one of its rows");

        rig.origin.next(QUERIES, [End::Value.after(50)]);
        let titled = (0..10).map(|_| films.clone()).map(|films| {
            tokio::spawn(async move { films.one(&by_title().bind(("Film 9".to_owned(),))).await })
        });
        for found in Vec::from_iter(titled) {
            assert_eq!(row(found).await.film_id, 9);
        }
        assert_eq!(rig.origin.loads(), 4);
    });
}
