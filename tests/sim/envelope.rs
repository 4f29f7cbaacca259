//! Bytes from L2 are never trusted: whatever stands at a key, the caller gets the right row, and nothing panics.

mod corruption;
mod format;
mod lists;
mod payloads;
mod schemas;
mod times;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tests::{Film, film};
use tierstack_core::record::{Codec, ToWrite, Unusable};
use tierstack_core::{Cache, Entity, LeaseFor, Level, Lookup, Stats, Tier, Token, WireKey};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::shop::{Shop, look};

/// Right and its end, which scripts change in place: no checksum covers them.
const UNSEALED: Range<usize> = 24..48;
const CHECKSUM: Range<usize> = 48..56;
const FLAGS_AT: usize = 6;
const SCHEMA_AT: usize = 64;
const WRITTEN_AT: usize = 72;
const FRESH_UNTIL_AT: usize = 80;
const STALE_UNTIL_AT: usize = 88;
/// What all rows rest on.
const GROUND: Token = Token::from_bytes([9; 16]);
pub(crate) const ABSENT: u8 = 1;
const LZ4: u8 = 2;

/// A shop with film 7 in version 1 at the origin, and a place in L2 where a test plants what claims to be version 0.
struct Desk {
    shop: Shop,
    films: Cache<Film>,
    key: WireKey,
}

/// What became of planted bytes.
#[derive(Debug, PartialEq)]
struct Seen {
    row: Option<Film>,
    source: Level,
    unusable: Vec<Unusable>,
}

impl Desk {
    fn new() -> Self {
        Desk::of(Shop::new(0))
    }

    fn of(shop: Shop) -> Self {
        shop.repository.put(origin_row());
        let format = Film::schema().key_format("shop", 1_024).unwrap();
        let key = format.wire(&[7]).pop().unwrap().unwrap();
        let lease = LeaseFor::new(format.special("all"), GROUND, None, Duration::from_secs(86_400 * 365));
        shop.tier.lease(&[lease]).now_or_never().expect("a tier in memory is ready at once");
        Desk { films: shop.films(), shop, key }
    }

    fn now_ms(&self) -> u64 {
        self.shop.manual.clock().wall_ms()
    }

    /// A valid record for any key and schema, written now, for a minute.
    fn record(&self, key: &WireKey, schema: u64, row: Option<&impl serde::Serialize>) -> Bytes {
        let now = self.now_ms();
        let record = ToWrite {
            token: Token::from_bytes([5; 16]),
            key,
            schema,
            written_ms: now,
            fresh_until_ms: now + 60_000,
            stale_until_ms: now + 60_000,
            cost_us: 9,
            stamp: None,
            dependencies: &[GROUND],
            row,
        };
        record.encode(&Codec::default()).unwrap()
    }

    /// A valid record of version 0.
    fn present(&self) -> Bytes {
        self.record(&self.key, row_schema(), Some(&film(7)))
    }

    /// A valid record that says there is no such row.
    fn absent(&self) -> Bytes {
        self.record(&self.key, row_schema(), None::<&Film>)
    }

    /// Puts bytes at the film's key, and asks for the film past L1.
    async fn plant(&self, bytes: Bytes) -> Seen {
        let before = self.films.stats();
        self.shop.tier.overwrite(self.key.as_bytes(), bytes);
        let answer = look(&self.films, Lookup::one(7).skip_l1()).await.unwrap().unwrap();
        let after = self.films.stats();
        assert_eq!((after.errors, after.l2_failures), (0, 0));
        let row = answer.entry.into_present().map(|row| (*row).clone());
        Seen { row, source: answer.source, unusable: counted(&before, &after) }
    }

    /// Plants bytes that can't answer for that reason: the origin answers instead, and what it said replaces them.
    async fn replaces(&self, bytes: Bytes, why: Unusable, what: &str) {
        let seen = self.plant(bytes).await;
        let expected = Seen { row: Some(origin_row()), source: Level::Origin, unusable: vec![why] };
        assert_eq!(seen, expected, "{what}");
        let held = look(&self.films, Lookup::one(7).never_load().skip_l1()).await.unwrap();
        let held = held.unwrap_or_else(|| panic!("{what}: it was not replaced"));
        assert_eq!((*held.entry.into_present().unwrap()).clone(), origin_row(), "{what}");
    }
}

/// The row of the origin.
fn origin_row() -> Film {
    Film { version: 1, ..film(7) }
}

/// The schema of whole films.
fn row_schema() -> u64 {
    Film::schema().fingerprint("row")
}

/// The reasons counted between two readings, as often as each was.
fn counted(before: &Stats, after: &Stats) -> Vec<Unusable> {
    let counts = Unusable::ALL.iter().zip(before.unusable.iter().zip(after.unusable));
    counts.flat_map(|(why, (before, after))| std::iter::repeat_n(*why, (after - before) as usize)).collect()
}

/// The same record with a valid checksum, as a forger would have it.
fn sealed(mut record: Vec<u8>) -> Bytes {
    let sum = xxh3_64_with_seed(&record[..UNSEALED.start], xxh3_64(&record[CHECKSUM.end..]));
    record[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    record.into()
}

/// The same record with another number at a place, sealed.
fn with_u64(record: &[u8], at: usize, number: u64) -> Bytes {
    let mut record = record.to_vec();
    record[at..at + 8].copy_from_slice(&number.to_be_bytes());
    sealed(record)
}

/// The same record with another payload, sealed.
pub(crate) fn with_payload(record: &[u8], flags: u8, payload: &[u8], raw_len: usize) -> Bytes {
    let stamp = usize::from(u16::from_be_bytes([record[100], record[101]]));
    let mut forged = record[..112 + stamp + 16 * usize::from(record[102])].to_vec();
    forged[FLAGS_AT] = flags;
    forged[104..108].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    forged[108..112].copy_from_slice(&(raw_len as u32).to_be_bytes());
    forged.extend_from_slice(payload);
    sealed(forged)
}
