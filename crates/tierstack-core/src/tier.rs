//! The shared tier: what L2 must do, as numbered laws.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Bus, Channel, Error, Hold, Marks, System, Token, WireKey, Xid};

/// A boxed future, as object-safe traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a tier replies to a batch: one result per key, in order, and its own clock when it looked.
#[derive(Clone, Debug)]
pub struct Reply<T> {
    /// The tier's clock, in milliseconds. Every instant in a record is of this clock.
    pub now_ms: u64,
    /// One result per key of the request, in its order.
    pub each: Vec<Result<T, Error>>,
}

impl<T> Reply<T> {
    /// The reply of a tier that can't be reached: the same error for each of `count` keys.
    #[must_use]
    pub fn failed(count: usize, error: &Error) -> Self {
        Reply { now_ms: 0, each: (0..count).map(|_| Err(error.clone())).collect() }
    }
}

/// A request for the right to fill a key.
#[derive(Clone, Debug)]
pub struct LeaseFor {
    /// The key.
    pub key: WireKey,
    /// Id of the right, unique to this request; asking again with it is a retry.
    pub right: Token,
    /// Token of a VALUE that was read here and can't be used.
    pub observed: Option<Token>,
    /// How long the right is to last.
    pub life: Duration,
    /// A FLOOR that is there, or is made, lives at least this long, whatever is answered.
    pub keep: Duration,
    /// When a read just found nothing at the key, in milliseconds of the tier's clock; `None` if it found something, or there
    /// was none. It is a hint: a tier may take it for the instant from which a right counts, and try first what does where
    /// nothing is.
    pub vacant_ms: Option<u64>,
}

impl LeaseFor {
    /// A request for a right that lasts as long as the floor it makes.
    #[must_use]
    pub fn new(key: WireKey, right: Token, observed: Option<Token>, life: Duration) -> Self {
        LeaseFor { key, right, observed, life, keep: life, vacant_ms: None }
    }
}

/// What a lease was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leased {
    /// There is a VALUE that the caller had not observed.
    Record(Bytes),
    /// The caller may fill the key.
    Right(Ground),
    /// Someone else may, for this long at most.
    Wait(Duration, Ground),
    /// Nobody may now: a hold stands, or the record is of another release's format.
    Bypass(Ground),
}

impl Leased {
    /// What the key's record bears, if it is a floor or was just leased.
    #[must_use]
    pub fn ground(&self) -> Option<&Ground> {
        match self {
            Leased::Record(_) => None,
            Leased::Right(ground) | Leased::Wait(_, ground) | Leased::Bypass(ground) => Some(ground),
        }
    }
}

/// Token and marks of the record at a key: what a derived entry that rests on it notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Its token; `None` if it bears none that this release can read.
    pub token: Option<Token>,
    /// Its marks.
    pub marks: Marks,
}

/// A loaded value, or the giving up of a right.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The key.
    pub key: WireKey,
    /// The right under which it was loaded.
    pub right: Token,
    /// The bytes of a VALUE, which bear its new token and stamp; `None` gives the right up.
    pub record: Option<Bytes>,
    /// How long the tier keeps it.
    pub life: Duration,
}

/// What became of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filled {
    /// The value is there.
    Ok,
    /// Nothing was there any more: evicted, expired or flushed.
    Lost,
    /// The right was another's, or nobody's: invalidated or taken since.
    Superseded,
    /// The load has not seen a mark, or a hold stands; the right is given up.
    Unseen,
    /// The right is given up, as asked.
    Released,
}

impl Filled {
    /// All of them, in a fixed order.
    pub const ALL: [Filled; 5] =
        [Filled::Ok, Filled::Lost, Filled::Superseded, Filled::Unseen, Filled::Released];
}

/// An invalidation of one key.
#[derive(Clone, Debug)]
pub struct Invalidate {
    /// The key.
    pub key: WireKey,
    /// Transactions that a later fill must have seen.
    pub xids: Vec<Xid>,
    /// Holds to add, each with its life in place of its end.
    pub holds: Vec<(Token, Duration)>,
    /// Holds to drop.
    pub drop_holds: Vec<Token>,
    /// The token of the floor, if one is made.
    pub token: Token,
    /// A right that the floor is to bear, and its life: whoever writes may fill with what was written. If it is the id of
    /// a hold of this floor, it fills though the hold stands, and only if no other write has ever held it.
    pub claim: Option<(Token, Duration)>,
    /// The token of a VALUE that the write itself stored: it stays, and is told.
    pub spares: Option<Token>,
    /// Whether the write is known to have ended.
    pub finished: bool,
    /// How long the floor lives.
    pub life: Duration,
}

impl Invalidate {
    /// The invalidation that follows a write which has ended and has no id.
    #[must_use]
    pub fn finished(key: WireKey, token: Token, life: Duration) -> Self {
        Invalidate {
            key,
            xids: vec![],
            holds: vec![],
            drop_holds: vec![],
            token,
            claim: None,
            spares: None,
            finished: true,
            life,
        }
    }

    /// The holds to add, as they stand in a floor made at `now_ms`.
    pub fn holds_at(&self, now_ms: u64) -> impl Iterator<Item = Hold> + '_ {
        self.holds.iter().map(move |(id, life)| Hold {
            id: *id,
            until_ms: now_ms.saturating_add(crate::time::millis(*life)),
        })
    }
}

/// What an invalidation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidated {
    /// A floor with the given token is there now.
    Floor,
    /// What was there needed no change.
    Unchanged,
}

/// A shared tier of bytes: Redis, or anything that can do four things to one key atomically.
///
/// 1. Every method takes a batch and replies to each key, in order, with a result of its own.
/// 2. `lease`, `fill` and `invalidate` are atomic for each key, and no more than that.
/// 3. They decide as their pages say, to the letter: no old row in L2 rests on it. [`MemoryTier`](crate::MemoryTier) is a
///    reading of them in code, and [`conformance`](crate::conformance) checks any tier.
/// 4. All instants are of the tier's own clock, which every reply states.
/// 5. A tier may lose any record at any time (eviction, expiry, a restart), and keeps none longer than it was told.
/// 6. `fill` never creates a record where there is none.
/// 7. A request that can't be served is an error for its keys, soon: the tier bounds its own waiting.
/// 8. A future that is dropped may or may not have taken effect, and disturbs no other request.
/// 9. A lease, and an invalidation under one token, take effect once at most. A second copy that is late would grant a right
///    that an invalidation has taken away, or bring back a token on which entries rest.
pub trait Tier: Send + Sync + 'static {
    /// What stands at each key: the whole record, or nothing.
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>>;

    /// Asks for the right to fill each key. The first line that fits decides:
    ///
    /// | there is | and | answer |
    /// |---|---|---|
    /// | nothing, or no record | | a FLOOR is made: token and right are the one asked for; [`Right`](Leased::Right) |
    /// | a record of another format version | | [`Bypass`](Leased::Bypass) |
    /// | a VALUE | its token is not the one observed | [`Record`](Leased::Record) |
    /// | a record | its right is the one asked for: a retry | [`Right`](Leased::Right) |
    /// | a FLOOR | a hold on it has not ended | [`Bypass`](Leased::Bypass) |
    /// | a record | another right has not ended | [`Wait`](Leased::Wait), for what remains of it |
    /// | a record | | it bears the right now, until its life ends; [`Right`](Leased::Right) |
    ///
    /// In every case, a FLOOR that is there then lives as long as the right asked for and as it is to be kept, at least.
    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>>;

    /// Stores what was loaded under a right, or gives the right up. The first line that fits decides:
    ///
    /// | there is | and | answer |
    /// |---|---|---|
    /// | nothing, or no record | | [`Lost`](Filled::Lost) |
    /// | a record | its token is the one brought: a retry | [`Ok`](Filled::Ok) |
    /// | a record | its right is not the one given | [`Superseded`](Filled::Superseded) |
    /// | a record | nothing is brought | the right is taken off, a FLOOR without marks goes; [`Released`](Filled::Released) |
    /// | a FLOOR | the right is a hold's id, and there is another hold, ended or not | the same; [`Unseen`](Filled::Unseen) |
    /// | a FLOOR | the right is none's, and a hold has not ended | the same; [`Unseen`](Filled::Unseen) |
    /// | a FLOOR | the stamp brought has not seen an xid | the same; [`Unseen`](Filled::Unseen) |
    /// | a record | | what is brought replaces it; [`Ok`](Filled::Ok) |
    ///
    /// A right that has ended and that nobody took still fills.
    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>>;

    /// Makes each key's value unusable, and every fill that has not seen the marks. The first line that fits decides:
    ///
    /// | there is | and | answer |
    /// |---|---|---|
    /// | nothing | the write has ended | [`Unchanged`](Invalidated::Unchanged) |
    /// | a VALUE | it bears the token to be spared | [`Unchanged`](Invalidated::Unchanged) |
    /// | a VALUE | xids are given, no hold, and its stamp has seen all | [`Unchanged`](Invalidated::Unchanged) |
    /// | a FLOOR | marks are given, it has all of them, no hold is to be dropped, and no right but its own is claimed | its life is prolonged; [`Unchanged`](Invalidated::Unchanged) |
    /// | anything | | a FLOOR replaces it: a new token, the right claimed or none, the marks of the FLOOR there and those given, less the holds dropped, the longer life; [`Floor`](Invalidated::Floor) |
    ///
    /// In every case, and in the same atomic step, the keys and the tokens that are then there are told on the channel.
    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>>;

    /// What it is, for telemetry. Default: that is not said.
    fn system(&self) -> Option<System> {
        None
    }

    /// How nodes hear of invalidations; `None` if they don't, and only the life of L1 bounds how old it may be.
    fn bus(&self) -> Option<Arc<dyn Bus>> {
        None
    }
}

impl fmt::Debug for dyn Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tier")
    }
}
