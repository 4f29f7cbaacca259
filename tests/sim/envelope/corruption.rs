//! Cut, flipped and swapped records.

use bytes::Bytes;
use tests::{Film, film};
use tierstack_core::record::{self, Codec, Reader, ToWrite, Unusable};
use tierstack_core::{Entity, Hold, Level, Marks, Stamp, Token, Xid};

use super::{ABSENT, Desk, FLAGS_AT, UNSEALED, origin_row, row_schema, sealed};

/// Nothing, one byte, and somebody else's bytes.
#[tokio::test(start_paused = true)]
async fn foreign_bytes_are_replaced() {
    let desk = Desk::new();
    let long = vec![0xF1; 4_096];
    for bytes in [&b""[..], b"x", b"\xF1", b"\xF1TSK", b"{\"film_id\":7}", b"\x80", &[0; 300], &long] {
        desk.replaces(Bytes::copy_from_slice(bytes), Unusable::NotOurs, &format!("{bytes:02x?}")).await;
    }
}

/// Every truncation of a valid record is a miss, and is replaced.
#[tokio::test(start_paused = true)]
async fn every_truncation_is_replaced() {
    let desk = Desk::new();
    for record in [desk.present(), desk.absent()] {
        for end in 0..record.len() {
            let why = if end < 48 { Unusable::NotOurs } else { Unusable::Corrupt };
            desk.replaces(record.slice(..end), why, &format!("the first {end} bytes")).await;
        }
    }
}

/// Bytes after a valid record.
#[tokio::test(start_paused = true)]
async fn trailing_bytes_are_replaced() {
    let desk = Desk::new();
    for record in [desk.present(), desk.absent()] {
        for tail in [&b"\0"[..], b"x", &record] {
            let bytes = [&record, tail].concat();
            desk.replaces(bytes.into(), Unusable::Corrupt, "with a tail").await;
        }
    }
}

/// Every single-bit flip of a valid record, through the whole stack: a miss that is replaced; in the right and its end,
/// which scripts change, the value itself; in the format version, a miss that is left to the release that wrote it.
#[tokio::test(start_paused = true)]
async fn every_flipped_bit_is_a_miss_or_harmless() {
    let desk = Desk::new();
    for (record, row) in [(desk.present(), Some(film(7))), (desk.absent(), None)] {
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = Bytes::from(flipped);
            let seen = desk.plant(flipped.clone()).await;
            let what = format!("byte {}, bit {}: {seen:?}", bit / 8, bit % 8);
            let held = desk.shop.tier.bytes(desk.key.as_bytes()).unwrap();
            if UNSEALED.contains(&(bit / 8)) {
                assert_eq!((seen.source, seen.row), (Level::L2, row.clone()), "{what}");
                assert!(seen.unusable.is_empty(), "{what}");
                continue;
            }
            assert_eq!((seen.source, seen.row), (Level::Origin, Some(origin_row())), "{what}");
            assert_eq!(seen.unusable.len(), 1, "{what}");
            let other_format = bit / 8 == 4;
            assert_eq!(seen.unusable[0] == Unusable::Format, other_format, "{what}");
            assert_eq!(held == flipped, other_format, "{what}");
        }
    }
}

/// The same of a record with a stamp and dependencies, which the reader alone is given.
#[test]
fn every_flipped_bit_of_a_record_with_a_stamp_and_dependencies_is_a_miss_or_harmless() {
    let format = Film::schema().key_format("shop", 64).unwrap();
    let key = format.wire(&[7]).pop().unwrap().unwrap();
    let codec = Codec::default();
    let stamp = Stamp::new(7, 1, 700, 720, &[705, 711]);
    for row in [Some(film(7)), None] {
        let written = ToWrite {
            token: Token::from_bytes([5; 16]),
            key: &key,
            schema: 9,
            written_ms: 1_000,
            fresh_until_ms: 2_000,
            stale_until_ms: 3_000,
            cost_us: 4,
            stamp: Some(&stamp),
            dependencies: &[Token::from_bytes([1; 16]), Token::from_bytes([2; 16])],
            row: row.as_ref(),
        };
        let record = written.encode(&codec).unwrap();
        let reader = Reader { schema: 9, now_ms: 1_500, codec: &codec };
        let read =
            |bytes: &[u8]| -> Result<Option<Film>, Unusable> { reader.row(&reader.verify(&key, bytes)?) };
        assert_eq!(read(&record), Ok(row.clone()));
        for end in 0..record.len() {
            assert!(read(&record[..end]).is_err(), "the first {end} bytes");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let seen = read(&flipped);
            if UNSEALED.contains(&(bit / 8)) {
                assert_eq!(seen, Ok(row.clone()), "byte {}", bit / 8);
            } else {
                assert!(seen.is_err(), "byte {}, bit {}: {seen:?}", bit / 8, bit % 8);
            }
        }
    }
}

/// Every cut and every single-bit flip of a floor: it is still a miss, whoever may fill it then, and no answer.
#[tokio::test(start_paused = true)]
async fn every_cut_or_flipped_floor_is_a_miss() {
    let desk = Desk::new();
    let mut marks = Marks::none();
    marks.add_xid(Xid { system: 7, timeline: 1, id: 700 });
    marks.add_hold(Hold { id: Token::from_bytes([3; 16]), until_ms: desk.now_ms() + 1_000 });
    let floor = record::floor(Token::from_bytes([1; 16]), Token::NONE, 0, &marks);
    let cuts = (0..floor.len()).map(|end| floor.slice(..end));
    let flips = (0..floor.len() * 8).map(|bit| {
        let mut flipped = floor.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        Bytes::from(flipped)
    });
    for bytes in cuts.chain(flips).chain([floor.clone()]) {
        // With a right that a flip may have made, nobody waits longer than for any other.
        let began = tokio::time::Instant::now();
        let seen = desk.plant(bytes.clone()).await;
        assert_eq!((seen.row, seen.source), (Some(origin_row()), Level::Origin), "{bytes:02x?}");
        assert!(began.elapsed() <= desk.shop.settings.wait_for_load, "{bytes:02x?}");
    }
}

/// Another key's valid record never answers: neither a neighbour's nor the same pk's of another entity or namespace.
#[tokio::test(start_paused = true)]
async fn a_swapped_record_is_replaced() {
    let desk = Desk::new();
    let films = Film::schema();
    let other_keys = [
        films.key_format("shop", 64).unwrap().wire(&[8]),
        films.key_format("shop2", 64).unwrap().wire(&[7]),
        tests::FilmTitle::schema().key_format("shop", 64).unwrap().wire(&[7]),
        tierstack_core::Schema::table("actor").pk(["film_id"]).key_format("shop", 64).unwrap().wire(&[7]),
    ];
    for key in other_keys {
        let key = key.into_iter().next().unwrap().unwrap();
        for record in
            [desk.record(&key, row_schema(), Some(&film(8))), desk.record(&key, row_schema(), None::<&Film>)]
        {
            desk.replaces(record, Unusable::OtherKey, key.as_str()).await;
        }
    }
}

/// An absence with a body is no absence.
#[tokio::test(start_paused = true)]
async fn an_absence_with_a_body_is_replaced() {
    let desk = Desk::new();
    let mut record = desk.present().to_vec();
    record[FLAGS_AT] |= ABSENT;
    desk.replaces(sealed(record), Unusable::Payload, "absent, with a row").await;
    let mut record = desk.absent().to_vec();
    record[FLAGS_AT] &= !ABSENT;
    desk.replaces(sealed(record), Unusable::Payload, "present, without a row").await;
}
