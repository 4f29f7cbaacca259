//! The limits of the settings: how much goes on at once, what is refused beyond, and that all of it is given back.

use std::time::Duration;

use tests::{End, Film};
use tierstack_core::{Accept, Cache, ErrorKind, Lookup};
use tokio::time::Instant;

use super::reentry::{Asks, Caches};
use super::rig::{Shape, ask, hold, in_every_stack, is_after, kind, look, pass, poll_once, row};
use crate::shop::by_title;

/// At most `loads_in_flight` loads are under way at the origin, those of rows and of queries together; and as many as that.
#[test]
fn loads_under_way_are_bounded() {
    in_every_stack(async |mut rig| {
        rig.settings.max_batch = 1;
        rig.settings.loads_in_flight = 3;
        rig.origin.always(End::Value.after(20));
        let films = rig.films();
        let began = Instant::now();
        let rows: Vec<_> = (1..=30).map(|key| ask(&films, key)).collect();
        let titled = (101..=110).map(|n| {
            let films = films.clone();
            tokio::spawn(async move { films.one(&by_title().bind((format!("Film {n}"),))).await })
        });
        for found in rows.into_iter().chain(Vec::from_iter(titled)) {
            row(found).await;
        }
        assert_eq!((rig.origin.loads(), rig.origin.peak()), (50, 3));
        assert!(began.elapsed() < Duration::from_millis(20 * 50 / 2), "{:?}", began.elapsed());
    });
}

/// At most `reads_in_flight` reads of L2 are under way.
#[test]
fn reads_under_way_are_bounded() {
    in_every_stack(async |mut rig| {
        if rig.shape == Shape::NoL2 {
            return;
        }
        rig.settings.max_batch = 1;
        rig.settings.reads_in_flight = 2;
        rig.tier.set_read_delay(Duration::from_millis(5));
        let films = rig.films();
        let asked: Vec<_> = (1..=10).map(|key| ask(&films, key)).collect();
        for found in asked {
            row(found).await;
        }
        assert_eq!((rig.tier.reads().len(), rig.tier.peak()), (10, 2));
    });
}

/// While a round trip is under way, keys gather for the next one as long as `gather_for` says, and no longer.
#[test]
fn keys_gather_while_a_load_is_under_way() {
    in_every_stack(async |mut rig| {
        rig.settings.gather_for = Duration::from_millis(10);
        rig.origin.next(1, [End::Value.after(1_000)]);
        let films = rig.films();
        let slow = ask(&films, 1);
        pass(100).await;
        let began = Instant::now();
        let mut gathered = vec![];
        for key in 2..=6 {
            gathered.push(ask(&films, key));
            pass(1).await;
        }
        for found in gathered {
            row(found).await;
        }
        // L2 is asked before the origin, and may gather too.
        assert!(began.elapsed() <= Duration::from_millis(25), "{:?}", began.elapsed());
        assert!((2..=3).contains(&rig.origin.loads()), "{} loads", rig.origin.loads());
        row(slow).await;
    });
}

/// Beyond `loads_waiting` loads that wait for a place, one is refused at once, with a text that says what to do: here those
/// of queries, while loads of rows have all places.
#[test]
fn loads_that_wait_are_bounded() {
    in_every_stack(async |mut rig| {
        rig.settings.max_batch = 1;
        rig.settings.loads_in_flight = 4;
        rig.settings.loads_waiting = 1;
        rig.origin.always(End::Value.after(100));
        let films = rig.films();
        let began = Instant::now();
        let jam: Vec<_> = (1..=4).map(|key| ask(&films, key)).collect();
        pass(10).await;
        let titled = (1..=4).map(|n| {
            let films = films.clone();
            tokio::spawn(async move { films.one(&by_title().bind((format!("Film {n}"),))).await })
        });
        let titled = Vec::from_iter(titled);
        pass(10).await;
        let mut refused = 0;
        for found in titled {
            if found.is_finished() {
                let error = found.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Overloaded);
                assert!(error.to_string().contains("loads_waiting"), "{error}");
                refused += 1;
            } else {
                row(found).await;
            }
        }
        assert_eq!((refused, rig.origin.peak()), (3, 4));
        is_after(began, 200);
        for found in jam {
            row(found).await;
        }
        let found = films.one(&by_title().bind(("Film 4".to_owned(),))).await.unwrap();
        assert_eq!(found.unwrap().film_id, 4);
    });
}

/// Beyond `max_flights` keys one is refused at once, with a text that says what to do: alone, and of a batch whose other keys
/// are answered. Who follows is not refused, nor who finds something in L1, though it be stale. After the jam all is as
/// before.
#[test]
fn keys_under_way_are_bounded() {
    in_every_stack(async |mut rig| {
        rig.settings.max_batch = 10;
        rig.settings.max_flights = 10;
        rig.freshness = rig.freshness.fresh_for(Duration::from_secs(2)).stale_for(Duration::from_secs(60));
        let films = rig.films();
        row(ask(&films, 50)).await;
        rig.manual.advance(Duration::from_secs(3));
        rig.origin.always(End::Value.after(500));
        let began = Instant::now();
        let jam: Vec<_> = (1..=10).map(|key| ask(&films, key)).collect();
        pass(10).await;
        let error = ask(&films, 11).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.to_string().contains("max_flights"), "{error}");
        if rig.shape != Shape::NoL1 {
            assert_eq!(row(ask(&films, 50)).await.film_id, 50, "stale, but there");
        }
        assert_eq!(kind(look(&films, Lookup::one(50).accept(Accept::Fresh))).await, ErrorKind::Overloaded);
        is_after(began, 10);
        let mut both = films.lookup(Lookup::batch([11, 1])).await.unwrap().into_iter();
        assert_eq!(both.next().unwrap().1.unwrap_err().kind(), ErrorKind::Overloaded);
        assert!(both.next().unwrap().1.unwrap().is_some(), "it followed");
        is_after(began, 500);
        for found in jam {
            row(found).await;
        }
        let again: Vec<_> = (11..=20).map(|key| ask(&films, key)).collect();
        for found in again {
            row(found).await;
        }
        is_after(began, 1_000);
    });
}

/// However loads end, and whoever goes away: the places of loads and of keys are given back.
#[test]
fn places_are_given_back_however_a_load_ends() {
    in_every_stack(async |mut rig| {
        rig.settings.max_batch = 1;
        rig.settings.max_flights = 12;
        rig.settings.loads_in_flight = 2;
        let films = rig.films();
        for key in 1..=12 {
            rig.origin.next(key, [End::ALL[key as usize % End::ALL.len()].after(5)]);
        }
        let waiting: Vec<_> = (1..=6).map(|key| ask(&films, key)).collect();
        for key in 7..=12 {
            assert!(poll_once(&mut hold(&films, key)).is_pending());
        }
        for found in waiting {
            let _ = found.await.unwrap();
        }
        pass(30_000).await;
        rig.origin.end_script();
        rig.origin.always(End::Value.after(10));
        let began = Instant::now();
        let asked: Vec<_> = (21..=32).map(|key| ask(&films, key)).collect();
        for found in asked {
            row(found).await;
        }
        assert_eq!(rig.origin.peak(), 2);
        assert!(began.elapsed() <= Duration::from_millis(70), "{:?}", began.elapsed());
    });
}

/// A loader that asks for another key while it holds the only place can't be served: it gets an error by its deadline, and
/// the place is given back.
#[test]
fn a_loader_that_waits_for_its_own_place_ends_by_the_deadline() {
    in_every_stack(async |mut rig| {
        rig.settings.loads_in_flight = 1;
        let other: Asks = |caches| Box::pin(async move { caches.get("a", 2).await.map(drop) });
        let caches = Caches::new(&rig, [(("a", 1), other)]);
        let began = Instant::now();
        ask(&caches.films("a"), 1).await.unwrap().unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
        pass(10_000).await;
        caches.works_again().await;
    });
}

/// Keys whose load ended with nobody waiting are counted as abandoned, once, and as nothing else: those of callers that were
/// dropped or left by their deadline, unless someone followed.
#[test]
fn abandoned_keys_are_counted() {
    in_every_stack(async |rig| {
        rig.origin.always(End::Value.after(50));
        let counts = |films: &Cache<Film>| (films.stats().abandoned, films.stats().keys());
        let films = rig.films();
        assert!(poll_once(&mut hold(&films, 1)).is_pending());
        pass(60).await;
        assert_eq!(counts(&films), (1, 0), "dropped");

        let batch = tokio::spawn({
            let films = films.clone();
            async move { films.objects_by_pks([2, 3, 4]).await }
        });
        pass(10).await;
        let follower = ask(&films, 3);
        pass(10).await;
        batch.abort();
        row(follower).await;
        assert_eq!(counts(&films), (3, 1), "two of three");

        let impatient = look(&films, Lookup::one(5).deadline(rig.in_ms(10)));
        assert_eq!(kind(impatient).await, ErrorKind::Timeout);
        pass(60).await;
        assert_eq!(counts(&films), (4, 2), "told of its timeout, and left");
        row(ask(&films, 5)).await;
        assert_eq!(counts(&films), (4, 3));
    });
}
