//! The bytes themselves: what is written reads back, and stays as it is from release to release.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tests::Film;
use tierstack_core::record::{Codec, Reader, ToWrite};
use tierstack_core::{KeyFormat, Stamp, Token, WireKey};

fn key_of(id: i32) -> WireKey {
    KeyFormat::new("shop", "film", None, &["film_id"], 64).unwrap().wire(&[id]).pop().unwrap().unwrap()
}

fn any_film() -> impl Strategy<Value = Film> {
    (any::<i32>(), any::<String>(), any::<String>(), any::<i64>())
        .prop_map(|(film_id, title, rating, version)| Film { film_id, title, rating, version })
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>(), vec(any::<u64>(), 0..20))
        .prop_map(|(system, timeline, xmin, xmax, xip)| Stamp::new(system, timeline, xmin, xmax, &xip))
}

proptest! {
    /// Whatever is written reads back the same, with any compression on the other side.
    #[test]
    fn a_record_reads_back(
        id: i32,
        schema: u64,
        token: [u8; 16],
        times: [u64; 3],
        cost_us: u32,
        stamp in option::of(any_stamp()),
        dependencies in vec(any::<[u8; 16]>(), 0..4),
        row in option::of(any_film()),
        compress in option::of(0usize..200),
    ) {
        let dependencies: Vec<Token> = dependencies.into_iter().map(Token::from_bytes).collect();
        let (key, [written_ms, fresh_until_ms, stale_until_ms]) = (key_of(id), times);
        let written = ToWrite {
            token: Token::from_bytes(token),
            key: &key,
            schema,
            written_ms,
            fresh_until_ms,
            stale_until_ms,
            cost_us,
            stamp: stamp.as_ref(),
            dependencies: &dependencies,
            row: row.as_ref(),
        };
        let record = written.encode(&Codec { compress_from_bytes: compress, ..Codec::default() }).unwrap();
        let codec = Codec::default();
        let reader = Reader { schema, now_ms: written_ms, codec: &codec };
        let body = reader.verify(&key, &record).unwrap();
        prop_assert_eq!(body.token, Token::from_bytes(token));
        prop_assert_eq!([body.written_ms, body.fresh_until_ms, body.stale_until_ms], times);
        prop_assert_eq!((body.cost_us, &body.stamp), (cost_us, &stamp));
        prop_assert_eq!(body.dependencies.as_slice(), &dependencies);
        prop_assert_eq!(reader.row::<Film>(&body), Ok(row));
    }

    /// No bytes at all make the reader panic.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..300),
        lengths: [u8; 10],
        kind in prop_oneof![Just(b'V'), Just(b'F'), any::<u8>()],
    ) {
        let codec = Codec::default();
        let reader = Reader { schema: 1, now_ms: 1, codec: &codec };
        let _ = reader.verify(&key_of(7), &bytes);
        let mut ours = bytes;
        ours.splice(0..ours.len().min(6), *b"\xF1TSK\x01V");
        ours[5] = kind;
        if ours.len() > 112 {
            ours[100..110].copy_from_slice(&lengths);
            ours = super::sealed(ours).to_vec();
        }
        if let Ok(body) = reader.verify(&key_of(7), &ours) {
            let _ = reader.row::<Film>(&body);
        }
    }
}

/// The format is what nodes of two releases share: a changed byte here empties every L2, and needs a new version.
#[test]
fn the_bytes_of_a_record_are_stable() {
    let stamp = Stamp::new(0x0123_4567_89ab_cdef, 3, 700, 720, &[705]);
    let film = Film { film_id: 7, title: "Alien".into(), rating: "R".into(), version: -1 };
    let key = key_of(7);
    let mut written = ToWrite {
        token: Token::from_bytes(*b"0123456789abcdef"),
        key: &key,
        schema: 0x0001_0203_0405_0607,
        written_ms: 1_767_225_600_000,
        fresh_until_ms: 1_767_225_900_000,
        stale_until_ms: 1_767_225_960_000,
        cost_us: 1_500,
        stamp: Some(&stamp),
        dependencies: &[Token::from_bytes(*b"ABCDEFGHIJKLMNOP")],
        row: Some(&film),
    };
    assert_eq!(hex(&written.encode(&Codec::default()).unwrap()), PRESENT);
    (written.stamp, written.dependencies, written.row) = (None, &[], None);
    assert_eq!(hex(&written.encode(&Codec::default()).unwrap()), ABSENT);
}

fn hex(bytes: &[u8]) -> String {
    let lines =
        bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

const PRESENT: &str = "\
f154534b015600003031323334353637
38396162636465660000000000000000
00000000000000000000000000000000
3951c3f8fff669c642ec29dc792206c8
00010203040506070000019b76daa800
0000019b76df3be00000019b76e02640
000005dc004a01000000002800000028
30313233343536373839616263646566
30303030303030333030303030303030
30303030303262633030303030303030
30303030303264303031303030303030
30303030303030326331414243444546
4748494a4b4c4d4e4f5084a766696c6d
5f696407a57469746c65a5416c69656e
a6726174696e67a152a776657273696f
6eff";
const ABSENT: &str = "\
f154534b015601003031323334353637
38396162636465660000000000000000
00000000000000000000000000000000
be097912e328ca4042ec29dc792206c8
00010203040506070000019b76daa800
0000019b76df3be00000019b76e02640
000005dc000000000000000000000000";
