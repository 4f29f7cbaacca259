//! What the scripts do, run once for each distinct (record, call) in a Redis of our own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tierstack_core::mutants::{Mechanism, is_off};
use tierstack_core::{Channel, Fill, Invalidate, KeyFormat, LeaseFor, Leased as Reply, Tier, Token, WireKey};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;

use crate::l2::{Answer, Call, Invalidation, Leased};
use crate::record::{Cell, Record};
use crate::token::{Renaming, Tok};

type Hasher = foldhash::fast::RandomState;
type Table = HashMap<(Cell, Call), (Cell, Answer), Hasher>;

/// Calls are made with this life, and records put with the other: which of them a key lives on for shows who prolonged it.
const LIFE: Duration = Duration::from_secs(7_200);
const PUT_MS: u64 = 600_000;

/// The scripts, remembered. Each exploration has one of its own before the one that all share.
pub(crate) struct Memo {
    own: RefCell<Table>,
}

impl Memo {
    pub(crate) fn new() -> Self {
        Memo { own: RefCell::default() }
    }

    /// How many distinct calls were run in Redis until now, by all explorations of this process.
    pub(crate) fn distinct() -> usize {
        shared().known.len()
    }

    /// What a call makes of what is at its key, and what it is answered.
    pub(crate) fn call(&self, cell: &mut Cell, mut call: Call) -> Answer {
        let mut renaming = Renaming::new();
        let mut there = *cell;
        if let Some(record) = &mut there {
            record.tokens(&mut |token| renaming.rename(token));
        }
        call.rename(&mut renaming);
        let key = (there, call);
        let found = self.own.borrow().get(&key).copied();
        let (mut after, answer) = found.unwrap_or_else(|| {
            let done = shared().run(&key);
            self.own.borrow_mut().insert(key, done);
            done
        });
        if let Some(record) = &mut after {
            record.tokens(&mut |token| renaming.restore(token));
        }
        *cell = after;
        answer
    }
}

fn shared() -> MutexGuard<'static, Shared> {
    static SHARED: OnceLock<Mutex<Shared>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Mutex::new(Shared::new().expect("the model needs a Redis")));
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared {
    known: Table,
    tier: RedisTier,
    runtime: tokio::runtime::Runtime,
    raw: redis::Connection,
    hears: redis::Connection,
    key: WireKey,
    channel: Channel,
    /// Ends with the process.
    _server: Redis,
}

impl Shared {
    fn new() -> anyhow::Result<Self> {
        let server = Redis::start()?;
        let client = redis::Client::open(server.url())?;
        let channel = Channel::of("protocol");
        let hears = client.get_connection()?;
        Ok(Shared {
            known: Table::default(),
            tier: RedisTier::new(RedisSettings::new(server.url()))?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            raw: client.get_connection()?,
            hears,
            key: KeyFormat::new("protocol", "film", None, &["id"], 64)?.wire(&[1_u32]).remove(0)?,
            channel,
            _server: server,
        })
    }

    fn run(&mut self, asked: &(Cell, Call)) -> (Cell, Answer) {
        if let Some(done) = self.known.get(asked) {
            return *done;
        }
        let done = self.run_in_redis(&asked.0, &asked.1).expect("Redis answers");
        self.known.insert(*asked, done);
        done
    }

    fn run_in_redis(&mut self, there: &Cell, call: &Call) -> anyhow::Result<(Cell, Answer)> {
        let key = self.key.clone();
        let key = key.as_bytes();
        let now_ms = now(&mut self.raw)?;
        match there {
            Some(record) => {
                let bytes = record.bytes(&self.key, now_ms);
                redis::cmd("SET").arg(key).arg(bytes).arg("PX").arg(PUT_MS).exec(&mut self.raw)?;
            }
            None => redis::cmd("DEL").arg(key).exec(&mut self.raw)?,
        }
        let mut told = None;
        let answer = match call {
            Call::Lease { right, observed } => self.lease(*right, *observed)?,
            Call::Fill { right, brings } => {
                let record =
                    brings.map(|(token, value)| Record::value(token, value).bytes(&self.key, now_ms).into());
                let fill = Fill { key: self.key.clone(), right: right.bytes(), record, life: LIFE };
                let reply = self.runtime.block_on(self.tier.fill(&[fill]));
                Answer::Filled(only(reply.each)?)
            }
            Call::Invalidate(ask) => {
                let mut hears = self.hears.as_pubsub();
                hears.subscribe(self.channel.as_str())?;
                let ask = invalidate(&self.key, ask);
                let reply = self.runtime.block_on(self.tier.invalidate(&self.channel, &[ask]));
                hears.set_read_timeout(Some(Duration::from_secs(10)))?;
                told = Some(hears.get_message()?.get_payload_bytes().to_vec());
                Answer::Invalidated(only(reply.each)?)
            }
        };
        let bytes: Option<Vec<u8>> = redis::cmd("GET").arg(key).query(&mut self.raw)?;
        let life_ms: i64 = redis::cmd("PTTL").arg(key).query(&mut self.raw)?;
        let after = bytes.map(|bytes| Record::read(&self.key, &bytes, now_ms + 1_000));
        check_life(there, call, &after, life_ms);
        // A script that makes no floor tells of one.
        if let Some(told) = told.filter(|_| !is_off(Mechanism::Floor)) {
            assert_eq!(told, message(&self.key, &after), "{call:?} on {there:?} was told otherwise");
        }
        Ok((after, answer))
    }

    fn lease(&mut self, right: Tok, observed: Tok) -> anyhow::Result<Answer> {
        let observed = Some(observed.bytes()).filter(|token| !token.is_none());
        let ask = LeaseFor::new(self.key.clone(), right.bytes(), observed, LIFE);
        let reply = self.runtime.block_on(self.tier.lease(&[ask]));
        Ok(Answer::Leased(match only(reply.each)? {
            Reply::Record(_) => Leased::Record,
            Reply::Right(_) => Leased::Right,
            Reply::Wait(..) => Leased::Wait,
            Reply::Bypass(_) => Leased::Bypass,
        }))
    }
}

fn now(raw: &mut redis::Connection) -> anyhow::Result<u64> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(raw)?;
    Ok(seconds * 1_000 + micros / 1_000)
}

fn only<T>(each: Vec<Result<T, tierstack_core::Error>>) -> anyhow::Result<T> {
    let mut each = each.into_iter();
    Ok(each.next().expect("a reply for the key that was asked")?)
}

fn invalidate(key: &WireKey, ask: &Invalidation) -> Invalidate {
    let some = |token: &Tok| Some(token.bytes()).filter(|token| !token.is_none());
    Invalidate {
        key: key.clone(),
        xids: ask.xids.xids().collect(),
        holds: some(&ask.hold).map(|hold| (hold, LIFE)).into_iter().collect(),
        drop_holds: ask.drops.iter().filter_map(some).collect(),
        token: ask.token.bytes(),
        claim: some(&ask.claim).map(|right| (right, LIFE)),
        spares: some(&ask.spares),
        finished: ask.finished,
        life: LIFE,
    }
}

/// The message of an invalidation of one key: the token there now, or sixteen zero bytes.
fn message(key: &WireKey, after: &Cell) -> Vec<u8> {
    let mut told = b"\xf1TSB\x01I".to_vec();
    let length = u32::try_from(key.as_bytes().len()).expect("a short key");
    told.extend(length.to_be_bytes());
    told.extend(key.as_bytes());
    let token = after.as_ref().map_or(Token::NONE, |record| record.token.bytes());
    told.extend(token.as_bytes());
    told
}

/// A floor lives for the life of the last call that made it, took its right or marked it; nothing lives for ever.
fn check_life(there: &Cell, call: &Call, after: &Cell, life_ms: i64) {
    let Some(record) = after else { return };
    let prolongs = match call {
        Call::Lease { .. } | Call::Invalidate(_) => record.as_floor().is_some(),
        Call::Fill { .. } => there.is_some_and(|there| there.token != record.token),
    };
    let least = if prolongs { PUT_MS as i64 + 60_000 } else { 1 };
    assert!(life_ms >= least, "{call:?} on {there:?} left it to live for {life_ms} ms");
}
