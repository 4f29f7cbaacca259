//! Invalidations that did not reach L2: told, kept, and sent again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{
    Cache, ErrorKind, L1, Level, Lookup, ManualClock, Mark, MemoryTier, Namespace, Random, Touched,
};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::consistency::LateInvalidations;
use crate::shop::{Shop, look, rated_pg, settle};

/// The version that a node answers from L2, or loads, past its L1; and where it came from.
async fn below(films: &Cache<Film>, pk: i32) -> (i64, Level) {
    let answer = look(films, Lookup::one(pk).skip_l1()).await.unwrap().unwrap();
    (answer.entry.into_present().unwrap().version, answer.source)
}

fn write(shop: &Shop, pk: i32, version: i64) {
    shop.repository.put(Film { version, ..film(pk) });
}

/// The caller is told; this node answers nothing older from then on, though L2 is back before the invalidation is; L2 gets
/// it by itself, and every node answers the new row.
#[tokio::test(start_paused = true)]
async fn an_invalidation_that_l2_did_not_get_is_told_kept_and_delivered_late() {
    let shop = Shop::new(3);
    let (films, other) = (shop.films(), shop.films());
    films.objects_by_pks([1, 2]).await.unwrap();
    films.list(&rated_pg()).await.unwrap();
    shop.tier.set_outage(true);
    write(&shop, 1, 1);
    let error = films.invalidate([1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undelivered);
    assert!(error.to_string().contains("2 invalidations") && error.to_string().contains("kept"), "{error}");
    shop.tier.set_outage(false);

    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
    assert_eq!(below(&films, 1).await, (1, Level::Origin), "the record in L2 is from before the write");
    assert_eq!(below(&films, 2).await, (0, Level::L2), "no other key is concerned");
    let lists = shop.repository.queries().len();
    films.list(&rated_pg()).await.unwrap();
    assert_eq!(shop.repository.queries().len(), lists + 1, "nor does L2 answer a list that rests on the row");
    assert_eq!(below(&other, 1).await, (0, Level::L2), "another node can't know");
    let stats = films.namespace().write_stats();
    assert_eq!((stats.undelivered, stats.kept, stats.delivered_late), (2, 2, 0));

    sleep(Duration::from_secs(1)).await;
    let stats = films.namespace().write_stats();
    assert_eq!((stats.undelivered, stats.delivered_late, stats.oldest_undelivered), (0, 2, None));
    assert_eq!(below(&other, 1).await, (1, Level::Origin));
    assert_eq!(below(&films, 1).await, (1, Level::L2), "and L2 is filled and read again");
}

/// A load that began before the write leaves nothing in L2, when that is back before the invalidation is.
#[tokio::test(start_paused = true)]
async fn an_older_load_does_not_fill_before_the_invalidation_is_delivered() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    shop.repository.hold_loads();
    let reader = tokio::spawn({
        let films = films.clone();
        async move { films.get(1).await.unwrap().unwrap().version }
    });
    settle().await;
    write(&shop, 1, 1);
    shop.tier.set_outage(true);
    films.invalidate([1]).await.unwrap_err();
    shop.tier.set_outage(false);
    shop.repository.release_loads();
    assert_eq!(reader.await.unwrap(), 0, "it asked before the write");
    assert_eq!(below(&other, 1).await, (1, Level::Origin));
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
}

/// While L2 is away, it is asked ever more seldom, and by one task for all.
#[tokio::test(start_paused = true)]
async fn it_is_sent_again_with_growing_pauses() {
    let shop = Shop::new(0);
    let films = shop.films();
    shop.tier.set_outage(true);
    for pk in 1..=5 {
        films.invalidate([pk]).await.unwrap_err();
    }
    let stats = || films.namespace().write_stats();
    let mut before = stats().requests;
    let mut sent = Vec::new();
    for _ in 0..4 {
        sleep(Duration::from_secs(20)).await;
        sent.push(stats().requests - before);
        before = stats().requests;
    }
    assert!((7..=12).contains(&sent[0]), "{sent:?}: half a minute has few doublings of 100 ms");
    assert!(
        sent[1..].iter().all(|sent| (2..=4).contains(sent)),
        "{sent:?}: never more than 10 s, nor less than half"
    );
    assert!(stats().oldest_undelivered.unwrap() >= Duration::from_secs(79));
    shop.tier.set_outage(false);
    sleep(Duration::from_secs(11)).await;
    assert_eq!((stats().undelivered, stats().delivered_late), (0, 6));
}

/// Beyond the bound, the whole entity goes: no row of it is answered from before, those that found no room among them.
#[tokio::test(start_paused = true)]
async fn too_many_become_their_whole_entity() {
    let mut shop = Shop::new(20);
    shop.writes.max_undelivered = 5;
    let (films, other) = (shop.films(), shop.films());
    films.objects_by_pks(1..=20).await.unwrap();
    films.list(&rated_pg()).await.unwrap();
    shop.tier.set_outage(true);
    for pk in 1..=19 {
        write(&shop, pk, 1);
        films.invalidate([pk]).await.unwrap_err();
    }
    let stats = films.namespace().write_stats();
    assert!(stats.undelivered <= 7 && stats.overflowed > 0, "{stats:?}");
    shop.tier.set_outage(false);
    for pk in 1..=19 {
        assert_eq!(below(&films, pk).await.0, 1, "film {pk}");
    }
    sleep(Duration::from_secs(20)).await;
    for pk in 1..=20 {
        assert_eq!(below(&other, pk).await, (i64::from(pk < 20), Level::Origin), "film {pk}");
    }
    let lists = shop.repository.queries().len();
    shop.pass_s(6);
    other.list(&rated_pg()).await.unwrap();
    assert_eq!(shop.repository.queries().len(), lists + 1);
}

/// A shutdown delivers what it can, within its time, and says what it could not; nothing is sent after it.
#[tokio::test(start_paused = true)]
async fn a_shutdown_delivers_what_is_kept() {
    let shop = Shop::new(3);
    let (films, other) = (shop.films(), shop.films());
    films.objects_by_pks([1, 2]).await.unwrap();
    shop.tier.set_outage(true);
    write(&shop, 1, 1);
    films.invalidate([1]).await.unwrap_err();
    sleep(Duration::from_secs(60)).await;
    let began = tokio::time::Instant::now();
    assert_eq!(films.namespace().shutdown().await, 2);
    assert!(began.elapsed() <= Duration::from_millis(5_100), "{:?}", began.elapsed());
    let requests = films.namespace().write_stats().requests;
    shop.tier.set_outage(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(films.namespace().write_stats().requests, requests, "nothing is sent after a shutdown");
    assert_eq!(below(&other, 1).await.0, 0);

    assert_eq!(films.namespace().shutdown().await, 0, "another shutdown tries again");
    assert_eq!(below(&other, 1).await.0, 1);
}

/// The runtime in which it was to be sent again has ended: a lookup in another one begins anew.
#[test]
fn a_runtime_that_ends_takes_nothing_with_it() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (shop, films) = runtime().block_on(async {
        let shop = Shop::new(1);
        let films = shop.films();
        films.get(1).await.unwrap();
        shop.tier.set_outage(true);
        write(&shop, 1, 1);
        films.invalidate([1]).await.unwrap_err();
        (shop, films)
    });
    shop.tier.set_outage(false);
    runtime().block_on(async {
        assert_eq!(below(&films, 1).await, (1, Level::Origin));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(films.namespace().write_stats().undelivered, 0);
        assert_eq!(below(&shop.films(), 1).await, (1, Level::Origin));
    });
}

/// A caller that gives up on an invalidation has begun it: this node forgets at once, and L2 in the end.
#[tokio::test(start_paused = true)]
async fn an_invalidation_that_is_dropped_midway_takes_effect() {
    let manual = ManualClock::new();
    let tier = Arc::new(LateInvalidations(MemoryTier::with_clock(1_000, manual.clock()), Semaphore::new(0)));
    let repository = tests::Repository::new([film(7)]);
    let shop =
        Namespace::builder("shop").l2_shared(tier.clone()).clock(manual.clock()).random(Random::seeded(7));
    let films =
        shop.build().unwrap().cache::<Film>().l1(L1::capacity(9)).origin(repository.films()).build().unwrap();
    films.get(7).await.unwrap();
    repository.put(Film { version: 1, ..film(7) });
    {
        let mut invalidation = pin!(films.invalidate([7]));
        let polled = poll_fn(|cx| Poll::Ready(invalidation.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
    }
    assert_eq!(films.get(7).await.unwrap().unwrap().version, 1, "this node has forgotten the row");
    assert_eq!(below(&films, 7).await.0, 1);
    tier.1.add_permits(9);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(films.namespace().write_stats().undelivered, 0);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(below(&films, 7).await, (1, Level::Origin), "the record from before the write is gone");
    assert_eq!(below(&films, 7).await, (1, Level::L2));
}

/// A write whose caller can't wait leaves its invalidation to a task.
#[tokio::test(start_paused = true)]
async fn an_invalidation_can_be_left_to_a_task() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    films.get(1).await.unwrap();
    write(&shop, 1, 1);
    let mut touched = Touched::new(films.namespace());
    touched.rows::<Film>([1]).unwrap().mark_later(Mark::finished());
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(below(&other, 1).await, (1, Level::Origin));
}
