//! A row that was written is never answered in its old form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tests::{Film, Repository, film};
use tierstack_core::{
    BoxFuture, Cache, Channel, Clock, Fill, Filled, Invalidate, Invalidated, L1, LeaseFor, Leased, Level,
    Lookup, ManualClock, MemoryTier, Namespace, Random, Reply, Tier, WireKey,
};
use tokio::sync::Semaphore;

/// A node over a shared tier, and the clock of both.
fn node(tier: &Arc<impl Tier>, clock: Clock, repository: &Repository) -> Cache<Film> {
    let shop =
        Namespace::builder("shop").l2_shared(tier.clone()).clock(clock).random(Random::seeded(7)).build();
    shop.unwrap().cache::<Film>().l1(L1::capacity(1_000)).origin(repository.films()).build().unwrap()
}

/// While a leader loads the old row, a write is acknowledged. A second caller must not get the old row, nor leave it in
/// L1, nor may the leader's fill bring it back.
#[tokio::test(start_paused = true)]
async fn a_second_caller_after_a_write_does_not_get_the_row_that_a_leader_is_still_loading() {
    let manual = ManualClock::new();
    let tier = Arc::new(MemoryTier::with_clock(1_000, manual.clock()));
    let repository = Repository::new([film(7)]);
    let films = node(&tier, manual.clock(), &repository);

    repository.hold_loads();
    let leader = tokio::spawn({
        let films = films.clone();
        async move { films.get(7).await }
    });
    while repository.loads() == 0 {
        tokio::task::yield_now().await;
    }
    repository.put(Film { version: 1, ..film(7) });
    films.invalidate([7]).await.unwrap();

    let second = tokio::spawn({
        let films = films.clone();
        async move { films.get(7).await }
    });
    // While a load is under way, the next one gathers keys for a moment.
    while repository.loads() == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    repository.release_loads();
    assert_eq!(second.await.unwrap().unwrap().unwrap().version, 1, "the second caller began after the write");
    assert_eq!(
        leader.await.unwrap().unwrap().unwrap().version,
        0,
        "the leader began before it, and is told what it read"
    );

    let held = films.lookup(Lookup::one(7).never_load()).await.unwrap();
    let (_, outcome) = held.into_iter().next().unwrap();
    let answer = outcome.unwrap().unwrap();
    assert_eq!(answer.source, Level::L1);
    assert_eq!(answer.entry.into_present().unwrap().version, 1, "L1 holds the new row");
    let held = films.lookup(Lookup::one(7).never_load().skip_l1()).await.unwrap();
    let (_, outcome) = held.into_iter().next().unwrap();
    assert_eq!(outcome.unwrap().unwrap().entry.into_present().unwrap().version, 1, "L2 holds the new row");
}

/// A tier whose invalidations arrive late: each waits for a permit first.
pub(crate) struct LateInvalidations(pub(crate) MemoryTier, pub(crate) Semaphore);

impl Tier for LateInvalidations {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.0.read(keys)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.0.lease(leases)
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.0.fill(fills)
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        Box::pin(async move {
            self.1.acquire().await.unwrap().forget();
            self.0.invalidate(channel, invalidations).await
        })
    }
}

/// L1 forgets after L2 did: a lookup between the two must not carry the old row from L2 back into L1.
#[tokio::test(start_paused = true)]
async fn a_lookup_while_an_invalidation_is_on_its_way_leaves_no_old_row_in_l1() {
    let manual = ManualClock::new();
    let tier = Arc::new(LateInvalidations(MemoryTier::with_clock(1_000, manual.clock()), Semaphore::new(0)));
    let repository = Repository::new([film(7)]);
    let films = node(&tier, manual.clock(), &repository);
    films.get(7).await.unwrap();

    repository.put(Film { version: 1, ..film(7) });
    let writer = tokio::spawn({
        let films = films.clone();
        async move { films.invalidate([7]).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(films.get(7).await.unwrap().unwrap().version, 0, "the write is not acknowledged yet");
    tier.1.add_permits(1);
    writer.await.unwrap().unwrap();
    assert_eq!(films.get(7).await.unwrap().unwrap().version, 1, "it is now");
}
