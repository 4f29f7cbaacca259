//! A tier under test, and how it is asked.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::Violation;
use crate::record::{Codec, ToWrite};
use crate::{
    Channel, Fill, Filled, Invalidate, Invalidated, KeyFormat, LeaseFor, Leased, Reply, Stamp, Tier, Token,
    WireKey, Xid,
};

pub(super) const LIFE: Duration = Duration::from_secs(30);

/// A tier under test, with fresh keys and tokens.
pub(super) struct Bench<'a> {
    pub(super) tier: &'a dyn Tier,
    pub(super) prefix: &'a str,
    keys: u32,
    tokens: u64,
    checked: usize,
}

impl<'a> Bench<'a> {
    pub(super) fn new(tier: &'a dyn Tier, prefix: &'a str) -> Self {
        Bench { tier, prefix, keys: 0, tokens: 0, checked: 0 }
    }

    /// How many statements held.
    pub(super) fn checked(&self) -> usize {
        self.checked
    }

    pub(super) fn key(&mut self) -> Result<WireKey, Violation> {
        self.keys += 1;
        let format = KeyFormat::new(self.prefix, "conformance", None, &["id"], 64);
        let wire = format.map(|format| format.wire(&[self.keys]).pop());
        match wire {
            Ok(Some(Ok(key))) => Ok(key),
            other => Err(Violation(format!("the prefix {:?} makes no key: {other:?}", self.prefix))),
        }
    }

    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        let mut bytes = *b"conformance\0\0\0\0\0";
        bytes[11..].copy_from_slice(&self.tokens.to_be_bytes()[3..]);
        Token::from_bytes(bytes)
    }

    pub(super) fn law<T: PartialEq + fmt::Debug>(
        &mut self,
        law: &str,
        seen: T,
        expected: T,
    ) -> Result<(), Violation> {
        if seen != expected {
            return Err(Violation(format!("{law}: expected {expected:?}, saw {seen:?}")));
        }
        self.checked += 1;
        Ok(())
    }

    pub(super) fn one<T>(reply: Reply<T>) -> Result<T, Violation> {
        let count = reply.each.len();
        let mut each = reply.each.into_iter();
        match (each.next(), count) {
            (Some(Ok(one)), 1) => Ok(one),
            (Some(Err(error)), _) => Err(Violation(format!("the tier failed: {error}"))),
            (_, count) => Err(Violation(format!("one key was asked and {count} were answered"))),
        }
    }

    pub(super) async fn read(&self, key: &WireKey) -> Result<Option<Bytes>, Violation> {
        Self::one(self.tier.read(std::slice::from_ref(key)).await)
    }

    pub(super) async fn lease(
        &self,
        key: &WireKey,
        right: Token,
        observed: Option<Token>,
    ) -> Result<Leased, Violation> {
        self.lease_for(key, right, observed, LIFE).await
    }

    pub(super) async fn lease_for(
        &self,
        key: &WireKey,
        right: Token,
        observed: Option<Token>,
        life: Duration,
    ) -> Result<Leased, Violation> {
        Self::one(self.tier.lease(&[LeaseFor::new(key.clone(), right, observed, life)]).await)
    }

    pub(super) fn record(key: &WireKey, token: Token, stamp: Option<&Stamp>) -> Result<Bytes, Violation> {
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

    pub(super) async fn fill(
        &self,
        key: &WireKey,
        right: Token,
        token: Token,
        stamp: Option<&Stamp>,
    ) -> Result<Filled, Violation> {
        let record = Some(Self::record(key, token, stamp)?);
        Self::one(self.tier.fill(&[Fill { key: key.clone(), right, record, life: LIFE }]).await)
    }

    pub(super) async fn release(&self, key: &WireKey, right: Token) -> Result<Filled, Violation> {
        Self::one(self.tier.fill(&[Fill { key: key.clone(), right, record: None, life: LIFE }]).await)
    }

    pub(super) async fn invalidate(
        &mut self,
        key: &WireKey,
        change: impl FnOnce(&mut Invalidate),
    ) -> Result<Invalidated, Violation> {
        let mut ask = Invalidate::finished(key.clone(), self.token(), LIFE);
        change(&mut ask);
        Self::one(self.tier.invalidate(&Channel::of("laws"), &[ask]).await)
    }

    /// A key that holds a value; its token.
    pub(super) async fn filled(&mut self, stamp: Option<&Stamp>) -> Result<(WireKey, Token), Violation> {
        let (key, right, token) = (self.key()?, self.token(), self.token());
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, stamp).await?;
        self.law("a fill under the standing right is taken", filled, Filled::Ok)?;
        Ok((key, token))
    }
}

pub(super) fn xid(id: u64) -> Xid {
    Xid { system: 77, timeline: 1, id }
}

/// A snapshot that has seen every transaction below `xmax`.
pub(super) fn seen_below(xmax: u64) -> Stamp {
    Stamp::new(77, 1, xmax, xmax, &[])
}
