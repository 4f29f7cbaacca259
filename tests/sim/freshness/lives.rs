//! The lives of entries in either tier, by the monotonic clock.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{Cache, Freshness, L1, Level, Lookup, MemoryTier, Namespace};
use tokio::sync::Semaphore;

use crate::consistency::LateInvalidations;
use crate::shop::{Shop, look, settle};

async fn source(films: &Cache<Film>, lookup: Lookup<i32>) -> Option<Level> {
    look(films, lookup).await.unwrap().map(|answer| answer.source)
}

/// Films of one more node whose L1 lives as long.
fn films_living(shop: &Shop, life: Duration) -> Cache<Film> {
    let cache = shop.node().cache().l1(L1::capacity(10_000).life(life)).origin(shop.repository.films());
    cache.settings(shop.settings.clone()).freshness(shop.freshness.clone()).build().unwrap()
}

/// An absence is remembered for `absent_for`, in both tiers, and is never stale.
#[tokio::test(start_paused = true)]
async fn an_absence_is_remembered_for_its_own_life() {
    let shop = Shop::new(0);
    let films = films_living(&shop, Duration::from_secs(3_600));
    assert!(films.get(1).await.unwrap().is_none());
    shop.repository.put(film(1));
    shop.pass_s(29);
    assert!(films.get(1).await.unwrap().is_none());
    assert!(shop.films().get(1).await.unwrap().is_none());
    shop.pass_s(1);
    assert!(films.get(1).await.unwrap().is_some(), "30 s are over");
    assert_eq!((shop.repository.loads(), films.stats().refreshes), (2, 0));
}

/// A row answers fresh, then stale, then not at all, to the second.
#[tokio::test(start_paused = true)]
async fn a_row_lives_to_the_second() {
    let mut shop = Shop::new(1);
    shop.freshness =
        Freshness::default().fresh_for(Duration::from_secs(100)).stale_for(Duration::from_secs(20));
    shop.freshness = shop.freshness.clone().jitter(0.0);
    let films = films_living(&shop, Duration::from_secs(3_600));
    films.get(1).await.unwrap();
    for (second, answers, age) in
        [(99, true, "Fresh"), (100, true, "Stale"), (119, true, "Stale"), (120, false, "")]
    {
        let passed =
            shop.manual.clock().coarse().since(tierstack_core::Moment::from_nanos(1_000_000_000)).as_secs();
        shop.pass_s(second - passed);
        for lookup in [Lookup::one(1).never_load(), Lookup::one(1).never_load().skip_l1()] {
            let found = look(&films, lookup).await.unwrap();
            assert_eq!(found.is_some(), answers, "at {second}");
            assert!(found.is_none_or(|found| format!("{:?}", found.age) == age), "at {second}");
        }
    }
}

/// Rows loaded together end apart: 1,000 of them over the whole share that is taken off at random.
#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_ends_of_rows_loaded_together() {
    let mut shop = Shop::new(1_000);
    shop.freshness = Freshness::default().fresh_for(Duration::from_secs(100)).jitter(0.2);
    let films = shop.films();
    films.objects_by_pks(1..=1_000).await.unwrap();
    let now = shop.manual.clock().coarse();
    let mut ends = Vec::new();
    let answers = films.lookup(Lookup::batch(1..=1_000).skip_l1()).await.unwrap();
    for (_, outcome) in answers {
        ends.push(outcome.unwrap().unwrap().fresh_for(now).as_millis() as u64);
    }
    assert!(ends.iter().all(|end| (80_000..=100_000).contains(end)), "never longer than said");
    let tenths: BTreeSet<u64> = ends.iter().map(|end| (end - 80_000) / 2_000).collect();
    assert!(tenths.len() >= 10, "they end all over the last fifth: {tenths:?}");
    let most = (0..10).map(|tenth| ends.iter().filter(|end| (**end - 80_000) / 2_000 == tenth).count()).max();
    assert!(most < Some(200), "no tenth of it has twice its share: {most:?}");
}

/// An entry answers from L1 for L1's own life only: by default 5 s over an L2 that tells nobody of invalidations. Without an
/// L2, or over one that tells of them, it answers for its whole life.
#[tokio::test(start_paused = true)]
async fn l1s_life_caps_an_entrys() {
    let shop = Shop::new(1);
    let mute = LateInvalidations(MemoryTier::clone(&shop.tier), Semaphore::new(0));
    let unheard = Namespace::builder("mute").l2(mute).clock(shop.manual.clock()).build().unwrap();
    for (films, seconds) in [(shop.films_of(&unheard), 5), (films_living(&shop, Duration::from_secs(2)), 2)] {
        films.get(1).await.unwrap();
        shop.pass_s(seconds - 1);
        assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L1));
        shop.pass_s(1);
        assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L2), "after {seconds} s");
    }
    assert_eq!(shop.repository.loads(), 2, "one in each namespace");
    let alone = Namespace::builder("alone").clock(shop.manual.clock()).build().unwrap();
    shop.tier.clear();
    for films in [shop.films(), shop.films_of(&alone)] {
        films.get(1).await.unwrap();
        shop.pass_s(299);
        assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L1));
    }
}

/// L1 ends with the entry, if that is earlier than its own life.
#[tokio::test(start_paused = true)]
async fn an_entrys_end_caps_l1s_life() {
    let shop = Shop::new(1);
    let films = films_living(&shop, Duration::from_secs(100_000));
    films.get(1).await.unwrap();
    shop.pass_s(359);
    assert_eq!(source(&films, Lookup::one(1).never_load()).await, Some(Level::L1));
    shop.pass_s(1);
    assert_eq!(source(&films, Lookup::one(1).never_load()).await, None);
}

/// While L2 is gone rows are loaded without a right: L1 keeps them for `brief_for` from the start of their load, alive
/// L2 or not.
#[tokio::test(start_paused = true)]
async fn a_brief_entry_ends_soon_after_its_load_began() {
    let shop = Shop::new(2);
    let films = shop.films();
    shop.tier.set_outage(true);
    shop.repository.set_delay(Duration::from_millis(600));
    films.get(1).await.unwrap();
    let left = look(&films, Lookup::one(1)).await.unwrap().unwrap();
    assert_eq!(left.source, Level::L1);
    let left = left.fresh_for(shop.manual.clock().coarse());
    assert!(left <= Duration::from_millis(400), "600 ms of the second went by in the load: {left:?}");
    shop.tier.set_outage(false);
    shop.manual.advance(Duration::from_millis(399));
    assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L1));
    shop.manual.advance(Duration::from_millis(1));
    assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::Origin), "brief, though L2 is back");
    assert_eq!(source(&films, Lookup::one(1).skip_l1()).await, Some(Level::L2), "and now L2 holds it");
    let stats = films.stats();
    assert_eq!((stats.bypasses, stats.errors), (1, 0), "L2's outage was no caller's error: {stats:?}");
    assert!(stats.l2_failures > 0);
}

/// A load that takes longer than `brief_for` leaves nothing in L1.
#[tokio::test(start_paused = true)]
async fn a_brief_entry_may_be_over_before_it_is_kept() {
    let shop = Shop::new(1);
    let films = shop.films();
    shop.repository.set_delay(Duration::from_millis(1_500));
    shop.tier.set_outage(true);
    assert!(films.get(1).await.unwrap().is_some());
    assert_eq!(source(&films, Lookup::one(1).never_load()).await, None);
}

/// The clock of L2 is stepped two hours either way, at any moment of an entry's life: nothing panics, no value is wrong,
/// and none answers beyond its life on the node's monotonic clock.
#[tokio::test(start_paused = true)]
async fn a_step_of_l2s_clock_makes_nothing_live_longer() {
    let hours = 2 * 3_600_000;
    for steps in
        [[hours, 0], [-hours, 0], [hours, -hours], [-hours, hours], [-hours, -hours], [-900, 0], [900, -900]]
    {
        let shop = Shop::new(1);
        let films = films_living(&shop, Duration::from_secs(3_600));
        let longest = shop.freshness.longest().as_millis() as u64 + 1_000;
        let mut loaded_at = 0;
        let mut loads = 0;
        for second in 0..1_200 {
            if second == 100 || second == 800 {
                shop.manual.step_wall(steps[usize::from(second == 800)]);
            }
            shop.pass_s(1);
            shop.repository.put(Film { version: second, ..film(1) });
            let node = if second % 2 == 0 { &films } else { &shop.films() };
            let answer = look(node, Lookup::one(1).skip_l1()).await.unwrap().unwrap();
            settle().await;
            if shop.repository.loads() > loads {
                loads = shop.repository.loads();
                loaded_at = second;
            }
            let row = answer.entry.into_present().unwrap();
            let age_ms = (second - row.version) as u64 * 1_000;
            assert!(age_ms <= longest, "{steps:?}, at {second}: {age_ms} ms old");
            assert_eq!(row.film_id, 1);
        }
        assert!(loaded_at > 800, "{steps:?}");
        assert!(loads < 12, "{steps:?}: nor does it load all the time, {loads} loads");
    }
}

/// L1's life counts from before L2 was asked: a slow key of the same batch must not prolong what was read before it.
#[tokio::test(start_paused = true)]
async fn a_life_in_l1_begins_when_l2_is_asked() {
    let shop = Shop::new(2);
    let (writer, films) = (shop.films(), shop.films());
    writer.get(1).await.unwrap();
    shop.repository.set_delay(Duration::from_secs(4));
    let batch = tokio::spawn({
        let films = films.clone();
        async move { films.objects_by_pks([1, 2]).await }
    });
    settle().await;
    shop.repository.put(Film { version: 1, ..film(1) });
    writer.invalidate([1]).await.unwrap();
    batch.await.unwrap().unwrap();
    shop.repository.set_delay(Duration::ZERO);
    // Four of its five seconds went into the load of film 2.
    shop.manual.advance(Duration::from_millis(1_500));
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
}
