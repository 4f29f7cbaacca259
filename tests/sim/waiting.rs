//! Waiting for another node's load: bounded, and no way back for what was invalidated meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tests::{Film, film};
use tierstack_core::{
    BoxFuture, Channel, Error, ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Level,
    Lookup, MemoryTier, Namespace, Reply, Tier, WireKey,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::shop::{Shop, by_title, look, settle};

/// A lookup loads one title, waits for another that a second node loads, and the dependency record is lost meanwhile. What
/// it makes anew must not bear the token on which the first title rests: a write in between would go unseen.
#[tokio::test(start_paused = true)]
async fn a_dependency_record_that_was_lost_comes_back_under_another_token() {
    let shop = Shop::new(2);
    let (holder, films) = (shop.films(), shop.films());
    let title = |n: i32| format!("Film {n}");
    shop.repository.hold_loads();
    let held = tokio::spawn(async move { holder.objects_by(&by_title(), [title(2)]).await });
    while shop.repository.queries().is_empty() {
        tokio::task::yield_now().await;
    }
    // The dependency record is the waiter's to make: the holder's goes.
    shop.tier.evict(b"shop:film:!rows");
    let both = tokio::spawn({
        let films = films.clone();
        async move { films.objects_by(&by_title(), [title(1), title(2)]).await }
    });
    while shop.repository.queries().len() < 2 {
        tokio::task::yield_now().await;
    }
    // The first title is loaded and filled, the second one waited for.
    shop.repository.let_through();
    shop.repository.let_through();
    settle().await;
    shop.tier.evict(b"shop:film:!rows");
    shop.repository.put(Film { title: "Renamed".into(), version: 1, ..film(1) });
    shop.films().invalidate([1]).await.unwrap();
    shop.repository.release_loads();
    held.await.unwrap().unwrap();
    both.await.unwrap().unwrap();

    let found = shop.films().objects_by(&by_title(), [title(1)]).await.unwrap();
    assert_eq!(found, [None], "no film has that title any more");
}

/// A node took the right and is gone: a lookup waits for it, and loads within its own time.
#[tokio::test(start_paused = true)]
async fn a_lookup_that_waits_in_vain_has_time_left_to_load() {
    let mut shop = Shop::new(1);
    shop.take_right_and_die(1).await;
    shop.settings.lookup_timeout = Duration::from_secs(3);
    shop.settings.wait_for_load = Duration::from_millis(2_900);
    let began = tokio::time::Instant::now();
    assert_eq!(shop.films().get(1).await.unwrap().unwrap().film_id, 1);
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A load that its time ends gives its right up: the next lookup need not wait.
#[tokio::test(start_paused = true)]
async fn a_right_is_given_up_when_its_load_has_taken_too_long() {
    let mut shop = Shop::new(1);
    shop.settings.load_timeout = Duration::from_millis(400);
    let (first, second) = (shop.films(), shop.films());
    shop.repository.hold_loads();
    let began = tokio::time::Instant::now();
    let error = look(&first, Lookup::one(1)).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, Duration::from_millis(400)));
    assert_eq!(shop.rows_in_l2(), 0, "the floor went with its right");
    shop.repository.release_loads();
    let answer = look(&second, Lookup::one(1)).await.unwrap().unwrap();
    assert_eq!((answer.source, second.stats().waits), (Level::Origin, 0));
}

/// In a stack without single flight, where the caller's deadline ends the load, some of the time is kept back in which the
/// right is given up.
#[tokio::test(start_paused = true)]
async fn a_right_is_given_up_within_the_deadline_that_ended_its_load() {
    let shop = Shop::new(0);
    let counters = Arc::default();
    let never = service_fn(|_: Vec<i32>| pending::<Result<Vec<(i32, String)>, Error>>());
    let stack = ServiceBuilder::new()
        .layer(shop.l2_layer::<String>(1, &counters))
        .layer(shop.origin_layer::<String>(&counters))
        .service(never);
    let deadline = shop.manual.clock().coarse().plus(Duration::from_millis(400));
    let answers = stack.oneshot(Lookup::one(1).deadline(deadline)).await.unwrap();
    let (_, outcome) = answers.into_iter().next().unwrap();
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(shop.manual.clock().coarse() < deadline, "time was kept back for it");
    assert_eq!(shop.rows_in_l2(), 0, "the floor went with its right");
}

/// A batch whose rows are large stores what the bound allows, answers all, and leaves no key leased.
#[tokio::test(start_paused = true)]
async fn a_large_batch_is_stored_as_far_as_the_bound_allows() {
    let mut shop = Shop::new(10);
    shop.settings.max_fill_bytes = 1_000;
    let films = shop.films();
    let found = films.objects_by_pks(1..=10).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 10);
    let stored = shop.rows_in_l2();
    assert!((1..10).contains(&stored), "{stored} of 10 rows are in L2");
    let again = shop.films();
    assert_eq!(again.objects_by_pks(1..=10).await.unwrap(), found);
    assert_eq!((again.stats().waits, again.stats().l2.total()), (0, stored as u64));
}

/// A tier that takes a lease and loses the reply, once.
struct LosesOneLease(Arc<MemoryTier>, AtomicBool);

impl Tier for LosesOneLease {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.0.read(keys)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        let lost = !self.1.swap(true, Ordering::SeqCst);
        Box::pin(async move {
            let reply = self.0.lease(leases).await;
            let silence = Error::new(ErrorKind::Unavailable, "the reply was lost");
            if lost { Reply::failed(leases.len(), &silence) } else { reply }
        })
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.0.fill(fills)
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.0.invalidate(channel, invalidations)
    }
}

/// A lease that was taken, and whose reply was lost, holds nobody up: the right is given up after the load.
#[tokio::test(start_paused = true)]
async fn a_lease_whose_reply_was_lost_is_given_up() {
    let shop = Shop::new(1);
    let tier = Arc::new(LosesOneLease(shop.tier.clone(), AtomicBool::new(false)));
    let node = Namespace::builder("shop").l2_shared(tier).clock(shop.manual.clock()).build().unwrap();
    let films = shop.films_of(&node);
    assert_eq!(films.get(1).await.unwrap().unwrap().film_id, 1);
    assert_eq!(shop.rows_in_l2(), 0, "the floor went with its right");
    let other = shop.films();
    other.get(1).await.unwrap();
    assert_eq!((other.stats().waits, other.stats().fills[0]), (0, 1));
}
