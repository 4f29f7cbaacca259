//! Right envelopes round hostile bodies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tests::{Film, film};
use tierstack_core::record::Unusable;
use tierstack_core::{Counters, Level, Lookup, Stack};
use tower::ServiceBuilder;

use super::{Desk, LZ4, Seen, row_schema, with_payload};
use crate::shop::{Shop, look, number_key};

/// A film's map with another value, already written, for a field; or one field more.
fn film_with(field: &str, value: &[u8]) -> Vec<u8> {
    let plain = film(7);
    let mut fields = BTreeMap::from([
        ("film_id", rmp_serde::to_vec(&plain.film_id).unwrap()),
        ("title", rmp_serde::to_vec(&plain.title).unwrap()),
        ("rating", rmp_serde::to_vec(&plain.rating).unwrap()),
        ("version", rmp_serde::to_vec(&plain.version).unwrap()),
    ]);
    fields.insert(field, value.to_vec());
    let mut map = vec![0x80 | fields.len() as u8];
    for (name, value) in fields {
        map.extend(rmp_serde::to_vec(name).unwrap());
        map.extend(value);
    }
    map
}

impl Desk {
    async fn replaces_payload(&self, payload: &[u8], what: &str) {
        let forged = with_payload(&self.present(), 0, payload, payload.len());
        self.replaces(forged, Unusable::Payload, what).await;
    }
}

/// The body of another struct, of none, or of several.
#[tokio::test(start_paused = true)]
async fn another_structs_body_is_replaced() {
    #[derive(Serialize)]
    struct Actor {
        actor_id: i32,
        name: &'static str,
    }
    let desk = Desk::new();
    let other = desk.record(&desk.key, row_schema(), Some(&Actor { actor_id: 7, name: "x" }));
    desk.replaces(other, Unusable::Payload, "an actor").await;
    desk.replaces(desk.record(&desk.key, row_schema(), Some(&())), Unusable::Payload, "nil").await;
    desk.replaces(desk.record(&desk.key, row_schema(), Some(&[1, 2, 3])), Unusable::Payload, "a list").await;
    let twice =
        [rmp_serde::to_vec_named(&film(7)).unwrap(), rmp_serde::to_vec_named(&film(7)).unwrap()].concat();
    desk.replaces_payload(&twice, "two films").await;
    desk.replaces_payload(b"", "nothing").await;
    desk.replaces_payload(&film_with("film_id", &rmp_serde::to_vec("7").unwrap()), "a text for a number")
        .await;
    desk.replaces_payload(&film_with("title", &[0xc0]), "nil for a text").await;
}

/// Nesting of any depth, where a field is ignored and where one is read, neither overflows the stack nor takes long.
#[tokio::test(start_paused = true)]
async fn deep_nesting_is_replaced() {
    let desk = Desk::new();
    for depth in [100, 1_000, 10_000, 100_000, 1_000_000] {
        for opening in [&[0x91][..], &[0x81, 0xc0]] {
            // As deep as a payload can be: a million arrays, or half as many maps.
            let mut nested = opening.repeat(depth.min(1_000_000 / opening.len()));
            nested.push(0xc0);
            desk.replaces_payload(&film_with("x", &nested), &format!("{depth} levels ignored")).await;
            desk.replaces_payload(&film_with("title", &nested), &format!("{depth} levels read")).await;
            desk.replaces_payload(&nested, &format!("{depth} levels")).await;
        }
    }
}

/// Lengths that promise gigabytes: nothing is allocated for them.
#[tokio::test(start_paused = true)]
async fn absurd_lengths_are_replaced() {
    let desk = Desk::new();
    for (marker, what) in [(0xdd, "array"), (0xdf, "map"), (0xdb, "str"), (0xc6, "bin"), (0xc9, "ext")] {
        for length in [1u32 << 31, u32::MAX] {
            let value = [&[marker][..], &length.to_be_bytes(), &[0xc0; 40]].concat();
            for payload in [
                value.clone(),
                film_with("x", &value),
                film_with("title", &value),
                film_with("film_id", &value),
            ] {
                desk.replaces_payload(&payload, &format!("{what} of {length}")).await;
            }
        }
    }
}

/// Extension types, text that is no UTF-8, fields named twice, numbers beyond their field.
#[tokio::test(start_paused = true)]
async fn odd_values_are_replaced() {
    let desk = Desk::new();
    let timestamp = [0xd6, 0xff, 0, 0, 0, 1];
    desk.replaces_payload(&film_with("title", &timestamp), "a timestamp for a text").await;
    desk.replaces_payload(&film_with("version", &[0xd4, 0x07, 0x00]), "an extension for a number").await;
    desk.replaces_payload(&film_with("title", &[0xa2, 0xff, 0xfe]), "no UTF-8").await;
    desk.replaces_payload(&film_with("title", &[0xa3, 0xed, 0xa0, 0x80]), "a lone surrogate").await;
    desk.replaces_payload(&film_with("title", &[0xa2, 0xc0, 0x80]), "an overlong NUL").await;
    desk.replaces_payload(&film_with("version", &rmp_serde::to_vec(&u64::MAX).unwrap()), "beyond i64").await;
    desk.replaces_payload(&film_with("film_id", &rmp_serde::to_vec(&(1u64 << 31)).unwrap()), "beyond i32")
        .await;
    desk.replaces_payload(&film_with("film_id", &rmp_serde::to_vec(&7.5f64).unwrap()), "a fraction").await;
    desk.replaces_payload(&film_with("version", &[0xc1]), "the marker that is never used").await;
    let mut twice = film_with("title", &[0xa1, b'y']);
    twice[0] += 1;
    twice.extend(b"\xa5title\xa1y");
    desk.replaces_payload(&twice, "a title twice").await;
}

/// A whole number where a float is due is that number.
#[tokio::test(start_paused = true)]
async fn a_whole_number_answers_for_a_float() {
    let (shop, desk) = (Shop::new(0), Desk::new());
    let counters = Arc::new(Counters::default());
    let none =
        tower::service_fn(|_: Vec<i32>| std::future::ready(Ok::<Vec<(i32, f64)>, std::io::Error>(vec![])));
    let layers =
        ServiceBuilder::new().layer(shop.l2_layer::<f64>(3, &counters)).layer(shop.origin_layer(&counters));
    let stack = Stack::new(layers.service(none));
    shop.tier.overwrite(number_key(7).as_bytes(), desk.record(&number_key(7), 3, Some(&1u8)));
    let answer = stack.ask(Lookup::one(7)).await.unwrap().into_iter().next().unwrap().1.unwrap().unwrap();
    assert_eq!((answer.source, answer.entry.into_present()), (Level::L2, Some(Arc::new(1.0))));
}

/// A bomb, a forged size, a cut or foreign stream: no more is unpacked than the settings take.
#[tokio::test(start_paused = true)]
async fn hostile_compression_is_replaced() {
    let desk = Desk::new();
    let row = rmp_serde::to_vec_named(&film(7)).unwrap();
    // One literal, then a match of 255 × n bytes: a megabyte of it unpacks to 255.
    let mut bomb = vec![0x1f, b'a', 1, 0];
    bomb.extend([0xff; 64 << 10]);
    bomb.extend([0, 0x50, b'e', b'n', b'd', b'!', b'!']);
    let record = desk.present();
    let forged = |packed: &[u8], raw_len| with_payload(&record, LZ4, packed, raw_len);
    for raw_len in [(1 << 20) + 1, 16 << 20, u32::MAX as usize] {
        desk.replaces(forged(&bomb, raw_len), Unusable::TooLarge, &format!("a bomb of {raw_len}")).await;
    }
    for raw_len in [0, 1, 1_000, 1 << 20] {
        desk.replaces(forged(&bomb, raw_len), Unusable::Payload, &format!("a bomb of {raw_len}")).await;
    }
    // One run of literals: the plainest valid stream.
    let mut packed = vec![0xf0, (row.len() - 15) as u8];
    packed.extend(&row);
    let seen = desk.plant(forged(&packed, row.len())).await;
    assert_eq!(seen, Seen { row: Some(film(7)), source: Level::L2, unusable: vec![] }, "so far it is right");
    for raw_len in [0, 1, row.len() - 1, row.len() + 1, 1 << 20] {
        desk.replaces(forged(&packed, raw_len), Unusable::Payload, &format!("forged to {raw_len}")).await;
    }
    for end in 0..packed.len() {
        desk.replaces(forged(&packed[..end], row.len()), Unusable::Payload, &format!("cut to {end}")).await;
    }
    desk.replaces(forged(&row, row.len()), Unusable::Payload, "not compressed at all").await;
    let plain = with_payload(&record, 0, &packed, packed.len());
    desk.replaces(plain, Unusable::Payload, "compressed, and said not to be").await;
}

/// A row larger than L2 takes is answered, is not stored, and is counted; its right is given up. One that a node with
/// larger limits stored doesn't answer here.
#[tokio::test(start_paused = true)]
async fn a_row_larger_than_l2_takes_is_answered_and_not_stored() {
    let mut shop = Shop::new(0);
    let row = Film { title: "x".repeat(600), ..film(7) };
    shop.repository.put(row.clone());
    shop.settings.max_payload_bytes = 500;
    let films = shop.films();
    for asked in 1..=2 {
        let answer = look(&films, Lookup::one(7).skip_l1()).await.unwrap().unwrap();
        assert_eq!((*answer.entry.into_present().unwrap()).clone(), row);
        assert_eq!((films.stats().unfillable, films.stats().loads), (asked, asked));
    }
    assert!(shop.tier.bytes(films.key_text(7).unwrap().as_bytes()).is_none(), "nor does a lease stay");
    let brief = look(&films, Lookup::one(7)).await.unwrap().unwrap();
    assert_eq!(brief.source, Level::L1);
    shop.settings.max_payload_bytes = 1_000;
    shop.films().get(7).await.unwrap();
    let answer = look(&films, Lookup::one(7).skip_l1()).await.unwrap().unwrap();
    assert_eq!((answer.source, films.stats().unusable[6]), (Level::Origin, 1));
    assert_eq!(Unusable::ALL[6], Unusable::TooLarge);
}

/// Nodes that compress and nodes that don't read each other's records.
#[tokio::test(start_paused = true)]
async fn compressing_and_plain_nodes_read_each_other() {
    for (writes, reads) in
        [(Some(0), None), (None, Some(0)), (Some(1), Some(1 << 19)), (Some(usize::MAX), None)]
    {
        let mut shop = Shop::new(0);
        let row = Film { title: "long ".repeat(1_000), ..film(7) };
        shop.repository.put(row.clone());
        shop.settings.compress_from_bytes = writes;
        let first = shop.films();
        first.get(7).await.unwrap();
        let stored = shop.tier.bytes(first.key_text(7).unwrap().as_bytes()).unwrap();
        assert_eq!(
            stored.len() < 1_000,
            writes.is_some_and(|from| from < 5_000),
            "{writes:?}: {}",
            stored.len()
        );
        shop.settings.compress_from_bytes = reads;
        let answer = look(&shop.films(), Lookup::one(7)).await.unwrap().unwrap();
        assert_eq!((answer.source, (*answer.entry.into_present().unwrap()).clone()), (Level::L2, row));
    }
}
