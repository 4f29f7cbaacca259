//! What a request to a tier does to one record, as the pages of [`Tier`](crate::Tier) say. Pure.
//!
//! Each function takes what stands at a key, if it has not ended, and what is asked; it gives what stands there from then on,
//! and the reply. A tier over any store that can do a read and a write of one key as one step is these four, and what moves
//! the bytes: [`MemoryTier`](crate::MemoryTier) is one, the example `custom_tier` another.

use std::time::Duration;

use bytes::Bytes;

use crate::mutants::{Mechanism, is_off};
use crate::record::{self, Header, Kind, Read};
use crate::time::millis;
use crate::{Fill, Filled, Ground, Invalidate, Invalidated, LeaseFor, Leased, Marks, Token};

/// What stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The whole record, or whatever else somebody put there.
    pub bytes: Bytes,
    /// When it ends, in the tier's milliseconds.
    pub ends_ms: u64,
}

impl Stored {
    fn new(bytes: Bytes, ends_ms: u64) -> Option<Self> {
        Some(Stored { bytes, ends_ms })
    }

    fn marks(&self) -> Marks {
        record::marks_of(&self.bytes).unwrap_or_default()
    }

    /// The same record, which `right` may fill.
    fn with_right(&self, right: Token, until_ms: u64) -> Option<Self> {
        Stored::new(record::with_right(&self.bytes, right, until_ms), self.ends_ms)
    }
}

fn after(now_ms: u64, life: Duration) -> u64 {
    now_ms.saturating_add(millis(life))
}

/// The token of the record there: what an invalidation tells beside its key.
#[must_use]
pub fn token(there: Option<&Stored>) -> Option<Token> {
    match there.map(|there| Header::read(&there.bytes)) {
        Some(Read::Record(header)) => Some(header.token),
        _ => None,
    }
}

/// [`Tier::lease`](crate::Tier::lease).
#[must_use]
pub fn lease(there: Option<Stored>, ask: &LeaseFor, now_ms: u64) -> (Option<Stored>, Leased) {
    let (until, kept_until) = (after(now_ms, ask.life), after(now_ms, ask.life.max(ask.keep)));
    let (header, mut there) = match there.map(|there| (Header::read(&there.bytes), there)) {
        None | Some((Read::NotOurs, _)) => {
            let floor = record::floor(ask.right, ask.right, until, &Marks::none());
            let ground = Ground { token: Some(ask.right), marks: Marks::none() };
            return (Stored::new(floor, kept_until), Leased::Right(ground));
        }
        Some((Read::OtherFormat, there)) => return (Some(there), Leased::Bypass(Ground::default())),
        Some((Read::Record(header), there)) => (header, there),
    };
    if header.kind == Kind::Floor {
        there.ends_ms = there.ends_ms.max(kept_until);
    }
    if header.kind == Kind::Value && Some(header.token) != ask.observed {
        let bytes = there.bytes.clone();
        return (Some(there), Leased::Record(bytes));
    }
    let marks = there.marks();
    let is_held = marks.is_held(now_ms);
    let ground = Ground { token: Some(header.token), marks };
    if header.right == ask.right {
        (Some(there), Leased::Right(ground))
    } else if is_held {
        (Some(there), Leased::Bypass(ground))
    } else if header.is_leased(now_ms) {
        let left = Duration::from_millis(header.right_until_ms - now_ms);
        (Some(there), Leased::Wait(left, ground))
    } else {
        (there.with_right(ask.right, until), Leased::Right(ground))
    }
}

/// [`Tier::fill`](crate::Tier::fill).
#[must_use]
pub fn fill(there: Option<Stored>, fill: &Fill, now_ms: u64) -> (Option<Stored>, Filled) {
    let Some(there) = there else { return (None, Filled::Lost) };
    let Read::Record(header) = Header::read(&there.bytes) else { return (Some(there), Filled::Lost) };
    let brought = fill.record.as_ref().map(|bytes| (bytes, Header::read(bytes)));
    if let Some((_, Read::Record(new))) = &brought
        && new.token == header.token
    {
        return (Some(there), Filled::Ok);
    }
    if header.right != fill.right && !is_off(Mechanism::Right) {
        return (Some(there), Filled::Superseded);
    }
    let marks = there.marks();
    let without_right = || {
        let goes = header.kind == Kind::Floor && marks.is_empty();
        if goes { None } else { there.with_right(Token::NONE, 0) }
    };
    let Some((bytes, _)) = brought else { return (without_right(), Filled::Released) };
    if !marks.open_to(fill.right, record::stamp_of(bytes).as_ref(), now_ms) {
        return (without_right(), Filled::Unseen);
    }
    (Stored::new(bytes.clone(), after(now_ms, fill.life)), Filled::Ok)
}

/// [`Tier::invalidate`](crate::Tier::invalidate).
#[must_use]
pub fn invalidate(there: Option<Stored>, ask: &Invalidate, now_ms: u64) -> (Option<Stored>, Invalidated) {
    let mut ends_ms = after(now_ms, ask.life);
    let mut marks = Marks::none();
    match there.map(|there| (Header::read(&there.bytes), there)) {
        None if ask.finished => return (None, Invalidated::Unchanged),
        Some((Read::Record(Header { kind: Kind::Value, token, .. }), there)) if ask.spares == Some(token) => {
            return (Some(there), Invalidated::Unchanged);
        }
        Some((Read::Record(Header { kind: Kind::Value, .. }), there)) => {
            let stamp = record::stamp_of(&there.bytes);
            let seen = |xid| stamp.as_ref().is_some_and(|stamp| stamp.has_seen(xid));
            if !ask.xids.is_empty() && ask.holds.is_empty() && ask.xids.iter().all(seen) {
                return (Some(there), Invalidated::Unchanged);
            }
        }
        Some((Read::Record(header), there)) => {
            marks = there.marks();
            ends_ms = there.ends_ms.max(ends_ms);
            let given = !ask.xids.is_empty() || !ask.holds.is_empty();
            let all_there = ask.xids.iter().all(|xid| marks.has_xid(xid))
                && ask.holds_at(now_ms).all(|hold| marks.covers_hold(&hold));
            let claimed = ask.claim.is_none_or(|(right, _)| header.right == right);
            if given && all_there && claimed && ask.drop_holds.is_empty() {
                return (Stored::new(there.bytes, ends_ms), Invalidated::Unchanged);
            }
        }
        None | Some(_) => {}
    }
    for xid in &ask.xids {
        marks.add_xid(*xid);
    }
    for hold in ask.holds_at(now_ms) {
        marks.add_hold(hold);
    }
    for id in &ask.drop_holds {
        marks.drop_hold(*id, now_ms);
    }
    if is_off(Mechanism::Floor) {
        return (None, Invalidated::Floor);
    }
    let (right, right_until) =
        ask.claim.map_or((Token::NONE, 0), |(right, life)| (right, after(now_ms, life)));
    (Stored::new(record::floor(ask.token, right, right_until, &marks), ends_ms), Invalidated::Floor)
}
