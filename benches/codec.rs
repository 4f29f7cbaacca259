//! A record: encoded and decoded, beside rmp-serde alone and a checksum of the same bytes.

use std::hint::black_box;

use benches::{Film, Pair, film};
use tierstack_core::record::{Codec, Reader, ToWrite};
use tierstack_core::{KeyFormat, Token};
use xxhash_rust::xxh3::xxh3_64;

fn main() {
    let format = KeyFormat::new("shop", "film", None, &["film_id"], 1_024).expect("the names are plain");
    let key = format.wire(&[7]).pop().expect("one key was asked").expect("it is short");
    let row = film(7);
    let codec = Codec::default();
    let write = ToWrite {
        token: Token::from_bytes([1; 16]),
        key: &key,
        schema: 1,
        written_ms: 1_000,
        fresh_until_ms: 2_000,
        stale_until_ms: 3_000,
        cost_us: 100,
        stamp: None,
        dependencies: &[],
        row: Some(&row),
    };
    let record = write.encode(&codec).expect("the row is small");
    let bare = rmp_serde::to_vec_named(&row).expect("the row is plain");
    println!("a row of {} bytes as MessagePack, {} as a record", bare.len(), record.len());

    let pair = |what, floor| Pair { bench: "codec", row: 4, what, floor, limit: None };
    pair("record of a row, written", "rmp-serde and XXH3").run(
        || {
            let bytes = rmp_serde::to_vec_named(&row).expect("the row is plain");
            black_box(xxh3_64(&bytes));
            drop(black_box(bytes));
        },
        || drop(black_box(write.encode(&codec))),
        1,
    );
    let reader = Reader { schema: 1, now_ms: 1_500, codec: &codec };
    pair("record of a row, verified and read", "rmp-serde and XXH3").run(
        || {
            black_box(xxh3_64(&bare));
            drop(black_box(rmp_serde::from_slice::<Film>(&bare)));
        },
        || {
            let body = reader.verify(&key, &record).expect("the record is whole");
            drop(black_box(reader.row::<Film>(&body)));
        },
        1,
    );
}
