//! Limits hold, and what they refuse leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::play;
use super::rig::{Rig, pause, settings};
use crate::sync::{Handle, yield_now};
use crate::{ErrorKind, Settings};

#[test]
fn no_more_keys_are_led_than_the_limit_and_the_rest_is_refused() {
    play(|| async {
        const MOST: usize = 2;
        let rig = Rig::slow(Settings { max_flights: MOST, ..settings() });
        let callers = rig.ask_each(&[&[1, 2], &[3, 2], &[1, 4]]);
        let watched = rig.clone();
        let watcher = shuttle::future::spawn(async move {
            for _ in 0..8 {
                assert!(watched.led() <= MOST, "{} keys are led", watched.led());
                watched.flights.detach(&2);
                yield_now().await;
            }
        });
        let mut refused = 0;
        for caller in callers {
            for told in caller.await.expect("nobody aborted it") {
                if let Err(error) = told {
                    assert_eq!(error.kind(), ErrorKind::Overloaded);
                    refused += 1;
                }
            }
        }
        watcher.await.expect("nobody aborted it");
        assert_eq!(rig.stats().overloads, refused);
        rig
    });
}

#[test]
fn no_more_rounds_are_under_way_than_the_limit_nor_larger_ones() {
    play(|| async {
        let loading = Arc::new(AtomicUsize::new(0));
        let rig = Rig::new(settings(), move |lookup| {
            assert!(lookup.keys().len() <= 2, "a round of {:?}", lookup.keys());
            let loading = Arc::clone(&loading);
            let place = Place::taken(loading);
            async move {
                pause().await;
                drop(place);
            }
        });
        let callers = rig.ask_each(&[&[1], &[2, 3], &[4, 5], &[6, 7]]);
        for caller in callers {
            caller.await.expect("nobody aborted it");
        }
        rig
    });
}

/// One of two places is given back by a round that is dropped, too, and only once.
#[test]
fn a_round_that_is_dropped_gives_its_place_back() {
    play(|| async {
        let loading = Arc::new(AtomicUsize::new(0));
        let rig = Rig::new(settings(), move |_| {
            let place = Place::taken(Arc::clone(&loading));
            async move {
                pause().await;
                drop(place);
            }
        });
        let first = rig.ask_each(&[&[1], &[2, 3]]);
        pause().await;
        Handle::end();
        let later = rig.ask_each(&[&[4], &[5, 6], &[7]]);
        for caller in first.into_iter().chain(later) {
            caller.await.expect("nobody aborted it");
        }
        rig
    });
}

/// A load under way.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn taken(loading: Arc<AtomicUsize>) -> Self {
        let now = loading.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(now <= 2, "{now} loads are under way");
        Place(loading)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
