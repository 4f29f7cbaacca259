//! A stale answer at once, and one bounded refresh behind it.

use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{Accept, Age, Cache, ErrorKind, Level, Lookup};

use crate::shop::{Shop, look, settle};

/// A shop whose films are fresh for 10 s and stale for 60 s more, with the first `count` of them cached and stale.
async fn stale_shop(count: i32) -> (Shop, Cache<Film>) {
    let mut shop = Shop::new(count);
    shop.freshness = shop.freshness.fresh_for(Duration::from_secs(10)).stale_for(Duration::from_secs(60));
    let films = stale(&shop, count).await;
    (shop, films)
}

async fn stale(shop: &Shop, count: i32) -> Cache<Film> {
    let films = shop.films();
    films.objects_by_pks(1..=count).await.unwrap();
    shop.pass_s(10);
    for pk in 1..=count {
        shop.repository.put(Film { version: 1, ..film(pk) });
    }
    films
}

async fn version(films: &Cache<Film>, pk: i32) -> i64 {
    films.get(pk).await.unwrap().unwrap().version
}

/// 100 callers of a stale row are answered at once with what is there, and cause one load behind them.
#[tokio::test(start_paused = true)]
async fn a_stale_answer_comes_at_once_and_one_refresh_behind_it() {
    let (shop, films) = stale_shop(1).await;
    shop.repository.set_delay(Duration::from_millis(50));
    let began = tokio::time::Instant::now();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn({
                let films = films.clone();
                async move { look(&films, Lookup::one(1)).await.unwrap().unwrap() }
            })
        })
        .collect();
    for caller in callers {
        let answer = caller.await.unwrap();
        assert_eq!((answer.age, answer.entry.into_present().unwrap().version), (Age::Stale, 0));
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited");
    films.namespace().shutdown().await;
    assert_eq!(shop.repository.loads(), 2, "the first load, and one refresh for all");
    assert_eq!(version(&films, 1).await, 1);
    assert_eq!(version(&shop.films(), 1).await, 1, "other nodes find the refreshed row in L2");
    assert_eq!(shop.repository.loads(), 2);
    assert_eq!((films.stats().refreshes, films.stats().refreshes_failed), (1, 0));
}

/// Of several nodes with the same stale row one refreshes; the others leave it to that one, and wait for nobody.
#[tokio::test(start_paused = true)]
async fn one_node_refreshes_for_all() {
    let (shop, films) = stale_shop(1).await;
    let nodes: Vec<_> = (0..5).map(|_| shop.films()).collect();
    shop.repository.set_delay(Duration::from_millis(50));
    for node in nodes.iter().chain([&films]) {
        assert_eq!(version(node, 1).await, 0);
    }
    for node in nodes.iter().chain([&films]) {
        node.namespace().shutdown().await;
    }
    assert_eq!(shop.repository.loads(), 2, "one refresh in the fleet");
    assert_eq!(version(&shop.films(), 1).await, 1);
}

/// A batch of stale rows is refreshed by one load, and the fresh and missing ones of the batch are left out of it.
#[tokio::test(start_paused = true)]
async fn a_batch_is_refreshed_together() {
    let (shop, films) = stale_shop(3).await;
    shop.repository.put(film(8));
    films.get(8).await.unwrap();
    let rows = films.objects_by_pks([3, 8, 1, 2]).await.unwrap();
    assert_eq!(rows.iter().flatten().count(), 4);
    films.namespace().shutdown().await;
    assert_eq!(shop.repository.loaded(), [vec![1, 2, 3], vec![8], vec![3, 1, 2]]);
}

/// At most `refreshes_in_flight` keys at once; what is left out is counted, answered stale, and taken the next time.
#[tokio::test(start_paused = true)]
async fn refreshes_are_bounded_and_the_rest_is_counted() {
    let (mut shop, _) = stale_shop(0).await;
    shop.settings.refreshes_in_flight = 3;
    for pk in 1..=10 {
        shop.repository.put(film(pk));
    }
    let films = stale(&shop, 10).await;
    shop.repository.hold_loads();
    let rows = films.objects_by_pks(1..=10).await.unwrap();
    assert!(rows.iter().flatten().all(|film| film.version == 0));
    settle().await;
    assert_eq!((films.stats().refreshes, films.stats().refreshes_skipped), (3, 7));
    assert_eq!(version(&films, 9).await, 0, "still stale, and still answered");
    assert_eq!(films.stats().refreshes_skipped, 8);
    assert_eq!(version(&films, 1).await, 0, "one under way is not begun again");
    assert_eq!(films.stats().refreshes_skipped, 8, "nor skipped");
    shop.repository.release_loads();
    settle().await;
    assert_eq!(shop.repository.loaded().last().unwrap(), &[1, 2, 3]);
    films.objects_by_pks(1..=10).await.unwrap();
    films.namespace().shutdown().await;
    assert_eq!(shop.repository.loaded().last().unwrap(), &[4, 5, 6], "the next ones");
}

/// A refresh that fails leaves the stale row answering, and is not tried again before `refresh_retry_after`.
#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_retried_only_after_a_while() {
    let (shop, films) = stale_shop(1).await;
    shop.repository.set_failing(true);
    for _ in 0..50 {
        assert_eq!(version(&films, 1).await, 0);
        settle().await;
    }
    assert_eq!((shop.repository.loads(), films.stats().refreshes_failed), (2, 1));
    tokio::time::sleep(shop.settings.refresh_retry_after + Duration::from_millis(1)).await;
    assert_eq!(version(&films, 1).await, 0);
    settle().await;
    assert_eq!((shop.repository.loads(), films.stats().refreshes_failed), (3, 2), "tried again");
    assert_eq!(films.stats().errors, 0, "no caller was told");
    shop.repository.set_failing(false);
    tokio::time::sleep(shop.settings.refresh_retry_after + Duration::from_millis(1)).await;
    assert_eq!(version(&films, 1).await, 0);
    films.namespace().shutdown().await;
    assert_eq!(version(&films, 1).await, 1);
    shop.repository.set_failing(true);
    shop.pass_s(70);
    assert_eq!(films.get(1).await.unwrap_err().kind(), ErrorKind::Origin, "expired, it answers no more");
}

/// A row that was deleted at the origin is found absent by the refresh, and so remembered.
#[tokio::test(start_paused = true)]
async fn a_row_deleted_behind_a_stale_answer_becomes_absent() {
    let (shop, films) = stale_shop(2).await;
    shop.repository.remove(2);
    assert_eq!(films.present_by_pks([1, 2]).await.unwrap().len(), 2, "stale");
    films.namespace().shutdown().await;
    let rows = films.objects_by_pks([1, 2]).await.unwrap();
    assert_eq!((rows[0].as_ref().unwrap().version, rows[1].is_none()), (1, true));
    assert_eq!(shop.repository.loads(), 2);
}

/// A lookup that accepts fresh rows only is never answered with a stale one, from either tier.
#[tokio::test(start_paused = true)]
async fn a_lookup_for_fresh_rows_never_gets_a_stale_one() {
    let (shop, films) = stale_shop(2).await;
    let answer = look(&films, Lookup::one(1).accept(Accept::Fresh)).await.unwrap().unwrap();
    assert_eq!((answer.source, answer.age), (Level::Origin, Age::Fresh));
    assert_eq!(answer.entry.into_present().unwrap().version, 1);
    let nothing = look(&films, Lookup::one(2).accept(Accept::Fresh).never_load()).await.unwrap();
    assert!(nothing.is_none(), "a stale row is nothing to it");
    shop.repository.set_failing(true);
    let error = look(&shop.films(), Lookup::one(2).accept(Accept::Fresh)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin, "rather an error than a stale row");
    settle().await;
    assert_eq!(films.stats().refreshes + films.stats().refreshes_failed, 0, "it caused no refresh");
}

/// `shutdown` waits for refreshes under way; nothing is written after it.
#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_refreshes() {
    let (shop, films) = stale_shop(1).await;
    shop.repository.hold_loads();
    assert_eq!(version(&films, 1).await, 0);
    let node = films.namespace().clone();
    let ended = tokio::spawn(async move { node.shutdown().await });
    settle().await;
    assert!(!ended.is_finished(), "a refresh is under way");
    shop.repository.release_loads();
    ended.await.unwrap();
    let text = films.key_text(1).unwrap();
    let held = shop.tier.bytes(text.as_bytes());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(shop.tier.bytes(text.as_bytes()), held);
    assert_eq!(version(&films, 1).await, 1);
    films.namespace().shutdown().await;
}

/// A key that another node is renewing is left alone for a while: stale hits don't ask L2 about it again and again.
#[tokio::test(start_paused = true)]
async fn a_refresh_left_to_another_node_is_not_tried_again_at_once() {
    let shop = Shop::new(1);
    let (holder, films) = (shop.films(), shop.films());
    films.get(1).await.unwrap();
    shop.pass_s(301);
    shop.repository.hold_loads();
    holder.get(1).await.unwrap();
    while shop.repository.loads() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        assert!(films.get(1).await.unwrap().is_some());
        settle().await;
    }
    assert_eq!((films.stats().refreshes, films.stats().refreshes_failed), (1, 0));
    shop.repository.release_loads();
}

/// Keys whose refresh failed hold no place of those that may run.
#[tokio::test(start_paused = true)]
async fn failed_refreshes_take_no_place_of_others() {
    let mut shop = Shop::new(4);
    shop.settings.refreshes_in_flight = 2;
    let films = shop.films();
    films.objects_by_pks(1..=4).await.unwrap();
    shop.pass_s(301);
    shop.repository.set_failing(true);
    films.objects_by_pks([1, 2]).await.unwrap();
    settle().await;
    assert_eq!(films.stats().refreshes_failed, 2);
    shop.repository.set_failing(false);
    films.objects_by_pks([3, 4]).await.unwrap();
    settle().await;
    assert_eq!((films.stats().refreshes, films.stats().refreshes_skipped), (4, 0));
}

/// A shutdown waits for a refresh whose cache is gone already.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_refresh_of_a_dropped_cache() {
    let shop = Shop::new(1);
    let node = shop.node();
    let (films, other) = (shop.films_of(&node), shop.films());
    films.get(1).await.unwrap();
    shop.pass_s(301);
    shop.repository.set_delay(Duration::from_secs(1));
    films.get(1).await.unwrap();
    drop(films);
    node.shutdown().await;
    let record = shop.tier.bytes(b"shop:film:film_id=1");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(shop.tier.bytes(b"shop:film:film_id=1"), record, "nothing is written after a shutdown");
    assert_eq!(
        look(&other, Lookup::one(1)).await.unwrap().unwrap().source,
        Level::L2,
        "it was renewed before"
    );
}

/// After a shutdown stale rows are answered still, and nothing is begun behind them.
#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_no_refresh_begin() {
    let (shop, films) = stale_shop(1).await;
    films.namespace().shutdown().await;
    let loads = shop.repository.loads();
    assert_eq!(version(&films, 1).await, 0);
    settle().await;
    assert_eq!((films.stats().refreshes, shop.repository.loads()), (0, loads));
}
