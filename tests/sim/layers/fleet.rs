//! Several nodes and one key: one of them loads, and none waits for ever.

use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{Level, Lookup};
use tokio::task::JoinHandle;

use crate::shop::{Shop, look, rated_pg, settle};

type Found = Result<Option<std::sync::Arc<Film>>, tierstack_core::Error>;

fn ask(films: &tierstack_core::Cache<Film>, pk: i32) -> JoinHandle<Found> {
    let films = films.clone();
    tokio::spawn(async move { films.get(pk).await })
}

/// Two nodes ask for one cold key at once: one loads, the other waits and is answered from L2.
#[tokio::test(start_paused = true)]
async fn one_node_loads_while_the_other_waits() {
    let shop = Shop::new(1);
    shop.repository.set_delay(Duration::from_millis(300));
    let nodes: Vec<_> = (0..8).map(|_| shop.films()).collect();
    let began = tokio::time::Instant::now();
    let asked: Vec<_> = nodes.iter().map(|node| ask(node, 1)).collect();
    for found in asked {
        assert_eq!(*found.await.unwrap().unwrap().unwrap(), film(1));
    }
    assert!(began.elapsed() <= Duration::from_millis(340), "{:?}", began.elapsed());
    assert_eq!(shop.repository.loads(), 1, "one load in the fleet");
    let from_l2: u64 = nodes.iter().map(|node| node.stats().l2.fresh).sum();
    let waits: u64 = nodes.iter().map(|node| node.stats().waits).sum();
    assert_eq!((from_l2, waits), (7, 7));
}

/// Overlapping batches of two nodes: each key is loaded once, by whoever leased it first.
#[tokio::test(start_paused = true)]
async fn overlapping_batches_load_each_key_once() {
    let shop = Shop::new(30);
    shop.repository.set_delay(Duration::from_millis(100));
    let (a, b) = (shop.films(), shop.films());
    let (first, second) = tokio::join!(a.objects_by_pks(1..=20), b.objects_by_pks(11..=30));
    assert!(first.unwrap().iter().chain(&second.unwrap()).all(Option::is_some));
    let mut loaded: Vec<i32> = shop.repository.loaded().concat();
    loaded.sort_unstable();
    assert_eq!(loaded, (1..=30).collect::<Vec<_>>());
}

/// A list asked by several nodes at once is loaded once.
#[tokio::test(start_paused = true)]
async fn a_list_is_loaded_once_for_the_fleet() {
    let shop = Shop::new(3);
    shop.repository.set_delay(Duration::from_millis(100));
    let nodes: Vec<_> = (0..5).map(|_| shop.films()).collect();
    let asked: Vec<_> =
        nodes.iter().cloned().map(|node| tokio::spawn(async move { node.list(&rated_pg()).await })).collect();
    for found in asked {
        assert_eq!(found.await.unwrap().unwrap().len(), 3);
    }
    assert_eq!((shop.repository.queries(), shop.repository.loads()), (vec![1], 1));
}

/// A holder that goes away (its future is dropped) frees those who wait for it within `wait_for_load`; what they load is
/// answered, and the key is filled again once the right has ended.
#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_frees_those_who_wait() {
    let shop = Shop::new(1);
    let waiter = shop.films();
    shop.take_right_and_die(1).await;
    let began = tokio::time::Instant::now();
    let waiting = ask(&waiter, 1);
    settle().await;
    assert_eq!(shop.repository.loads(), 0, "it waits for the right of the dead");
    assert_eq!(*waiting.await.unwrap().unwrap().unwrap(), film(1));
    let waited = began.elapsed();
    assert!(
        waited >= shop.settings.wait_for_load
            && waited <= shop.settings.wait_for_load + Duration::from_millis(5),
        "{waited:?}"
    );
    assert_eq!((waiter.stats().waits, waiter.stats().bypasses), (1, 1));
    shop.manual.advance(shop.settings.right_life());
    waiter.evict_l1(1);
    assert_eq!(look(&waiter, Lookup::one(1)).await.unwrap().unwrap().source, Level::Origin);
    assert_eq!(
        look(&waiter, Lookup::one(1).skip_l1()).await.unwrap().unwrap().source,
        Level::L2,
        "it can be filled"
    );
    assert_eq!(waiter.stats().bypasses, 1);
}

/// A right that ends while others wait frees them then, when that is sooner than `wait_for_load`.
#[tokio::test(start_paused = true)]
async fn a_right_that_ends_frees_those_who_wait() {
    let mut shop = Shop::new(1);
    shop.settings.load_timeout = Duration::from_millis(200);
    shop.settings.wait_for_load = Duration::from_secs(30);
    shop.settings.lookup_timeout = Duration::from_secs(60);
    let waiter = shop.films();
    shop.take_right_and_die(1).await;
    let began = tokio::time::Instant::now();
    let waiting = ask(&waiter, 1);
    assert!(waiting.await.unwrap().unwrap().is_some());
    assert!(
        began.elapsed() <= shop.settings.right_life() + Duration::from_millis(40),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (waiter.stats().bypasses, waiter.stats().fills[0]),
        (0, 1),
        "it took the right over, and filled"
    );
}

/// A holder whose load fails gives its right up: those who wait load at once, and not after the right's life.
#[tokio::test(start_paused = true)]
async fn a_holder_that_fails_frees_those_who_wait_at_once() {
    let shop = Shop::new(1);
    shop.repository.set_delay(Duration::from_millis(100));
    shop.repository.set_failing(true);
    let (holder, waiter) = (shop.films(), shop.films());
    let held = ask(&holder, 1);
    while shop.tier.keys().is_empty() {
        tokio::task::yield_now().await;
    }
    let waiting = ask(&waiter, 1);
    let began = tokio::time::Instant::now();
    held.await.unwrap().unwrap_err();
    shop.repository.set_failing(false);
    assert!(waiting.await.unwrap().unwrap().is_some());
    // The holder's load, a pause between two polls, and the waiter's own load.
    assert!(began.elapsed() <= Duration::from_millis(100 + 32 + 100 + 5), "{:?}", began.elapsed());
}

/// A write while a node loads takes its right away: another node that waits for the load loads the new row at once.
#[tokio::test(start_paused = true)]
async fn an_invalidation_frees_those_who_wait_at_once() {
    let shop = Shop::new(1);
    let (holder, waiter) = (shop.films(), shop.films());
    shop.repository.hold_loads();
    let held = ask(&holder, 1);
    while shop.repository.loads() == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = ask(&waiter, 1);
    settle().await;
    shop.repository.put(Film { version: 1, ..film(1) });
    holder.invalidate([1]).await.unwrap();
    let began = tokio::time::Instant::now();
    while shop.repository.loads() == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(began.elapsed() <= Duration::from_millis(40), "{:?}", began.elapsed());
    shop.repository.release_loads();
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().version, 1);
    held.await.unwrap().unwrap();
    let kept = look(&shop.films(), Lookup::one(1)).await.unwrap().unwrap();
    assert_eq!((kept.source, kept.entry.into_present().unwrap().version), (Level::L2, 1));
}

/// A holder that outlives its right while another node fills can't overwrite what that one stored.
#[tokio::test(start_paused = true)]
async fn a_holder_that_comes_back_late_overwrites_nothing() {
    let shop = Shop::new(1);
    let (frozen, other) = (shop.films(), shop.films());
    shop.repository.hold_loads();
    let held = ask(&frozen, 1);
    while shop.repository.loads() == 0 {
        tokio::task::yield_now().await;
    }
    // The node's clock stood still for it: its timers are not due, and the right has ended.
    shop.manual.advance(shop.settings.right_life());
    shop.repository.put(Film { version: 1, ..film(1) });
    let taken = ask(&other, 1);
    while shop.repository.loads() == 1 {
        tokio::task::yield_now().await;
    }
    shop.repository.release_loads();
    assert_eq!(taken.await.unwrap().unwrap().unwrap().version, 1);
    assert_eq!(held.await.unwrap().unwrap().unwrap().version, 0, "it is told what it read");
    let held = look(&shop.films(), Lookup::one(1)).await.unwrap().unwrap();
    assert_eq!((held.source, held.entry.into_present().unwrap().version), (Level::L2, 1));
}
