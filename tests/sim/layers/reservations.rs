//! What was asked below before an invalidation is answered to who asked, and not published in L1 after it.

use std::sync::Arc;

use tests::{Film, film};
use tierstack_core::{
    Accept, Age, Answer, Cache, Counters, Entry, Keep, L1, Level, Lookup, Meta, Moment, Namespace, Token,
};

use crate::shop::{Shop, look, rated_pg, settle};

/// A load of the old row is held, the row is written and invalidated, and the load returns last: L1 doesn't take it.
async fn an_old_load_stays_out_of_l1(shop: &Shop, films: &Cache<Film>) {
    shop.repository.hold_loads();
    let loads = shop.repository.loads();
    let asked = films.clone();
    let held = tokio::spawn(async move { asked.get(1).await });
    while shop.repository.loads() == loads {
        tokio::task::yield_now().await;
    }
    shop.repository.put(Film { version: 1, ..film(1) });
    films.invalidate([1]).await.unwrap();
    shop.repository.release_loads();
    assert_eq!(held.await.unwrap().unwrap().unwrap().version, 0, "it began before the write");
    let kept = look(films, Lookup::one(1).never_load()).await.unwrap();
    assert!(kept.is_none(), "L1 took {kept:?} after the write was acknowledged");
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
}

/// With an L2, whose refused fill would have made a brief entry of it.
#[tokio::test(start_paused = true)]
async fn an_old_load_stays_out_of_l1_over_an_l2() {
    let shop = Shop::new(1);
    an_old_load_stays_out_of_l1(&shop, &shop.films()).await;
}

/// Without an L2, where nothing else would refuse it.
#[tokio::test(start_paused = true)]
async fn an_old_load_stays_out_of_l1_over_the_origin() {
    let shop = Shop::new(1);
    let alone = Namespace::builder("alone").clock(shop.manual.clock()).build().unwrap();
    an_old_load_stays_out_of_l1(&shop, &shop.films_of(&alone)).await;
}

/// While L2 is gone, when the writer is told that L2 wasn't.
#[tokio::test(start_paused = true)]
async fn an_old_load_stays_out_of_l1_during_an_outage() {
    let shop = Shop::new(1);
    let films = shop.films();
    shop.tier.set_outage(true);
    shop.repository.hold_loads();
    let asked = films.clone();
    let held = tokio::spawn(async move { asked.get(1).await });
    while shop.repository.loads() == 0 {
        tokio::task::yield_now().await;
    }
    shop.repository.put(Film { version: 1, ..film(1) });
    films.invalidate([1]).await.unwrap_err();
    shop.repository.release_loads();
    held.await.unwrap().unwrap();
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
}

/// The same for lists and projections, which any write of the entity drops.
#[tokio::test(start_paused = true)]
async fn an_old_list_or_projection_stays_out_of_l1() {
    let shop = Shop::new(1);
    let alone = Namespace::builder("alone").clock(shop.manual.clock()).build().unwrap();
    for node in [shop.node(), alone] {
        let (films, titles) = (shop.films_of(&node), shop.titles_of(&node));
        shop.repository.put(film(1));
        shop.repository.remove(2);
        films.invalidate([1, 2]).await.unwrap();
        shop.repository.hold_loads();
        let (rows, queries) = (shop.repository.loads(), shop.repository.queries().len());
        let list = tokio::spawn({
            let films = films.clone();
            async move { films.pks(&rated_pg()).await }
        });
        let title = tokio::spawn({
            let titles = titles.clone();
            async move { titles.get(1).await }
        });
        while shop.repository.queries().len() == queries || shop.repository.loads() == rows {
            tokio::task::yield_now().await;
        }
        shop.repository.put(Film { title: "Renamed".into(), ..film(1) });
        shop.repository.put(film(2));
        films.invalidate([1, 2]).await.unwrap();
        shop.repository.release_loads();
        assert_eq!(*list.await.unwrap().unwrap(), [1]);
        assert_eq!(title.await.unwrap().unwrap().unwrap().title, "Film 1");
        settle().await;
        assert_eq!(*films.pks(&rated_pg()).await.unwrap(), [1, 2]);
        assert_eq!(titles.get(1).await.unwrap().unwrap().title, "Renamed");
    }
}

/// A reservation stands until its key, or everything, is invalidated; an eviction takes none away.
#[tokio::test(start_paused = true)]
async fn a_reservation_stands_until_its_key_is_invalidated() {
    let shop = Shop::new(0);
    let counters = Arc::new(Counters::default());
    let store =
        L1::<Film>::capacity(10).store::<i32>(false, &shop.settings, shop.manual.clock(), counters).unwrap();
    let meta =
        Meta { token: Token::NONE, fresh_until: Moment::NEVER, stale_until: Moment::NEVER, cost_us: 0 };
    let answer = |keep| Answer {
        entry: Entry::Present(Arc::new(film(1))),
        meta,
        source: Level::Origin,
        age: Age::Fresh,
        keep,
        followed: false,
        published: false,
    };
    let stands = store.reserve(&1);
    store.evict(&1);
    assert!(store.publish(&1, stands, &answer(Keep::Life)));
    assert!(store.publish(&1, stands, &answer(Keep::Life)), "as often as it is used");
    assert!(!store.publish(&1, stands, &answer(Keep::Nothing)), "what is to be kept nowhere is not");
    let (by_key, others): (_, Vec<_>) =
        (store.reserve(&1), (2..100).map(|key| (key, store.reserve(&key))).collect());
    store.invalidate(&1);
    assert!(!store.publish(&1, by_key, &answer(Keep::Life)));
    let publish_others =
        || others.iter().filter(|(key, reserved)| store.publish(key, *reserved, &answer(Keep::Life))).count();
    assert!(publish_others() > 90, "other keys' stand, but for the few that share its stripe");
    store.invalidate_all();
    assert_eq!(publish_others(), 0);
    let now = shop.manual.clock().coarse();
    assert!((1..100).all(|key| store.peek(&key, now, Accept::Stale).is_none()));
}
