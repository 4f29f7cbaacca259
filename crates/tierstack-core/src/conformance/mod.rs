//! The laws of a [`Tier`], as a suite that any tier can be held against.
//!
//! For authors of tiers; call it from a test with a tier that holds nothing yet, or no key beginning with the given
//! prefix.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tierstack_core::conformance::Violation> {
//! let tier = tierstack_core::MemoryTier::new(1_000);
//! let checked = tierstack_core::conformance::check(&tier, "any").await?;
//! assert!(checked > 30);
//! # Ok(()) }
//! ```

mod bus;
mod writes;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::record::{self, Codec, ToWrite};
use crate::{
    Channel, Fill, Filled, Ground, Invalidate, Invalidated, KeyFormat, LeaseFor, Leased, Marks, Reply, Stamp,
    Tier, Token, WireKey, Xid,
};

/// A law that the tier broke, and what was seen.
#[derive(Debug)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

const LIFE: Duration = Duration::from_secs(30);

/// A tier under test, with fresh keys and tokens.
struct Bench<'a> {
    tier: &'a dyn Tier,
    prefix: &'a str,
    keys: u32,
    tokens: u64,
    checked: usize,
}

/// Checks the laws one after another; gives back how many statements held.
///
/// # Errors
/// The first [`Violation`].
pub async fn check(tier: &dyn Tier, prefix: &str) -> Result<usize, Violation> {
    let mut bench = Bench { tier, prefix, keys: 0, tokens: 0, checked: 0 };
    bench.leases().await?;
    bench.refreshes().await?;
    bench.fills().await?;
    bench.releases().await?;
    bench.invalidations().await?;
    bench.marks().await?;
    bench.holds().await?;
    bench.folded_holds().await?;
    bench.claims().await?;
    bench.spares().await?;
    bench.foreign_bytes().await?;
    bench.batches().await?;
    bench.lives().await?;
    // A tier may tell nobody.
    if let Some(bus) = tier.bus() {
        bench.bus(&*bus).await?;
    }
    Ok(bench.checked)
}

fn xid(id: u64) -> Xid {
    Xid { system: 77, timeline: 1, id }
}

/// A snapshot that has seen every transaction below `xmax`.
fn seen_below(xmax: u64) -> Stamp {
    Stamp::new(77, 1, xmax, xmax, &[])
}

impl Bench<'_> {
    fn key(&mut self) -> Result<WireKey, Violation> {
        self.keys += 1;
        let format = KeyFormat::new(self.prefix, "conformance", None, &["id"], 64);
        let wire = format.map(|format| format.wire(&[self.keys]).pop());
        match wire {
            Ok(Some(Ok(key))) => Ok(key),
            other => Err(Violation(format!("the prefix {:?} makes no key: {other:?}", self.prefix))),
        }
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        let mut bytes = *b"conformance\0\0\0\0\0";
        bytes[11..].copy_from_slice(&self.tokens.to_be_bytes()[3..]);
        Token::from_bytes(bytes)
    }

    fn law<T: PartialEq + fmt::Debug>(&mut self, law: &str, seen: T, expected: T) -> Result<(), Violation> {
        if seen != expected {
            return Err(Violation(format!("{law}: expected {expected:?}, saw {seen:?}")));
        }
        self.checked += 1;
        Ok(())
    }

    fn one<T>(reply: Reply<T>) -> Result<T, Violation> {
        let count = reply.each.len();
        let mut each = reply.each.into_iter();
        match (each.next(), count) {
            (Some(Ok(one)), 1) => Ok(one),
            (Some(Err(error)), _) => Err(Violation(format!("the tier failed: {error}"))),
            (_, count) => Err(Violation(format!("one key was asked and {count} were answered"))),
        }
    }

    async fn read(&self, key: &WireKey) -> Result<Option<Bytes>, Violation> {
        Self::one(self.tier.read(std::slice::from_ref(key)).await)
    }

    async fn lease(&self, key: &WireKey, right: Token, observed: Option<Token>) -> Result<Leased, Violation> {
        self.lease_for(key, right, observed, LIFE).await
    }

    async fn lease_for(
        &self,
        key: &WireKey,
        right: Token,
        observed: Option<Token>,
        life: Duration,
    ) -> Result<Leased, Violation> {
        Self::one(self.tier.lease(&[LeaseFor::new(key.clone(), right, observed, life)]).await)
    }

    fn record(key: &WireKey, token: Token, stamp: Option<&Stamp>) -> Result<Bytes, Violation> {
        let write = ToWrite {
            token,
            key,
            schema: 1,
            written_ms: 0,
            fresh_until_ms: 1,
            stale_until_ms: 2,
            cost_us: 3,
            stamp,
            dependencies: &[],
            row: Some(&"row"),
        };
        write.encode(&Codec::default()).map_err(|error| Violation(error.to_string()))
    }

    async fn fill(
        &self,
        key: &WireKey,
        right: Token,
        token: Token,
        stamp: Option<&Stamp>,
    ) -> Result<Filled, Violation> {
        let record = Some(Self::record(key, token, stamp)?);
        Self::one(self.tier.fill(&[Fill { key: key.clone(), right, record, life: LIFE }]).await)
    }

    async fn release(&self, key: &WireKey, right: Token) -> Result<Filled, Violation> {
        Self::one(self.tier.fill(&[Fill { key: key.clone(), right, record: None, life: LIFE }]).await)
    }

    async fn invalidate(
        &mut self,
        key: &WireKey,
        change: impl FnOnce(&mut Invalidate),
    ) -> Result<Invalidated, Violation> {
        let mut ask = Invalidate::finished(key.clone(), self.token(), LIFE);
        change(&mut ask);
        Self::one(self.tier.invalidate(&Channel::of("laws"), &[ask]).await)
    }

    /// A key that holds a value; its token.
    async fn filled(&mut self, stamp: Option<&Stamp>) -> Result<(WireKey, Token), Violation> {
        let (key, right, token) = (self.key()?, self.token(), self.token());
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, stamp).await?;
        self.law("a fill under the standing right is taken", filled, Filled::Ok)?;
        Ok((key, token))
    }

    async fn leases(&mut self) -> Result<(), Violation> {
        let (key, first, second) = (self.key()?, self.token(), self.token());
        let found = self.read(&key).await?;
        self.law("an unknown key holds nothing", found, None)?;
        let open = Ground { token: Some(first), marks: Marks::none() };
        let leased = self.lease(&key, first, None).await?;
        self.law(
            "a key with nothing gives the right, on a floor that bears it as its token",
            leased,
            Leased::Right(open.clone()),
        )?;
        let again = self.lease(&key, first, None).await?;
        self.law("a retried lease does not wait for itself", again, Leased::Right(open.clone()))?;
        let other = self.lease(&key, second, None).await?;
        let waits = matches!(&other, Leased::Wait(left, ground) if *left <= LIFE && *left > LIFE / 2 && *ground == open);
        self.law("another waits, for what remains of the right", waits, true)?;
        let stolen = self.fill(&key, second, second, None).await?;
        self.law("nobody fills under another's right", stolen, Filled::Superseded)
    }

    async fn refreshes(&mut self) -> Result<(), Violation> {
        let (key, token) = self.filled(None).await?;
        let (right, other) = (self.token(), self.token());
        let record = self.read(&key).await?.unwrap_or_default();
        let leased = self.lease(&key, right, None).await?;
        self.law("a value that was not observed is given", leased, Leased::Record(record))?;
        let wrong = self.lease(&key, right, Some(other)).await?;
        self.law("a value under another token is given", matches!(wrong, Leased::Record(_)), true)?;
        let leased = self.lease(&key, right, Some(token)).await?;
        self.law(
            "an observed value gives the right to replace it",
            matches!(leased, Leased::Right(_)),
            true,
        )?;
        let leased = self.lease(&key, other, Some(token)).await?;
        self.law("one refresh at a time", matches!(leased, Leased::Wait(..)), true)?;
        let served = self.read(&key).await?;
        let token_there = served.as_ref().map(|bytes| record::Header::read(bytes));
        let stays = matches!(token_there, Some(record::Read::Record(header)) if header.token == token);
        self.law("a value being refreshed stays", stays, true)?;
        let renewed = self.token();
        let filled = self.fill(&key, right, renewed, None).await?;
        self.law("a refresh is filled", filled, Filled::Ok)?;
        let filled = self.fill(&key, right, renewed, None).await?;
        self.law("a repeated fill is ok", filled, Filled::Ok)?;
        let again = self.token();
        let filled = self.fill(&key, right, again, None).await?;
        self.law("a right fills once", filled, Filled::Superseded)
    }

    async fn fills(&mut self) -> Result<(), Violation> {
        let (key, right, token) = (self.key()?, self.token(), self.token());
        let filled = self.fill(&key, right, token, None).await?;
        self.law("a fill never creates from nothing", filled, Filled::Lost)?;
        let found = self.read(&key).await?;
        self.law("a lost fill leaves nothing", found, None)?;
        let (short, life) = (self.token(), Duration::from_millis(1));
        self.lease_for(&key, short, None, LIFE).await?;
        let key2 = self.key()?;
        self.lease(&key2, right, None).await?;
        let (observed, mine) = (self.token(), self.token());
        self.fill(&key2, right, observed, None).await?;
        self.lease_for(&key2, mine, Some(observed), life).await?;
        // The right to refresh ends at once; nobody else takes it.
        let token = self.token();
        let filled = self.fill(&key2, mine, token, None).await?;
        self.law("an expired right that nobody took still fills", filled, Filled::Ok)
    }

    async fn releases(&mut self) -> Result<(), Violation> {
        let (key, first, second) = (self.key()?, self.token(), self.token());
        self.lease(&key, first, None).await?;
        let released = self.release(&key, second).await?;
        self.law("nobody gives another's right up", released, Filled::Superseded)?;
        let released = self.release(&key, first).await?;
        self.law("a right is given up", released, Filled::Released)?;
        let found = self.read(&key).await?;
        self.law("a floor without marks goes with its right", found, None)?;
        let leased = self.lease(&key, second, None).await?;
        self.law("then another has the right", matches!(leased, Leased::Right(_)), true)?;
        let (key, token) = self.filled(None).await?;
        self.lease(&key, first, Some(token)).await?;
        self.release(&key, first).await?;
        let found = self.read(&key).await?;
        self.law("a value stays when its refresh is given up", found, Some(Self::record(&key, token, None)?))
    }

    async fn invalidations(&mut self) -> Result<(), Violation> {
        let key = self.key()?;
        let done = self.invalidate(&key, |_| {}).await?;
        self.law("a finished invalidation of nothing changes nothing", done, Invalidated::Unchanged)?;
        let found = self.read(&key).await?;
        self.law("and leaves nothing", found, None)?;
        let done = self.invalidate(&key, |ask| ask.finished = false).await?;
        self.law("an unfinished one leaves a floor", done, Invalidated::Floor)?;
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let done = self.invalidate(&key, |_| {}).await?;
        self.law("an invalidation replaces a leased floor", done, Invalidated::Floor)?;
        let filled = self.fill(&key, right, token, None).await?;
        self.law("a load that began before an invalidation does not fill", filled, Filled::Superseded)?;
        let (key, _) = self.filled(None).await?;
        let done = self.invalidate(&key, |_| {}).await?;
        self.law("an invalidation replaces a value", done, Invalidated::Floor)?;
        let found = self.read(&key).await?;
        let floor = found.as_deref().and_then(record::marks_of);
        self.law("by a floor without marks", floor, Some(Marks::none()))?;
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, None).await?;
        self.law("which a later load fills", filled, Filled::Ok)
    }

    async fn marks(&mut self) -> Result<(), Violation> {
        let (key, _) = self.filled(Some(&seen_below(100))).await?;
        let done = self.invalidate(&key, |ask| ask.xids = vec![xid(99)]).await?;
        self.law("a value that has seen the write stays", done, Invalidated::Unchanged)?;
        let done = self.invalidate(&key, |ask| ask.xids = vec![xid(99), xid(100)]).await?;
        self.law("a value that has not seen all of it goes", done, Invalidated::Floor)?;
        self.invalidate(&key, |ask| ask.xids = vec![xid(120)]).await?;
        let mut both = Marks::none();
        for id in [99, 100, 120] {
            both.add_xid(xid(id));
        }
        let found = self.read(&key).await?;
        self.law("marks are united", found.as_deref().and_then(record::marks_of), Some(both.clone()))?;
        self.invalidate(&key, |_| {}).await?;
        let found = self.read(&key).await?;
        self.law(
            "an invalidation without marks keeps them",
            found.as_deref().and_then(record::marks_of),
            Some(both),
        )?;
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let done = self.invalidate(&key, |ask| ask.xids = vec![xid(120)]).await?;
        self.law("a mark that is there changes nothing", done, Invalidated::Unchanged)?;
        let filled = self.fill(&key, right, token, Some(&seen_below(120))).await?;
        self.law("a load that has not seen a mark does not fill", filled, Filled::Unseen)?;
        let filled = self.fill(&key, right, token, Some(&seen_below(121))).await?;
        self.law("and has given its right up", filled, Filled::Superseded)?;
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, None).await?;
        self.law("a load that says nothing of its moment has seen no mark", filled, Filled::Unseen)?;
        let other_timeline = Stamp::new(77, 2, 500, 500, &[]);
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&other_timeline)).await?;
        self.law("nor has one of another timeline", filled, Filled::Unseen)?;
        let in_progress = Stamp::new(77, 1, 100, 500, &[100]);
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&in_progress)).await?;
        self.law("nor one to which it was in progress", filled, Filled::Unseen)?;
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&Stamp::new(77, 1, 100, 500, &[101]))).await?;
        self.law("a load that has seen all marks fills", filled, Filled::Ok)?;
        let key = self.key()?;
        for id in 1..=9 {
            self.invalidate(&key, |ask| (ask.xids, ask.finished) = (vec![xid(id)], false)).await?;
        }
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&Stamp::new(77, 1, 9, 500, &[]))).await?;
        self.law("folded marks are seen below xmin only", filled, Filled::Unseen)?;
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&Stamp::new(77, 1, 10, 500, &[]))).await?;
        self.law("and are seen there", filled, Filled::Ok)
    }

    async fn foreign_bytes(&mut self) -> Result<(), Violation> {
        let (key, token) = self.filled(None).await?;
        let record = Self::record(&key, token, None)?;
        let mut other_format = record.to_vec();
        other_format[4] = 0x7f;
        let right = self.token();
        self.lease(&key, right, Some(token)).await?;
        let fill = Fill { key: key.clone(), right, record: Some(other_format.into()), life: LIFE };
        // A tier need not look into what it is given to store beyond token and stamp.
        if let Ok(Ok(Filled::Ok)) = Ok::<_, Violation>(Self::one(self.tier.fill(&[fill]).await)) {
            let leased = self.lease(&key, right, None).await?;
            self.law(
                "a record of another release's format is bypassed",
                leased,
                Leased::Bypass(Ground::default()),
            )?;
        }
        Ok(())
    }

    async fn batches(&mut self) -> Result<(), Violation> {
        let mut keys = Vec::new();
        let mut leases = Vec::new();
        for _ in 0..300 {
            let (key, right) = (self.key()?, self.token());
            leases.push(LeaseFor::new(key.clone(), right, None, LIFE));
            keys.push((key, right));
        }
        let reply = self.tier.lease(&leases).await;
        let rights = reply.each.iter().zip(&keys).all(|(leased, (_, right))| {
            matches!(leased, Ok(Leased::Right(ground)) if ground.token == Some(*right))
        });
        self.law("a batch is answered in order", (reply.each.len(), rights), (300, true))?;
        let mut fills = Vec::new();
        for (at, (key, right)) in keys.iter().enumerate() {
            let record = (at % 3 != 0).then(|| Self::record(key, self.token(), None)).transpose()?;
            fills.push(Fill { key: key.clone(), right: *right, record, life: LIFE });
        }
        let reply = self.tier.fill(&fills).await;
        let ok = reply.each.iter().enumerate().all(|(at, filled)| {
            let expected = if at % 3 == 0 { Filled::Released } else { Filled::Ok };
            filled.as_ref().ok() == Some(&expected)
        });
        self.law("each fill of a batch has its own result", ok, true)?;
        let wires: Vec<WireKey> = keys.into_iter().map(|(key, _)| key).collect();
        let reply = self.tier.read(&wires).await;
        let read =
            reply.each.iter().zip(&fills).all(|(found, fill)| found.as_ref().ok() == Some(&fill.record));
        self.law("a batch is read in order", read, true)?;
        let reply = self.tier.read(&[]).await;
        self.law("an empty batch is answered", reply.each.len(), 0)
    }

    async fn lives(&mut self) -> Result<(), Violation> {
        let (key, first, second) = (self.key()?, self.token(), self.token());
        self.lease_for(&key, first, None, Duration::from_millis(20)).await?;
        // The tier's own clock decides, so this waits by asking; bounded in case it never moves.
        for _ in 0..2_000 {
            if self.read(&key).await?.is_none() {
                let leased = self.lease(&key, second, None).await?;
                return self.law("an ended lease frees its key", matches!(leased, Leased::Right(_)), true);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(Violation("a lease of 20 ms still stood after 2,000 reads a millisecond apart".into()))
    }
}
