//! Write-through: when L2 takes the row that a write stored, and when not.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tests::{Film, FilmTitle, film};
use tierstack_core::{
    BoxFuture, Cache, Channel, ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Level,
    Lookup, Mark, MemoryTier, Namespace, Reply, Stamp, Tier, Touched, WireKey, Xid,
};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::held::{below, land, reader};
use crate::consistency::LateInvalidations;
use crate::shop::{Shop, look, settle};

const WITHIN: Duration = Duration::from_secs(5);

fn written(pk: i32, version: i64) -> Film {
    Film { version, ..film(pk) }
}

/// A node whose invalidations wait for permits, after the first, and its tier, which is the shop's.
fn late(shop: &Shop) -> (Arc<LateInvalidations>, Cache<Film>) {
    let tier = Arc::new(LateInvalidations(MemoryTier::clone(&shop.tier), Semaphore::new(1)));
    let node = Namespace::builder("shop").l2_shared(tier.clone()).clock(shop.manual.clock());
    (tier, shop.films_of(&node.random(shop.random.clone()).build().unwrap()))
}

/// Where a node has the first film from.
async fn source(films: &Cache<Film>) -> Level {
    look(films, Lookup::one(1)).await.unwrap().unwrap().source
}

/// The row that a write stored is in L2 when it is committed: nobody loads it, on any node, though nobody ever looked it up.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_put_is_answered_without_a_load() {
    let shop = Shop::new(2);
    let (films, other) = (shop.films(), shop.films());
    let mut write = films.begin_write([1, 2], WITHIN).await.unwrap();
    for version in [1, 2] {
        land(&shop, 1, version);
        write.put(&films, written(1, version)).unwrap();
    }
    land(&shop, 2, 1);
    write.commit().await.unwrap();
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 2);
    assert_eq!(below(&other, 1).await, (2, Level::L2));
    assert_eq!(shop.repository.loads(), 0);
    assert_eq!(below(&other, 2).await, (1, Level::Origin), "one that was not put is loaded");
    assert_eq!(below(&other, 2).await, (1, Level::L2), "and then stored: L2 is open");
    let stats = films.namespace().write_stats();
    assert_eq!((stats.put, stats.put_refused), (1, 0));
    other.invalidate([1]).await.unwrap();
    assert_eq!(below(&other, 1).await, (2, Level::Origin), "it is a row like any other");
}

/// Every node hears of a row that was put, though it stays: nobody joins a load that began under the hold, and read what the
/// write replaced.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_put_is_told() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    other.get(1).await.unwrap();
    settle().await;
    let mut write = films.begin_write([1], WITHIN).await.unwrap();
    settle().await;
    let slow = reader(&shop, &other, 1).await;
    land(&shop, 1, 1);
    write.put(&films, written(1, 1)).unwrap();
    write.commit().await.unwrap();
    settle().await;
    let late = tokio::spawn(async move { other.get(1).await.unwrap().unwrap().version });
    settle().await;
    assert!(late.is_finished(), "it waits for the load that began before the write landed");
    shop.repository.release_loads();
    assert_eq!((late.await.unwrap(), slow.await.unwrap()), (1, 0));
    assert_eq!(shop.repository.loads(), 2);
}

/// Who has read the row between its storing and the end of the write keeps it, on the node that wrote and on others.
#[tokio::test(start_paused = true)]
async fn what_was_read_of_a_row_that_is_put_stays() {
    let shop = Shop::new(1);
    let (tier, films) = late(&shop);
    let nodes = [films, shop.films()];
    for films in &nodes {
        films.get(1).await.unwrap();
    }
    let mut write = nodes[0].begin_write([1], WITHIN).await.unwrap();
    settle().await;
    land(&shop, 1, 1);
    write.put(&nodes[0], written(1, 1)).unwrap();
    let commit = tokio::spawn(write.commit());
    settle().await;
    for films in &nodes {
        assert_eq!(source(films).await, Level::L2);
    }
    tier.1.add_permits(1);
    commit.await.unwrap().unwrap();
    settle().await;
    for films in &nodes {
        assert_eq!(source(films).await, Level::L1);
    }
}

/// The end of a write that L2 gets late spares nothing: that of another write may have been united with it.
#[tokio::test(start_paused = true)]
async fn a_commit_that_is_delivered_late_spares_nothing() {
    let shop = Shop::new(1);
    let other = shop.films();
    let (tier, films) = late(&shop);
    let mut write = films.begin_write([1], WITHIN).await.unwrap();
    land(&shop, 1, 1);
    write.put(&films, written(1, 1)).unwrap();
    {
        let mut commit = pin!(write.commit());
        assert!(poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await.is_pending());
    }
    assert_eq!(below(&other, 1).await, (1, Level::L2));
    tier.1.add_permits(9);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(below(&other, 1).await, (1, Level::Origin));
}

/// What a row that was put rests on lives as long as it does, though nobody loads anything.
#[tokio::test(start_paused = true)]
async fn a_row_that_was_put_stays() {
    let shop = Shop::new(1);
    let films = shop.films();
    let mut write = films.begin_write([1], WITHIN).await.unwrap();
    land(&shop, 1, 1);
    write.put(&films, written(1, 1)).unwrap();
    write.commit().await.unwrap();
    for _ in 0..3 {
        shop.pass_s(90);
        assert_eq!(below(&films, 1).await, (1, Level::L2));
    }
}

/// Another write held the row when this one began, or came since: whose value is the newer nobody can tell.
#[tokio::test(start_paused = true)]
async fn a_row_that_another_write_touched_is_not_put() {
    for (first_begins, first_ends) in [(true, false), (true, true), (false, false), (false, true)] {
        let shop = Shop::new(1);
        let films = [shop.films(), shop.films()];
        let begin = |node: usize| films[node].begin_write([1], WITHIN);
        let (other, mut write) = if first_begins {
            let other = begin(0).await.unwrap();
            (other, begin(1).await.unwrap())
        } else {
            let write = begin(1).await.unwrap();
            (begin(0).await.unwrap(), write)
        };
        land(&shop, 1, 1);
        write.put(&films[1], written(1, 1)).unwrap();
        land(&shop, 1, 2);
        if first_ends {
            other.commit().await.unwrap();
        } else {
            drop(other);
        }
        write.commit().await.unwrap();
        let case = format!("first begins: {first_begins}, ends: {first_ends}");
        assert_eq!(below(&films[1], 1).await, (2, Level::Origin), "{case}");
        shop.pass_s(10);
        assert_eq!(below(&films[1], 1).await.0, 2, "{case}");
        assert_eq!(films[1].namespace().write_stats().put_refused, 1, "{case}");
    }
}

/// A write without a hold, or one whose hold ended and let a reader fill, puts nothing.
#[tokio::test(start_paused = true)]
async fn a_row_is_not_put_once_the_hold_has_ended_and_another_has_filled() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    let mut write = films.begin_write([1], WITHIN).await.unwrap();
    write.put(&films, written(1, 1)).unwrap();
    shop.pass_s(10);
    land(&shop, 1, 2);
    assert_eq!(below(&other, 1).await, (2, Level::Origin));
    write.commit().await.unwrap();
    assert_eq!(below(&other, 1).await, (2, Level::Origin), "the write ended: what was there is gone");
}

/// A write of the whole entity, under way when this one began, or made since: the row may lack what that wrote.
#[tokio::test(start_paused = true)]
async fn a_row_is_not_put_under_a_write_of_its_whole_entity() {
    for (before, outlives) in [(true, true), (true, false), (false, true)] {
        let shop = Shop::new(1);
        let (films, other) = (shop.films(), shop.films());
        let begin_all = async || {
            let mut touched = Touched::new(other.namespace());
            touched.entity::<Film>().unwrap();
            other.namespace().begin_write(touched, WITHIN).await.unwrap()
        };
        let early = if before { Some(begin_all().await) } else { None };
        // Its writer is dead, and what it sent lands at some time before its hold ends.
        drop(early);
        if !outlives {
            shop.pass_s(3);
        }
        let mut write = films.begin_write([1], Duration::from_secs(60)).await.unwrap();
        land(&shop, 1, 1);
        write.put(&films, written(1, 1)).unwrap();
        if !before {
            drop(begin_all().await);
        }
        land(&shop, 1, 2);
        if !outlives {
            shop.pass_s(5);
        }
        write.commit().await.unwrap();
        shop.pass_s(10);
        assert_eq!(below(&films, 1).await.0, 2, "before: {before}, outlives: {outlives}");
    }
}

/// The row of an origin that says what its writes have seen: L2 takes it for its marks, and a mark of the same write after
/// it leaves it there, and tells every node.
#[tokio::test(start_paused = true)]
async fn a_row_is_put_with_the_stamp_of_its_write() {
    let shop = Shop::new(1);
    let (films, other) = (shop.films(), shop.films());
    let xid = Xid { system: 7, timeline: 1, id: 9 };
    let mut touched = Touched::new(films.namespace());
    touched.rows::<Film>([1]).unwrap();
    for (seen, taken) in [(9, 0), (10, 1)] {
        let claimed = Mark::begun().xids([xid]).claim(shop.random.token(), Duration::from_secs(5));
        let marked = touched.mark(claimed).await.unwrap();
        let put = tierstack_core::Put::of(&films, written(1, 1)).unwrap();
        let stamp = Stamp::new(7, 1, seen, seen, &[]);
        assert_eq!(touched.put(&marked, Some(&stamp), &[put]).await, taken, "{seen}");
        touched.mark(Mark::finished().xids([xid])).await.unwrap();
    }
    land(&shop, 1, 1);
    assert_eq!(below(&other, 1).await, (1, Level::L2));
}

/// A row that the write does not touch by its key, and a projection, are refused at once.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_not_touched_is_refused() {
    let shop = Shop::new(2);
    let node = shop.node();
    let (films, titles) = (shop.films_of(&node), shop.titles_of(&node));
    let mut write = films.begin_write([1], WITHIN).await.unwrap();
    for error in [
        write.put(&films, film(2)).unwrap_err(),
        write.put(&shop.films(), film(1)).unwrap_err(),
        write.put(&titles, FilmTitle { film_id: 1, title: String::new() }).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let mut touched = Touched::new(&node);
    touched.entity::<Film>().unwrap();
    let mut whole = node.begin_write(touched, WITHIN).await.unwrap();
    assert_eq!(whole.put(&films, film(1)).unwrap_err().kind(), ErrorKind::Invalid);
    write.rollback().await.unwrap();
    whole.rollback().await.unwrap();
}

/// An origin that lags, and a write that is rolled back, put nothing.
#[tokio::test(start_paused = true)]
async fn a_write_that_settles_or_is_rolled_back_puts_nothing() {
    let shop = Shop::new(1);
    let films = shop.films();
    let mut write = films.begin_write([1], WITHIN).await.unwrap();
    write.put(&films, written(1, 9)).unwrap();
    write.rollback().await.unwrap();
    assert_eq!(below(&films, 1).await, (0, Level::Origin));
    let mut write = films.begin_write([1], WITHIN).await.unwrap().settle(Duration::from_secs(9));
    write.put(&films, written(1, 9)).unwrap();
    write.commit().await.unwrap();
    assert_eq!(below(&films, 1).await, (0, Level::Origin));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(films.namespace().write_stats().put, 0);
}

/// A tier that takes no fills, and doesn't say so.
struct HungFills(Arc<MemoryTier>);

impl Tier for HungFills {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.0.read(keys)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.0.lease(leases)
    }

    fn fill<'a>(&'a self, _: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        Box::pin(pending())
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.0.invalidate(channel, invalidations)
    }
}

/// A commit whose row is not taken in time, or that is dropped while it waits for that, ends the write all the same.
#[tokio::test(start_paused = true)]
async fn a_commit_ends_the_write_whatever_becomes_of_its_rows() {
    for dropped in [false, true] {
        let shop = Shop::new(1);
        let node = tierstack_core::Namespace::builder("shop").l2(HungFills(shop.tier.clone()));
        let node = node.clock(shop.manual.clock()).random(shop.random.clone()).build().unwrap();
        let (films, other) = (shop.films_of(&node), shop.films());
        let mut write = films.begin_write([1], Duration::from_secs(3_000)).await.unwrap();
        land(&shop, 1, 1);
        write.put(&films, written(1, 1)).unwrap();
        if dropped {
            let mut commit = pin!(write.commit());
            assert!(poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await.is_pending());
        } else {
            write.commit().await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(below(&other, 1).await, (1, Level::Origin), "dropped: {dropped}");
        assert_eq!(below(&other, 1).await, (1, Level::L2), "dropped: {dropped}");
    }
}
