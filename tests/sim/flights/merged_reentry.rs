//! Loads of two callers' keys, of which one asks for the other: what they would wait for is themselves.

use std::sync::Arc;
use std::time::Duration;

use tierstack_core::ErrorKind;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::reentry::{Asks, By, Caches};
use super::rig::{Found, Rig, ask, in_every_stack, is_after, kind, pass, row};

/// Asks `a` for 1 and for 2, each a caller's, while a load that takes 50 ms holds the only place: they are one load then,
/// which begins at the end of those.
async fn merged<const N: usize>(
    rig: &mut Rig,
    by: By,
    asks: [((&'static str, i32), Asks); N],
) -> (Arc<Caches>, [JoinHandle<Found>; 2]) {
    rig.settings.loads_in_flight = 1;
    let slow: Asks = |_| {
        Box::pin(async {
            pass(50).await;
            Ok(())
        })
    };
    let caches = Caches::by(by, rig, asks.into_iter().chain([(("a", 9), slow)]));
    let slow = ask(&caches.films("a"), 9);
    pass(10).await;
    let one = ask(&caches.films("a"), 1);
    pass(10).await;
    let two = ask(&caches.films("a"), 2);
    row(slow).await;
    (caches, [one, two])
}

const A_1: Asks = |caches| Box::pin(async move { caches.get("a", 1).await.map(drop) });
const A_2: Asks = |caches| Box::pin(async move { caches.get("a", 2).await.map(drop) });
const B_5: Asks = |caches| Box::pin(async move { caches.get("b", 5).await.map(drop) });

/// The load that asks for another of its keys, by itself or by way of another cache, is told at once. The caller whose key
/// didn't ask is answered, where each key has an outcome of its own.
#[test]
fn a_load_that_asks_for_another_of_its_keys_is_told_at_once() {
    for (by, of_2) in [By::Batch, By::Each].into_iter().flat_map(|by| [(by, A_1), (by, B_5)]) {
        in_every_stack(async |mut rig| {
            let began = Instant::now();
            let (caches, [one, two]) = merged(&mut rig, by, [(("a", 2), of_2), (("b", 5), A_1)]).await;
            assert_eq!(kind(two).await, ErrorKind::Loader);
            match by {
                By::Batch => assert_eq!(kind(one).await, ErrorKind::Loader),
                By::Each => assert_eq!(row(one).await.film_id, 1),
            }
            is_after(began, 50);
            assert_eq!(caches.films("a").stats().loads, 2, "1 and 2 are one load");
            assert_eq!(caches.told.lock().unwrap()[0].as_ref().unwrap_err().kind(), ErrorKind::Loader);
            caches.works_again().await;
        });
    }
}

/// So are two keys of one load that ask for each other.
#[test]
fn keys_of_a_load_that_ask_for_each_other_are_told_at_once() {
    in_every_stack(async |mut rig| {
        let began = Instant::now();
        let (caches, asked) = merged(&mut rig, By::Each, [(("a", 1), A_2), (("a", 2), A_1)]).await;
        for asked in asked {
            assert_eq!(kind(asked).await, ErrorKind::Loader);
        }
        is_after(began, 50);
        caches.works_again().await;
    });
}

/// One that asks in a task of its own ends by the deadline.
#[test]
fn a_load_that_asks_in_another_task_ends_by_the_deadline() {
    for by in [By::Batch, By::Each] {
        in_every_stack(async |mut rig| {
            let spawned: Asks = |caches| {
                Box::pin(async move {
                    tokio::spawn(async move { caches.get("a", 1).await.map(drop) }).await.unwrap()
                })
            };
            let began = Instant::now();
            let (caches, asked) = merged(&mut rig, by, [(("a", 2), spawned)]).await;
            for asked in asked {
                asked.await.unwrap().unwrap_err();
            }
            assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
            pass(10_000).await;
            assert!(caches.told.lock().unwrap().iter().all(Result::is_err));
            caches.works_again().await;
        });
    }
}
