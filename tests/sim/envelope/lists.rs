//! Records of lists.

use std::sync::Arc;

use bytes::Bytes;
use tests::Film;
use tierstack_core::record::Unusable;
use tierstack_core::{Bound, Cache, L1, loader_fn};

use super::{counted, with_payload};
use crate::shop::{Shop, rated_pg};

/// The text of the only list's key, and its record.
fn list_record(shop: &Shop) -> (Bytes, Bytes) {
    let key = shop.tier.keys().into_iter().find(|key| key.windows(2).any(|two| two == b":+")).unwrap();
    let record = shop.tier.bytes(&key).unwrap();
    (key, record)
}

/// Plants another body in the list's record, and gives back what a new node then counts.
async fn planted(shop: &Shop, payload: &[u8], expected: &[i32]) -> Vec<Unusable> {
    let (key, record) = list_record(shop);
    shop.tier.overwrite(&key, with_payload(&record, 0, payload, payload.len()));
    let films = shop.films();
    assert_eq!(*films.pks(&rated_pg()).await.unwrap(), expected);
    counted(&shop.films().stats(), &films.stats())
}

/// A list that names more pks than a record may hold, pks of another type, or none at all, is loaded anew.
#[tokio::test(start_paused = true)]
async fn a_hostile_list_is_replaced() {
    let shop = Shop::new(3);
    shop.films().pks(&rated_pg()).await.unwrap();
    let million = rmp_serde::to_vec(&(1_000_000..2_000_000).collect::<Vec<i32>>()).unwrap();
    assert_eq!(planted(&shop, &million, &[1, 2, 3]).await, [Unusable::TooLarge]);
    let texts = rmp_serde::to_vec(&["1", "2"]).unwrap();
    assert_eq!(planted(&shop, &texts, &[1, 2, 3]).await, [Unusable::Payload]);
    let huge = rmp_serde::to_vec(&[1i64 << 40]).unwrap();
    assert_eq!(planted(&shop, &huge, &[1, 2, 3]).await, [Unusable::Payload]);
    assert_eq!(planted(&shop, &[0xc0], &[1, 2, 3]).await, [Unusable::Payload]);
    assert_eq!(planted(&shop, b"\xdd\xff\xff\xff\xff\x01", &[1, 2, 3]).await, [Unusable::Payload]);
    assert_eq!(
        planted(&shop, &rmp_serde::to_vec(&[3, 3]).unwrap(), &[3, 3]).await,
        [],
        "a list may name a pk twice"
    );
}

/// A row's record at a list's key, and another list's, don't answer for it.
#[tokio::test(start_paused = true)]
async fn a_list_is_no_row_and_no_other_list() {
    let shop = Shop::new(3);
    let films = shop.films();
    films.list(&rated_pg()).await.unwrap();
    let (key, list) = list_record(&shop);
    let row = shop.tier.bytes(films.key_text(1).unwrap().as_bytes()).unwrap();
    shop.tier.overwrite(&key, row);
    shop.tier.overwrite(films.key_text(1).unwrap().as_bytes(), list);
    let other = shop.films();
    let found = other.list(&rated_pg()).await.unwrap();
    assert_eq!(found.iter().map(|film| film.film_id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(counted(&shop.films().stats(), &other.stats()), [Unusable::OtherKey; 2]);
}

/// A list of a million pks is answered, and is no record.
#[tokio::test(start_paused = true)]
async fn a_list_larger_than_l2_takes_is_answered_and_not_stored() {
    let shop = Shop::new(0);
    let index = loader_fn(|queries: Vec<Bound<Film>>| {
        let all = |query| (query, (1_000_000..2_000_000).collect());
        std::future::ready(Ok::<_, std::io::Error>(queries.into_iter().map(all).collect()))
    });
    let origin = shop.repository.films().with_queries(index);
    let films: Cache<Film> = shop.node().cache().l1(L1::capacity(10)).origin(origin).build().unwrap();
    let pks: Arc<Vec<i32>> = films.pks(&rated_pg()).await.unwrap();
    assert_eq!((pks.len(), films.stats().unfillable), (1_000_000, 1));
    assert!(!shop.tier.keys().iter().any(|key| key.windows(2).any(|two| two == b":+")));
}
