//! What a lookup may ask for, and that every key of every lookup is counted once.

use std::time::Duration;

use tests::{Film, Repository, film};
use tierstack_core::{Accept, Cache, ErrorKind, Level, Lookup};

use crate::shop::{Shop, look, rated_pg};

async fn source(films: &Cache<Film>, lookup: Lookup<i32>) -> Option<Level> {
    look(films, lookup).await.unwrap().map(|answer| answer.source)
}

/// `skip_l1` reads past L1, and fills it with what it finds.
#[tokio::test(start_paused = true)]
async fn skip_l1_reads_past_l1_and_fills_it() {
    let shop = Shop::new(1);
    let films = shop.films();
    films.get(1).await.unwrap();
    films.evict_l1(1);
    assert_eq!(source(&films, Lookup::one(1).skip_l1()).await, Some(Level::L2));
    assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L1), "it was filled");
    assert_eq!(source(&films, Lookup::one(1).skip_l1()).await, Some(Level::L2), "and is read past");
}

/// `skip_l2` neither asks nor fills L2; what it loads is kept briefly.
#[tokio::test(start_paused = true)]
async fn skip_l2_asks_nothing_of_l2_and_is_brief() {
    let shop = Shop::new(2);
    let films = shop.films();
    films.get(1).await.unwrap();
    let requests = films.stats().l2_requests;
    films.evict_l1(1);
    assert_eq!(source(&films, Lookup::batch([1]).skip_l2()).await, Some(Level::Origin));
    assert_eq!(films.stats().l2_requests, requests);
    assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L1));
    shop.manual.advance(shop.settings.brief_for);
    assert_eq!(source(&films, Lookup::one(1)).await, Some(Level::L2), "what L2 held stayed");
    films.lookup(Lookup::one(2).skip_l2()).await.unwrap();
    assert!(shop.tier.bytes(films.key_text(2).unwrap().as_bytes()).is_none());
}

/// `refresh` loads whatever the tiers hold, and fills both with it.
#[tokio::test(start_paused = true)]
async fn refresh_loads_and_fills_every_tier() {
    let shop = Shop::new(1);
    let films = shop.films();
    films.get(1).await.unwrap();
    shop.repository.put(Film { version: 1, ..film(1) });
    let renewed = look(&films, Lookup::one(1).refresh()).await.unwrap().unwrap();
    assert_eq!((renewed.source, renewed.entry.into_present().unwrap().version), (Level::Origin, 1));
    for (lookup, level) in [(Lookup::one(1), Level::L1), (Lookup::one(1).skip_l1(), Level::L2)] {
        let held = look(&films, lookup).await.unwrap().unwrap();
        assert_eq!((held.source, held.entry.into_present().unwrap().version), (level, 1));
    }
    assert_eq!(films.stats().fills[0], 2, "under a right each time");
    shop.repository.remove(1);
    assert!(look(&films, Lookup::one(1).refresh()).await.unwrap().unwrap().entry.is_absent());
    assert!(shop.films().get(1).await.unwrap().is_none());
}

/// `refresh` is not answered with a load that another node began before it.
#[tokio::test(start_paused = true)]
async fn refresh_takes_nobody_elses_load() {
    let shop = Shop::new(1);
    let (holder, films) = (shop.films(), shop.films());
    shop.repository.hold_loads();
    let held = tokio::spawn(async move { holder.get(1).await });
    while shop.repository.loads() == 0 {
        tokio::task::yield_now().await;
    }
    shop.repository.put(Film { version: 1, ..film(1) });
    let refreshing = tokio::spawn(async move { look(&films, Lookup::one(1).refresh()).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    shop.repository.release_loads();
    assert_eq!(held.await.unwrap().unwrap().unwrap().version, 0);
    let answer = refreshing.await.unwrap().unwrap().unwrap();
    assert_eq!((answer.source, answer.entry.into_present().unwrap().version), (Level::Origin, 1));
}

/// `never_load` answers what the tiers hold, per key, and nothing is known of the rest.
#[tokio::test(start_paused = true)]
async fn never_load_leaves_the_origin_alone() {
    let shop = Shop::new(3);
    let films = shop.films();
    films.objects_by_pks([1, 9]).await.unwrap();
    films.evict_l1(9);
    let answers = films.lookup(Lookup::batch([2, 1, 9, 3]).never_load()).await.unwrap();
    let found: Vec<_> =
        answers.into_iter().map(|(_, outcome)| outcome.unwrap().map(|answer| answer.source)).collect();
    assert_eq!(found, [None, Some(Level::L1), Some(Level::L2), None]);
    assert_eq!((shop.repository.loads(), films.stats().unknown), (1, 2));
    assert!(shop.tier.bytes(films.key_text(2).unwrap().as_bytes()).is_none(), "it took no right either");
}

/// A deadline bounds the load, and the wait for another node's; one that has passed leaves what L1 holds.
#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_every_wait() {
    let shop = Shop::new(3);
    let (films, holder) = (shop.films(), shop.films());
    let after = |ms| shop.manual.clock().coarse().plus(Duration::from_millis(ms));
    films.get(3).await.unwrap();
    shop.repository.hold_loads();
    let held = tokio::spawn(async move { holder.get(2).await });
    while shop.repository.loads() < 2 {
        tokio::task::yield_now().await;
    }
    for (pk, what) in [(1, "a load"), (2, "another's load")] {
        let began = tokio::time::Instant::now();
        let error = look(&films, Lookup::one(pk).deadline(after(200))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}");
        assert!(began.elapsed() <= Duration::from_millis(210), "{what}: {:?}", began.elapsed());
    }
    assert_eq!(
        source(&films, Lookup::one(3).deadline(after(0))).await,
        Some(Level::L1),
        "a hit needs no time"
    );
    shop.repository.release_loads();
    held.await.unwrap().unwrap();
}

/// A lookup that names no deadline has the settings' one.
#[tokio::test(start_paused = true)]
async fn a_lookup_without_a_deadline_has_the_settings() {
    let mut shop = Shop::new(1);
    shop.settings.lookup_timeout = Duration::from_millis(700);
    shop.settings.wait_for_load = Duration::from_millis(300);
    let films = shop.films();
    shop.repository.set_delay(Duration::from_secs(3));
    let began = tokio::time::Instant::now();
    assert_eq!(films.get(1).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(began.elapsed() <= Duration::from_millis(702), "{:?}", began.elapsed());
}

/// Whatever is asked, in whatever state: every key of every lookup counts in exactly one of l1, l2, origin, unknown and
/// errors; and every answer says truly how fresh it is. The seed is printed by the assertion.
#[tokio::test(start_paused = true)]
async fn every_key_of_every_lookup_is_counted_once() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shop = Shop::new(30);
        shop.settings.max_batch = 7;
        shop.settings.refreshes_in_flight = 4;
        let (films, other) = (shop.films(), shop.films());
        let mut asked = 0;
        for step in 0..60 {
            disturb(&shop, &shop.repository, &other, &mut random).await;
            let keys: Vec<i32> = (0..random.usize(0..20)).map(|_| random.i32(1..=40)).collect();
            let mut lookup = Lookup::batch(keys);
            if random.bool() {
                lookup = lookup.skip_l1();
            }
            match random.u8(0..8) {
                0 => lookup = lookup.never_load(),
                1 => lookup = lookup.refresh(),
                2 => lookup = lookup.skip_l2(),
                3 => lookup = lookup.accept(Accept::Fresh),
                4 => lookup = lookup.deadline(shop.manual.clock().coarse()),
                _ => {}
            }
            asked += lookup.keys().len() as u64;
            let terms = lookup.terms;
            let keys = lookup.keys().to_vec();
            let answers = films.lookup(lookup).await.unwrap();
            films.namespace().shutdown().await;
            let back: Vec<i32> = answers.iter().map(|(key, _)| *key).collect();
            assert_eq!(back, keys, "seed {seed}, step {step}");
            assert_eq!(
                films.stats().keys(),
                asked,
                "seed {seed}, step {step}, {terms:?}: {:?}",
                films.stats()
            );
        }
    }
}

/// Something changes round the cache.
async fn disturb(shop: &Shop, repository: &Repository, other: &Cache<Film>, random: &mut fastrand::Rng) {
    let pk = random.i32(1..=40);
    match random.u8(0..10) {
        0 => shop.pass_s(random.u64(0..400)),
        1 => shop.tier.set_outage(random.bool()),
        2 => repository.set_failing(random.bool()),
        3 => repository.remove(pk),
        4 => {
            repository.put(film(pk));
            let _ = other.invalidate([pk]).await;
        }
        5 => {
            let _ = other.get(pk).await;
        }
        6 => shop.tier.clear(),
        7 => {
            let _ = other.list(&rated_pg()).await;
        }
        _ => {
            shop.tier.set_outage(false);
            repository.set_failing(false);
        }
    }
}
