//! Responses and records that are of another release, too large, or not what they seem.

use serde::{Deserialize, Serialize};
use tierstack_core::Terms;
use tierstack_core::record::Unusable;
use tower::{Layer, ServiceExt, service_fn};

use super::inner::{Films, FindFilms, Script, begun, cached, find};
use crate::envelope::{ABSENT, with_payload};
use crate::shop::Shop;

/// The response of the next release: it doesn't read from the form of this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NextFilms {
    titles: Vec<String>,
}

/// With another version, neither release reads the other's records: the newer replaces the older's, which then reads past.
#[tokio::test(start_paused = true)]
async fn two_versions_do_not_read_each_other() {
    let (shop, script) = (Shop::new(0), Script::default());
    let old = cached(&shop);
    let next = shop.node().cache_layer::<FindFilms, NextFilms>("find_films").version(1).build().unwrap();
    let next_service = next.layer(service_fn(|request: FindFilms| async move {
        Ok::<_, std::io::Error>(NextFilms { titles: vec![request.rating] })
    }));
    let old_service = old.layer(script.service());
    for round in 1..=3 {
        assert_eq!(old_service.clone().oneshot(find("PG")).await.unwrap().call, round);
        assert_eq!(next_service.clone().oneshot(find("PG")).await.unwrap().titles, ["PG"]);
        // Beyond L1's life.
        shop.pass_s(6);
    }
    assert_eq!((next.stats().loads, next.stats().l2.fresh), (1, 2), "the newer release's stays in L2");
}

/// Another type under the same name and version, by mistake: a response that doesn't decode is a miss, is counted, and is
/// replaced.
#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_decode_is_a_miss() {
    let (shop, script) = (Shop::new(0), Script::default());
    let next = shop.node().cache_layer::<FindFilms, NextFilms>("find_films").build().unwrap();
    let next_service = next.layer(service_fn(|_: FindFilms| async move {
        Ok::<_, std::io::Error>(NextFilms { titles: vec![] })
    }));
    next_service.oneshot(find("PG")).await.unwrap();
    let layer = cached(&shop);
    assert_eq!(layer.layer(script.service()).oneshot(find("PG")).await.unwrap().call, 1);
    assert_eq!(layer.stats().unusable[place_of(Unusable::Payload)], 1);
    assert_eq!(cached(&shop).layer(script.service()).oneshot(find("PG")).await.unwrap().call, 1, "replaced");
}

/// A record that says there is no response, which none of ours does: it is replaced, with L1 and without.
#[tokio::test(start_paused = true)]
async fn a_record_of_absence_is_replaced() {
    let (shop, script) = (Shop::new(0), Script::default());
    let service = cached(&shop).layer(script.service());
    service.clone().oneshot(find("PG")).await.unwrap();
    let key = cached(&shop).key_text(&find("PG")).unwrap();
    let record = shop.tier.bytes(key.as_bytes()).unwrap();
    shop.tier.overwrite(key.as_bytes(), with_payload(&record, ABSENT, &[], 0));
    let other = cached(&shop);
    let other_service = other.layer(script.service());
    let mut terms = Terms::default();
    terms.load = false;
    assert!(other_service.lookup(find("PG"), terms).await.unwrap().is_none());
    for _ in 0..2 {
        assert_eq!(other_service.clone().oneshot(find("PG")).await.unwrap().call, 2);
    }
    assert_eq!(cached(&shop).layer(script.service()).oneshot(find("PG")).await.unwrap().call, 2);
}

/// A response that is too large for L2 is answered, kept in L1 briefly, and holds nobody up.
#[tokio::test(start_paused = true)]
async fn a_large_response_is_answered_and_not_stored() {
    let mut shop = Shop::new(0);
    shop.settings.max_payload_bytes = 1_000;
    let script = Script::default();
    let rating = "x".repeat(990);
    let layer = begun(&shop, &shop.node()).build().unwrap();
    let service = layer.layer(script.service());
    for _ in 0..2 {
        assert_eq!(
            service.clone().oneshot(find(&rating)).await.unwrap(),
            Films { rating: rating.clone(), call: 1 }
        );
    }
    assert_eq!((layer.stats().unfillable, layer.stats().l1.fresh), (1, 1));
    let other = begun(&shop, &shop.node()).build().unwrap();
    assert_eq!(other.layer(script.service()).oneshot(find(&rating)).await.unwrap().call, 2);
    assert_eq!(other.stats().waits, 0);
    shop.manual.advance(shop.settings.brief_for);
    assert_eq!(service.oneshot(find(&rating)).await.unwrap().call, 3, "briefly");
}

/// A response that MessagePack can't write is answered all the same.
#[tokio::test(start_paused = true)]
async fn a_response_that_can_not_be_written_is_answered() {
    #[derive(Clone, Deserialize)]
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("can't be written"))
        }
    }
    let shop = Shop::new(0);
    let layer = shop.node().cache_layer::<u64, Unwritable>("unwritable").build().unwrap();
    let service = layer.layer(service_fn(|_: u64| async { Ok::<_, std::io::Error>(Unwritable) }));
    for _ in 0..2 {
        service.clone().oneshot(1).await.unwrap();
    }
    assert_eq!((layer.stats().loads, layer.stats().unfillable, layer.stats().errors), (2, 2, 0));
}

fn place_of(why: Unusable) -> usize {
    Unusable::ALL.iter().position(|other| *other == why).unwrap()
}
