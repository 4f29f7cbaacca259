//! Records of another release: the older is replaced, the newer is read past and left alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tests::{Film, film};
use tierstack_core::record::Unusable;
use tierstack_core::{Accept, Cache, Entity, L1, Level, Lookup, Schema, origin_fn};

use super::{Desk, SCHEMA_AT, origin_row, row_schema, with_u64};
use crate::shop::{Shop, look, settle};

/// The film of the next release: one column more, and a higher version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NextFilm {
    film_id: i32,
    title: String,
    length: i16,
}

impl Entity for NextFilm {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "title", "length"]).version(1)
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

/// The next release's films, whose loads take this long.
fn next_films(shop: &Shop, delay: Duration) -> Cache<NextFilm> {
    let origin = origin_fn(move |keys: Vec<i32>| async move {
        tokio::time::sleep(delay).await;
        let row = |film_id| (film_id, NextFilm { film_id, title: format!("Film {film_id}"), length: 90 });
        Ok::<_, std::io::Error>(keys.into_iter().map(row).collect())
    });
    shop.node().cache().l1(L1::capacity(100)).origin(origin).build().unwrap()
}

/// A lower schema is replaced.
#[tokio::test(start_paused = true)]
async fn an_older_schema_is_replaced() {
    let desk = Desk::new();
    for schema in [0, row_schema() - 1] {
        desk.replaces(with_u64(&desk.present(), SCHEMA_AT, schema), Unusable::OtherSchema, "older").await;
        desk.replaces(with_u64(&desk.absent(), SCHEMA_AT, schema), Unusable::OtherSchema, "older").await;
    }
}

/// A higher schema is read past, with brief entries, and stays where it is.
#[tokio::test(start_paused = true)]
async fn a_newer_schema_is_read_past_and_left_alone() {
    let desk = Desk::new();
    for schema in [row_schema() + 1, 1 << 48, u64::MAX] {
        for record in [desk.present(), desk.absent()] {
            let newer = with_u64(&record, SCHEMA_AT, schema);
            let seen = desk.plant(newer.clone()).await;
            assert_eq!((seen.row, seen.source), (Some(origin_row()), Level::Origin));
            assert_eq!(seen.unusable, [Unusable::OtherSchema]);
            assert_eq!(desk.shop.tier.bytes(desk.key.as_bytes()).unwrap(), newer);
        }
    }
    let brief = look(&desk.films, Lookup::one(7)).await.unwrap().unwrap();
    assert_eq!(brief.source, Level::L1, "L1 keeps what was loaded past it");
    assert!(brief.fresh_for(desk.shop.manual.clock().coarse()) <= desk.shop.settings.brief_for);
    desk.shop.manual.advance(desk.shop.settings.brief_for);
    assert_eq!(
        look(&desk.films, Lookup::one(7)).await.unwrap().unwrap().source,
        Level::Origin,
        "but briefly"
    );
}

/// Two releases side by side, in turns: each answers its own form, the newer's record stays in L2, and only it fills.
#[tokio::test(start_paused = true)]
async fn two_releases_do_not_fight_over_a_key() {
    let shop = Shop::new(7);
    let (old, next) = (shop.films(), next_films(&shop, Duration::ZERO));
    assert_eq!(old.key_text(7).unwrap(), next.key_text(7).unwrap(), "one key for a row");
    let key = old.key_text(7).unwrap();
    assert_eq!(*old.get(7).await.unwrap().unwrap(), film(7), "the old release fills first");
    assert_eq!(next.get(7).await.unwrap().unwrap().length, 90, "the new one replaces it");
    let newest = shop.tier.bytes(key.as_bytes()).unwrap();
    let fills = old.stats().fills;
    for _ in 0..20 {
        shop.pass_s(2);
        let asked = Lookup::one(7).accept(Accept::Fresh).skip_l1();
        assert_eq!(*look(&old, asked.clone()).await.unwrap().unwrap().entry.into_present().unwrap(), film(7));
        assert_eq!(look(&next, asked).await.unwrap().unwrap().source, Level::L2);
        assert_eq!(shop.tier.bytes(key.as_bytes()).unwrap(), newest);
    }
    assert_eq!(old.stats().fills, fills, "the old release tried no fill");
    assert_eq!(old.stats().bypasses, 20);
    assert_eq!(next.stats().loads, 1);
    shop.repository.put(Film { version: 1, ..film(7) });
    old.invalidate([7]).await.unwrap();
    assert_ne!(
        shop.tier.bytes(key.as_bytes()).unwrap(),
        newest,
        "either release's write drops the other's copy"
    );
    let reloaded = look(&next, Lookup::one(7).skip_l1()).await.unwrap().unwrap();
    assert_eq!(reloaded.source, Level::Origin);
}

/// A node of the old release that waited for one of the new doesn't replace what that one filled, nor wait on.
#[tokio::test(start_paused = true)]
async fn a_wait_for_a_newer_release_ends_with_its_fill() {
    let shop = Shop::new(7);
    let began = tokio::time::Instant::now();
    let (old, next) = (shop.films(), next_films(&shop, Duration::from_millis(100)));
    let loading = tokio::spawn(async move { next.get(7).await });
    settle().await;
    assert_eq!(*old.get(7).await.unwrap().unwrap(), film(7));
    assert_eq!(old.stats().waits, 1);
    assert!(loading.is_finished(), "it waited for the load");
    assert_eq!((old.stats().fills, old.stats().bypasses), ([0; 5], 1), "and then loaded without a right");
    assert_eq!(
        look(&next_films(&shop, Duration::ZERO), Lookup::one(7)).await.unwrap().unwrap().source,
        Level::L2
    );
    assert!(began.elapsed() < Duration::from_millis(140), "{:?}", began.elapsed());
}
