//! Writes fenced by holds: what L2 takes while one is under way, and who opens it again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{
    Cache, Entity, ErrorKind, L1, Level, Lookup, ManualClock, Mark, MemoryTier, Namespace, Random, Touched,
    WithoutL2, Xid,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::consistency::LateInvalidations;
use crate::shop::{Shop, look, rated_pg, settle};

const WITHIN: Duration = Duration::from_secs(5);

/// The version that a node answers from L2, or loads, past its L1; and where it came from.
pub(super) async fn below(films: &Cache<Film>, pk: i32) -> (i64, Level) {
    let answer = look(films, Lookup::one(pk).skip_l1()).await.unwrap().unwrap();
    (answer.entry.into_present().unwrap().version, answer.source)
}

pub(super) fn land(shop: &Shop, pk: i32, version: i64) {
    shop.repository.put(Film { version, ..film(pk) });
}

/// A lookup whose load has read, and is held before it returns.
pub(super) async fn reader(shop: &Shop, films: &Cache<Film>, pk: i32) -> JoinHandle<i64> {
    shop.repository.hold_loads();
    let films = films.clone();
    let reader = tokio::spawn(async move { films.get(pk).await.unwrap().unwrap().version });
    settle().await;
    reader
}

/// While a write is under way, nobody fills what it touches; when it is committed, all answer what it wrote, and L2 is open
/// again.
#[tokio::test(start_paused = true)]
async fn a_write_closes_l2_until_it_is_committed() {
    let shop = Shop::new(3);
    let (films, other) = (shop.films(), shop.films());
    for films in [&films, &other] {
        films.objects_by_pks([1, 2]).await.unwrap();
    }
    let write = films.begin_write([1], WITHIN).await.unwrap();
    assert!(write.is_held());
    assert_eq!(below(&other, 1).await, (0, Level::Origin), "the row may be old soon");
    assert_eq!(below(&other, 1).await, (0, Level::Origin), "and is not stored again");
    assert_eq!(below(&other, 2).await, (0, Level::L2), "another is not concerned");
    let late = reader(&shop, &other, 3).await;
    let slow = reader(&shop, &shop.films(), 1).await;
    land(&shop, 1, 1);
    let token = write.commit().await.unwrap();
    assert!(token.is_must_load());
    shop.repository.release_loads();
    assert_eq!((late.await.unwrap(), slow.await.unwrap()), (0, 0));
    assert_eq!(
        films.get(1).await.unwrap().unwrap().version,
        1,
        "what was loaded during the write is not stored"
    );
    assert_eq!(below(&other, 1).await, (1, Level::L2));
    let stats = films.namespace().write_stats();
    assert_eq!((stats.begun, stats.committed, stats.abandoned), (1, 1, 0));
}

/// The writer dies, or gives up, and its write lands all the same: nothing that was loaded before is stored, and L2 stays
/// closed until the hold ends.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_dropped_opens_nothing() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    films.get(1).await.unwrap();
    let write = films.begin_write([1], WITHIN).await.unwrap();
    drop(write);
    sleep(Duration::from_secs(1)).await;
    let slow = reader(&shop, &other, 1).await;
    land(&shop, 1, 1);
    shop.repository.release_loads();
    assert_eq!(slow.await.unwrap(), 0);
    assert_eq!(films.namespace().write_stats().abandoned, 1);
    for _ in 0..2 {
        assert_eq!(below(&other, 1).await, (1, Level::Origin), "it is closed");
    }
    shop.pass_s(9);
    assert_eq!(below(&other, 1).await, (1, Level::Origin), "the hold has ended");
    assert_eq!(below(&other, 1).await, (1, Level::L2));
}

/// Of two writes, each opens what it held itself only: one that ended doesn't open what the other still may write.
#[tokio::test(start_paused = true)]
async fn a_commit_opens_its_own_hold_only() {
    let shop = Shop::new(1);
    let films = [shop.films(), shop.films(), shop.films()];
    let crashed = films[0].begin_write([1], WITHIN).await.unwrap();
    let write = films[1].begin_write([1], WITHIN).await.unwrap();
    drop(crashed);
    sleep(Duration::from_secs(1)).await;
    land(&shop, 1, 2);
    write.commit().await.unwrap();
    let slow = reader(&shop, &films[2], 1).await;
    land(&shop, 1, 1);
    shop.repository.release_loads();
    assert_eq!(slow.await.unwrap(), 2);
    assert_eq!(below(&films[2], 1).await, (1, Level::Origin), "the crashed write landed after that load");
    let rolled_back = films[1].begin_write([1], WITHIN).await.unwrap();
    rolled_back.rollback().await.unwrap();
    assert_eq!(below(&films[2], 1).await, (1, Level::Origin), "nor does a rollback open it");
    assert_eq!(films[1].namespace().write_stats().rolled_back, 1);
}

/// A rollback opens L2 at once.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_rolled_back_opens_l2() {
    let shop = Shop::new(1);
    let films = shop.films();
    films.begin_write([1], WITHIN).await.unwrap().rollback().await.unwrap();
    assert_eq!(below(&films, 1).await.1, Level::Origin);
    assert_eq!(below(&films, 1).await.1, Level::L2);
}

/// The writer is told how long its write may still take: all it asked for, though the acknowledgement took time, and less
/// from then on. The hold outlives that.
#[tokio::test(start_paused = true)]
async fn a_write_has_the_time_it_asked_for() {
    let shop = Shop::new(1);
    let films = shop.films();
    let write = films.begin_write([1], WITHIN).await.unwrap();
    assert!(write.remaining() >= WITHIN, "{:?}", write.remaining());
    shop.pass_s(4);
    assert!(write.remaining() < Duration::from_secs(2));
    shop.pass_s(2);
    assert_eq!(write.remaining(), Duration::ZERO);
    drop(write);
    for _ in 0..2 {
        assert_eq!(below(&films, 1).await.1, Level::Origin, "the hold stands a little longer");
    }
    drop(films.begin_write([1], Duration::from_secs(3_000)).await.unwrap());
    shop.pass_s(2_000);
    for _ in 0..2 {
        assert_eq!(below(&films, 1).await.1, Level::Origin, "longer than a floor of no write's does");
    }
    for (within, word) in [(Duration::ZERO, "more than nothing"), (Duration::from_secs(3_601), "at most 1 h")]
    {
        let error = films.begin_write([1], within).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(word), "{error}");
    }
    let of_another = Touched::new(&shop.node());
    let error = films.namespace().begin_write(of_another, WITHIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// A write that can't be fenced is refused, or made without a hold and counted, as the settings say; then its end is an
/// invalidation like any other.
#[tokio::test(start_paused = true)]
async fn a_write_without_l2_is_refused_or_made_without_a_hold() {
    let mut shop = Shop::new(1);
    let films = shop.films();
    films.get(1).await.unwrap();
    shop.tier.set_outage(true);
    let error = films.begin_write([1], WITHIN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(films.namespace().write_stats().begun, 0);

    shop.writes.without_l2 = WithoutL2::Write;
    let films = shop.films();
    let write = films.begin_write([1], WITHIN).await.unwrap();
    assert!(!write.is_held());
    assert_eq!(films.namespace().write_stats().without_hold, 1);
    land(&shop, 1, 1);
    shop.tier.set_outage(false);
    write.commit().await.unwrap();
    assert_eq!(below(&films, 1).await, (1, Level::Origin));
    assert_eq!(below(&films, 1).await, (1, Level::L2));
}

/// The end of a write that L2 did not get is kept: it opens L2, for every node, as soon as it is back.
#[tokio::test(start_paused = true)]
async fn a_commit_that_l2_did_not_get_is_delivered_late() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    let write = films.begin_write([1], Duration::from_secs(3_000)).await.unwrap();
    land(&shop, 1, 1);
    shop.tier.set_outage(true);
    assert_eq!(write.commit().await.unwrap_err().kind(), ErrorKind::Undelivered);
    shop.tier.set_outage(false);
    for _ in 0..2 {
        assert_eq!(below(&other, 1).await, (1, Level::Origin), "it is still closed");
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(below(&other, 1).await, (1, Level::Origin));
    assert_eq!(below(&other, 1).await, (1, Level::L2));
}

/// A commit that is dropped midway is one all the same.
#[tokio::test(start_paused = true)]
async fn a_commit_that_is_dropped_midway_takes_effect() {
    let manual = ManualClock::new();
    let tier = Arc::new(LateInvalidations(MemoryTier::with_clock(1_000, manual.clock()), Semaphore::new(0)));
    let repository = tests::Repository::new([film(7)]);
    let shop =
        Namespace::builder("shop").l2_shared(tier.clone()).clock(manual.clock()).random(Random::seeded(7));
    let films =
        shop.build().unwrap().cache::<Film>().l1(L1::capacity(9)).origin(repository.films()).build().unwrap();
    tier.1.add_permits(1);
    let write = films.begin_write([7], Duration::from_secs(3_000)).await.unwrap();
    {
        let mut commit = pin!(write.commit());
        assert!(poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await.is_pending());
    }
    tier.1.add_permits(9);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(below(&films, 7).await.1, Level::Origin);
    assert_eq!(below(&films, 7).await.1, Level::L2, "it is open, long before the hold would have ended");
    assert_eq!(films.namespace().write_stats().abandoned, 0);
}

/// An origin that reads a replica which lags: L2 stays closed for that long after the commit, whatever the write's own time,
/// and though the commit reached L2 late.
#[tokio::test(start_paused = true)]
async fn an_origin_that_lags_keeps_l2_closed_after_the_commit() {
    let shop = Shop::new(1);
    let films = shop.films();
    let lag = Duration::from_secs(30);
    for outage in [false, true] {
        let write = films.begin_write([1], WITHIN).await.unwrap().settle(lag);
        assert_eq!(below(&films, 1).await.1, Level::Origin);
        shop.tier.evict(films.key_text(1).unwrap().as_bytes());
        shop.tier.set_outage(outage);
        assert_eq!(write.commit().await.is_err(), outage);
        shop.tier.set_outage(false);
        sleep(Duration::from_secs(2)).await;
        shop.pass_s(26);
        for _ in 0..2 {
            assert_eq!(below(&films, 1).await.1, Level::Origin, "the replica may not have it yet");
        }
        shop.pass_s(4);
        assert_eq!(below(&films, 1).await.1, Level::Origin);
        assert_eq!(below(&films, 1).await.1, Level::L2);
    }
    let write = films.begin_write([1], Duration::from_secs(3_000)).await.unwrap().settle(lag);
    write.commit().await.unwrap();
    shop.pass_s(31);
    assert_eq!(below(&films, 1).await.1, Level::Origin);
    assert_eq!(below(&films, 1).await.1, Level::L2, "no longer than that, either");
}

/// What is derived from rows is not stored while a write holds what it rests on, or has marked it: a list that was loaded
/// before the write landed would answer once the hold of a dead writer has ended.
#[tokio::test(start_paused = true)]
async fn nothing_is_stored_that_rests_on_a_held_record() {
    let shop = Shop::new(2);
    let (films, other) = (shop.films(), shop.films());
    let titles = |films: Vec<Arc<Film>>| films.iter().map(|film| film.film_id).collect::<Vec<_>>();
    other.list(&rated_pg()).await.unwrap();
    drop(films.begin_write([1], WITHIN).await.unwrap());
    settle().await;
    shop.pass_s(6);
    assert_eq!(titles(other.list(&rated_pg()).await.unwrap()), [1, 2], "loaded under the hold");
    shop.repository.put(Film { rating: "R".into(), ..film(1) });
    shop.pass_s(9);
    assert_eq!(titles(other.list(&rated_pg()).await.unwrap()), [2], "the hold has ended");

    // The same for rows of an entity that is held as a whole.
    other.get(2).await.unwrap();
    let mut touched = Touched::new(films.namespace());
    touched.entity::<Film>().unwrap();
    drop(films.namespace().begin_write(touched, WITHIN).await.unwrap());
    assert_eq!(below(&other, 2).await, (0, Level::Origin));
    land(&shop, 2, 1);
    shop.pass_s(9);
    assert_eq!(below(&other, 2).await, (1, Level::Origin));
    assert_eq!(below(&other, 2).await, (1, Level::L2));
}

/// Nor is what rests on a record whose marks the load has not seen.
#[tokio::test(start_paused = true)]
async fn nothing_is_stored_that_has_not_seen_the_marks_of_what_it_rests_on() {
    let shop = Shop::new(2);
    let films = shop.films();
    let mut touched = Touched::new(films.namespace());
    touched.rows::<Film>([2]).unwrap();
    touched.mark(Mark::begun().xids([Xid { system: 7, timeline: 1, id: 9 }])).await.unwrap();
    films.list(&rated_pg()).await.unwrap();
    let prefix = Film::schema().table;
    let stored = |text: &str| {
        shop.tier.keys().iter().filter(|key| key.windows(text.len()).any(|at| at == text.as_bytes())).count()
    };
    assert_eq!(stored(&format!("{prefix}:+")), 0, "{:?}", shop.tier.keys());
    assert_eq!(below(&films, 1).await.1, Level::L2, "a row that it does not touch is");
}
