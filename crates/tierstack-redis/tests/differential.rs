//! The scripts and [`MemoryTier`] read the protocol alike: the same replies, and the same bytes at the keys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tierstack_core::record::{self, Codec, Header, Read, ToWrite};
use tierstack_core::{
    Channel, Fill, Ground, Hold, Invalidate, KeyFormat, LeaseFor, Leased, Marks, MemoryTier, Reply, Stamp,
    Tier, Token, WireKey, Xid,
};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

const KEYS: u32 = 3;
const HOUR: Duration = Duration::from_secs(3_600);
/// Ids on both sides of every boundary: halves of 32 bits, 53 bits, pairs of equal digits, the top.
const IDS: [u64; 18] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    0xaa,
    0xab,
    0xffff_ffff,
    1 << 32,
    (1 << 53) + 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

#[derive(Clone, Debug)]
enum Step {
    /// Whether nothing was read before at any of them: as a hint, which may be wrong.
    Lease(Vec<(usize, Token, Option<Token>)>, bool),
    Fill(Vec<(usize, Token, Option<Bytes>)>),
    Invalidate(Vec<Ask>),
    Overwrite(usize, Bytes),
}

#[derive(Clone, Debug)]
struct Ask {
    key: usize,
    token: Token,
    finished: bool,
    xids: Vec<Xid>,
    holds: Vec<(Token, Duration)>,
    drops: Vec<Token>,
    claim: Option<Token>,
    spares: Option<Token>,
}

fn key() -> impl Strategy<Value = usize> {
    0..KEYS as usize
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![1 => Just(Token::NONE), 12 => (1u8..5).prop_map(|byte| Token::from_bytes([byte; 16]))]
}

fn id() -> impl Strategy<Value = u64> {
    prop::sample::select(&IDS[..])
}

fn history() -> impl Strategy<Value = (u64, u32)> {
    prop_oneof![8 => Just((7, 1)), 1 => Just((7, 2)), 1 => Just((u64::MAX, u32::MAX))]
}

fn xid() -> impl Strategy<Value = Xid> {
    (history(), id()).prop_map(|((system, timeline), id)| Xid { system, timeline, id })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (history(), id(), id(), vec(id(), 0..4))
        .prop_map(|((system, timeline), a, b, xip)| Stamp::new(system, timeline, a.min(b), a.max(b), &xip))
}

/// A whole VALUE; every key takes it, as no tier looks at the fingerprint.
fn value() -> impl Strategy<Value = Bytes> {
    (token(), prop::option::weighted(0.8, stamp())).prop_map(|(token, stamp)| {
        let key = &keys()[0];
        let (written_ms, fresh_until_ms, stale_until_ms) = (1, 2, 3);
        let stamp = stamp.as_ref();
        let (dependencies, row) = (&[][..], Some(&"row"));
        let write = ToWrite {
            token,
            key,
            schema: 1,
            written_ms,
            fresh_until_ms,
            stale_until_ms,
            cost_us: 4,
            stamp,
            dependencies,
            row,
        };
        write.encode(&Codec::default()).unwrap()
    })
}

/// Instants that no clock of a test comes near.
fn far() -> impl Strategy<Value = u64> {
    prop::sample::select(&[0, 1_000, 4_000_000_000_000, (1 << 53) + 1, u64::MAX][..])
}

fn floor() -> impl Strategy<Value = Bytes> {
    let hold = (token(), far()).prop_map(|(id, until_ms)| Hold { id, until_ms });
    let few_or_many = prop_oneof![4 => vec(hold, 0..3), 1 => vec(many_holds(), 60..70)];
    (token(), token(), far(), vec(xid(), 0..12), few_or_many).prop_map(
        |(token, right, until, xids, holds)| {
            let mut marks = Marks::none();
            xids.into_iter().for_each(|xid| marks.add_xid(xid));
            holds.into_iter().for_each(|hold| marks.add_hold(hold));
            record::floor(token, right, until, &marks)
        },
    )
}

fn many_holds() -> impl Strategy<Value = Hold> {
    (any::<u8>(), far()).prop_map(|(id, until_ms)| Hold { id: Token::from_bytes([id; 16]), until_ms })
}

/// What may stand at a key: a record with any right, whole, cut, with a flipped byte, or no record at all.
fn anything() -> impl Strategy<Value = Bytes> {
    let leased =
        (value(), token(), far()).prop_map(|(value, right, until)| record::with_right(&value, right, until));
    let whole = prop_oneof![leased, floor()].boxed();
    let cut = (whole.clone(), any::<prop::sample::Index>())
        .prop_map(|(bytes, at)| bytes.slice(..at.index(bytes.len() + 1)));
    let flipped = (whole.clone(), any::<prop::sample::Index>(), 1..=u8::MAX).prop_map(|(bytes, at, by)| {
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        bytes.into()
    });
    let other_format = whole.clone().prop_map(|bytes| {
        let mut bytes = bytes.to_vec();
        bytes[4] = 2;
        bytes.into()
    });
    let noise = vec(any::<u8>(), 0..130).prop_map(Bytes::from);
    prop_oneof![12 => whole, 2 => cut, 4 => flipped, 2 => other_format, 2 => noise, 1 => over_a_limit()]
}

/// Marks as no tier writes them: at their limits, and one more.
fn over_a_limit() -> impl Strategy<Value = Bytes> {
    let counts = (8usize..10, 0u8..3, 64usize..66);
    (counts, token(), token(), any::<bool>()).prop_map(|((xids, folded, holds), token, right, many_xids)| {
        let (xids, holds) = if many_xids { (xids, 0) } else { (0, holds) };
        let mut bytes = record::floor(token, right, 1_000, &Marks::none()).to_vec();
        bytes.truncate(48);
        bytes.extend(format!("{xids:02x}{folded}").bytes());
        (0..xids).for_each(|id| bytes.extend(format!("{:016x}{:08x}{id:016x}", 7, 1).bytes()));
        bytes.extend(format!("{holds:02x}").bytes());
        (0..holds).for_each(|id| bytes.extend(format!("{id:032x}{:016x}", 1_000).bytes()));
        bytes.into()
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let life = prop::sample::select(vec![Duration::ZERO, HOUR, 2 * HOUR]);
    let xids = prop_oneof![4 => vec(xid(), 0..3), 1 => vec(xid(), 8..12)];
    let few_or_many = prop_oneof![
        12 => vec((token(), life.clone()), 0..2),
        1 => vec((any::<u8>().prop_map(|id| Token::from_bytes([id; 16])), life), 60..70),
    ];
    let some = || prop::option::of((1u8..5).prop_map(|byte| Token::from_bytes([byte; 16])));
    (key(), token(), any::<bool>(), xids, few_or_many, vec(token(), 0..2), some(), some()).prop_map(
        |(key, token, finished, xids, holds, drops, claim, spares)| Ask {
            key,
            token,
            finished,
            xids,
            holds,
            drops,
            claim,
            spares,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let brought = prop_oneof![1 => Just(None), 6 => value().prop_map(Some), 1 => anything().prop_map(Some)];
    prop_oneof![
        4 => (vec((key(), token(), prop::option::of(token())), 1..4), any::<bool>())
            .prop_map(|(leases, vacant)| Step::Lease(leases, vacant)),
        4 => vec((key(), token(), brought), 1..4).prop_map(Step::Fill),
        3 => vec(ask(), 1..4).prop_map(Step::Invalidate),
        2 => (key(), anything()).prop_map(|(key, bytes)| Step::Overwrite(key, bytes)),
    ]
}

fn keys() -> Vec<WireKey> {
    let format = KeyFormat::new("differential", "film", None, &["id"], 64).unwrap();
    format.wire(&(0..KEYS).collect::<Vec<_>>()).into_iter().map(Result::unwrap).collect()
}

/// Instants within a day of now: those that a tier took from its clock.
fn is_of_the_clock(ms: u64) -> bool {
    ms.abs_diff(tierstack_core::Clock::system().wall_ms()) < 24 * 3_600_000
}

/// The bytes of a record with such instants put to zero; other bytes as they are.
fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let Read::Record(header) = Header::read(bytes) else { return out };
    if is_of_the_clock(header.right_until_ms) {
        out[40..48].fill(0);
    }
    if record::marks_of(bytes).is_some() {
        let digits = |range: std::ops::Range<usize>| {
            u64::from_str_radix(std::str::from_utf8(&bytes[range]).unwrap(), 16).unwrap()
        };
        let holds_at = 51 + 40 * digits(48..50) as usize;
        for hold in 0..digits(holds_at..holds_at + 2) as usize {
            let until = holds_at + 2 + 48 * hold + 32;
            if is_of_the_clock(digits(until..until + 16)) {
                out[until..until + 16].fill(b'0');
            }
        }
    }
    out
}

fn masked_ground(ground: &Ground) -> (Option<Token>, Vec<u8>) {
    (ground.token, masked(&record::floor(Token::NONE, Token::NONE, 0, &ground.marks)))
}

/// A lease's answer, with the remaining time in units of a minute, and at most a century.
fn masked_lease(leased: &Leased) -> String {
    match leased {
        Leased::Record(bytes) => format!("record {:?}", masked(bytes)),
        Leased::Right(ground) => format!("right {:?}", masked_ground(ground)),
        Leased::Wait(left, ground) => {
            let minutes = (left.as_secs() + 30) / 60;
            format!("wait {} {:?}", minutes.min(100 * 366 * 24 * 60), masked_ground(ground))
        }
        Leased::Bypass(ground) => format!("bypass {:?}", masked_ground(ground)),
    }
}

fn shown<T>(reply: Reply<T>, show: impl Fn(T) -> String) -> Vec<String> {
    assert!(is_of_the_clock(reply.now_ms), "the reply states the clock: {}", reply.now_ms);
    reply.each.into_iter().map(|one| show(one.unwrap())).collect()
}

async fn take(tier: &dyn Tier, keys: &[WireKey], step: &Step) -> Vec<String> {
    match step {
        Step::Lease(leases, vacant) => {
            let vacant_ms = vacant.then(|| tierstack_core::Clock::system().wall_ms());
            let lease = |(key, right, observed): &(usize, Token, Option<Token>)| LeaseFor {
                key: keys[*key].clone(),
                right: *right,
                observed: *observed,
                life: HOUR,
                keep: HOUR,
                vacant_ms,
            };
            let leases: Vec<_> = leases.iter().map(lease).collect();
            shown(tier.lease(&leases).await, |leased| masked_lease(&leased))
        }
        Step::Fill(fills) => {
            let fill = |(key, right, record): &(usize, Token, Option<Bytes>)| Fill {
                key: keys[*key].clone(),
                right: *right,
                record: record.clone(),
                life: HOUR,
            };
            let fills: Vec<_> = fills.iter().map(fill).collect();
            shown(tier.fill(&fills).await, |filled| format!("{filled:?}"))
        }
        Step::Invalidate(asks) => {
            let asks: Vec<_> = asks
                .iter()
                .map(|Ask { key, token, finished, xids, holds, drops, claim, spares }| Invalidate {
                    key: keys[*key].clone(),
                    xids: xids.clone(),
                    holds: holds.clone(),
                    drop_holds: drops.clone(),
                    token: *token,
                    claim: claim.map(|right| (right, HOUR)),
                    spares: *spares,
                    finished: *finished,
                    life: HOUR,
                })
                .collect();
            shown(tier.invalidate(&Channel::of("test"), &asks).await, |done| format!("{done:?}"))
        }
        Step::Overwrite(..) => vec![],
    }
}

#[test]
fn redis_and_memory_answer_and_store_the_same() {
    let server = Redis::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let redis = RedisTier::new(RedisSettings::new(server.url())).unwrap();
    let raw = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let raw = std::cell::RefCell::new(raw);
    let keys = keys();
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(step(), 1..40), |steps| {
        let memory = MemoryTier::new(100);
        redis::cmd("FLUSHALL").exec(&mut *raw.borrow_mut()).unwrap();
        for (at, step) in steps.iter().enumerate() {
            if let Step::Overwrite(key, bytes) = step {
                memory.overwrite(keys[*key].as_bytes(), bytes.clone());
                let set = redis::cmd("SET")
                    .arg(keys[*key].as_bytes())
                    .arg(&bytes[..])
                    .arg("PX")
                    .arg(3_600_000)
                    .exec(&mut *raw.borrow_mut());
                set.unwrap();
            }
            // Two holds of one life are told apart by the millisecond in which they began: let it be another one.
            std::thread::sleep(Duration::from_micros(1_100));
            let (ours, theirs) = runtime
                .block_on(async { (take(&redis, &keys, step).await, take(&memory, &keys, step).await) });
            prop_assert_eq!(ours, theirs, "step {}: {:?}", at, step);
            let (ours, theirs) = runtime.block_on(async {
                let bytes = |found: Option<Bytes>| format!("{:?}", found.as_deref().map(masked));
                (shown(redis.read(&keys).await, bytes), shown(memory.read(&keys).await, bytes))
            });
            prop_assert_eq!(ours, theirs, "bytes after step {}: {:?}", at, step);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
