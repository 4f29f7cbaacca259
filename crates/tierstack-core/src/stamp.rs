//! Stamps and marks: what a load has seen, and what a fill must have seen.
//!
//! Their text form is fixed-width lower-case hex, so that a script in Redis, whose numbers are doubles, loses no digit.

use smallvec::SmallVec;

use crate::Token;
use crate::mutants::{Mechanism, is_off};

/// A transaction of a Postgres cluster's history: ids are comparable within one system and timeline only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Xid {
    /// System identifier of the cluster.
    pub system: u64,
    /// Timeline; another one hands ids out again.
    pub timeline: u32,
    /// The 64-bit transaction id.
    pub id: u64,
}

/// What the origin says about the moment of a load: the snapshot it read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    system: u64,
    timeline: u32,
    xmin: u64,
    xmax: u64,
    xip: SmallVec<[u64; 4]>,
}

/// More transactions in progress than this, and the stamp forgets them by lowering `xmax` to `xmin`: it then claims less.
const MOST_IN_PROGRESS: usize = 16;

impl Stamp {
    /// The snapshot `xmin:xmax:xip` of a system and timeline (as `pg_current_snapshot()` prints it). One with `xmax`
    /// below `xmin` has seen what is below `xmax` only.
    #[must_use]
    pub fn new(system: u64, timeline: u32, xmin: u64, xmax: u64, xip: &[u64]) -> Self {
        let (xmin, xmax, xip) = if xip.len() > MOST_IN_PROGRESS {
            (xmin, xmin, SmallVec::new())
        } else {
            (xmin.min(xmax), xmax, SmallVec::from_slice(xip))
        };
        Stamp { system, timeline, xmin, xmax, xip }
    }

    /// Whether the snapshot has seen that transaction: same history, and ended before the snapshot was taken.
    #[must_use]
    pub fn has_seen(&self, xid: &Xid) -> bool {
        self.same_history(xid) && (xid.id < self.xmin || (xid.id < self.xmax && !self.xip.contains(&xid.id)))
    }

    fn same_history(&self, xid: &Xid) -> bool {
        self.system == xid.system && self.timeline == xid.timeline
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Stamp { system, timeline, xmin, xmax, xip } = self;
        write_hex(out, *system, 16);
        write_hex(out, u64::from(*timeline), 8);
        write_hex(out, *xmin, 16);
        write_hex(out, *xmax, 16);
        write_hex(out, xip.len() as u64, 2);
        for id in xip {
            write_hex(out, *id, 16);
        }
    }

    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut hex = Hex(text);
        let (system, timeline) = (hex.take(16)?, u32::try_from(hex.take(8)?).ok()?);
        let (xmin, xmax, count) = (hex.take(16)?, hex.take(16)?, hex.take(2)?);
        if count > MOST_IN_PROGRESS as u64 {
            return None;
        }
        let xip = (0..count).map(|_| hex.take(16)).collect::<Option<_>>()?;
        hex.ended().then_some(Stamp { system, timeline, xmin, xmax, xip })
    }
}

/// A closure to every fill, with an end: a write is under way whose moment nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Which write.
    pub id: Token,
    /// When it ends at the latest, in the tier's milliseconds.
    pub until_ms: u64,
}

/// What a later fill must have seen: the marks of a floor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    xids: SmallVec<[Xid; 1]>,
    /// More than [`MOST_XIDS`] were folded into their maximum, which then counts as seen only below a stamp's `xmin`.
    folded: bool,
    holds: SmallVec<[Hold; 1]>,
}

/// More xids than this on one floor fold into their maximum.
pub(crate) const MOST_XIDS: usize = 8;
/// More holds than this on one floor fold into the one that ends last, which nobody can then drop.
pub(crate) const MOST_HOLDS: usize = 64;

impl Marks {
    /// No marks: open to every fill that holds the right.
    #[must_use]
    pub fn none() -> Self {
        Marks::default()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.xids.is_empty() && self.holds.is_empty()
    }

    /// Adds an xid; one that is there already is not added again.
    pub fn add_xid(&mut self, xid: Xid) {
        if self.has_xid(&xid) {
            return;
        }
        self.xids.push(xid);
        if self.xids.len() > MOST_XIDS {
            // Across histories the newest writer's is kept: the folded mark is then unseen by stamps of the other, and
            // the floor stays closed to them until it ends.
            let top = self.xids.iter().map(|xid| xid.id).max().unwrap_or(xid.id);
            self.xids = SmallVec::from_buf([Xid { id: top, ..xid }]);
            self.folded = true;
        }
    }

    /// Marks of those xids, of which there may be more than one if they are folded; `None` if they can't be.
    pub(crate) fn of_xids(xids: Vec<Xid>, folded: bool) -> Option<Self> {
        let fits = xids.len() <= MOST_XIDS && !(folded && xids.is_empty());
        fits.then(|| Marks { xids: xids.into(), folded, holds: SmallVec::new() })
    }

    /// Adds the xids of others.
    pub(crate) fn add_xids_of(&mut self, other: &Marks) {
        self.folded |= other.folded;
        other.xids.iter().for_each(|xid| self.add_xid(*xid));
    }

    pub(crate) fn xids(&self) -> &[Xid] {
        &self.xids
    }

    pub(crate) fn is_folded(&self) -> bool {
        self.folded
    }

    /// Adds a hold, or prolongs the one with its id. Above a limit it is folded with others into one that is nobody's: that
    /// stands until the last of them would have ended, whoever drops his.
    pub fn add_hold(&mut self, hold: Hold) {
        if let Some(there) = self.holds.iter_mut().find(|there| there.id == hold.id) {
            there.until_ms = there.until_ms.max(hold.until_ms);
        } else if self.holds.len() < MOST_HOLDS {
            self.holds.push(hold);
        } else {
            let folded = self.holds.iter().position(|there| there.id.is_none());
            let last = folded.or_else(|| (0..self.holds.len()).max_by_key(|at| self.holds[*at].until_ms));
            if let Some(last) = last.and_then(|at| self.holds.get_mut(at)) {
                *last = Hold { id: Token::NONE, until_ms: last.until_ms.max(hold.until_ms) };
            }
        }
    }

    /// Drops the hold with that id, if it is somebody's, and those that have ended by `now_ms`.
    pub fn drop_hold(&mut self, id: Token, now_ms: u64) {
        self.holds.retain(|hold| (hold.id != id || id.is_none()) && hold.until_ms > now_ms);
    }

    /// Whether that xid is marked, itself or by a fold that covers it.
    #[must_use]
    pub fn has_xid(&self, xid: &Xid) -> bool {
        self.xids.iter().any(|there| {
            there == xid
                || (self.folded
                    && (there.system, there.timeline) == (xid.system, xid.timeline)
                    && xid.id <= there.id)
        })
    }

    /// Whether that hold stands here at least as long.
    #[must_use]
    pub fn covers_hold(&self, hold: &Hold) -> bool {
        self.holds.iter().any(|there| there.id == hold.id && there.until_ms >= hold.until_ms)
    }

    /// Whether a hold stands at `now_ms`.
    #[must_use]
    pub fn is_held(&self, now_ms: u64) -> bool {
        self.holds.iter().any(|hold| hold.until_ms > now_ms)
    }

    /// Whether a load with that stamp has seen every mark, and no hold stands.
    #[must_use]
    pub fn seen_by(&self, stamp: Option<&Stamp>, now_ms: u64) -> bool {
        !self.is_held(now_ms) && self.xids_seen_by(stamp)
    }

    fn xids_seen_by(&self, stamp: Option<&Stamp>) -> bool {
        is_off(Mechanism::Snapshot)
            || self.xids.iter().all(|xid| {
                stamp.is_some_and(|stamp| {
                    if self.folded {
                        stamp.same_history(xid) && xid.id < stamp.xmin
                    } else {
                        stamp.has_seen(xid)
                    }
                })
            })
    }

    /// Whether a fill under `right` may replace the floor that bears these marks, with a value of that stamp. The right of
    /// a write, which is the id of its hold, may only if no other write has held the floor since it was made.
    #[must_use]
    pub fn open_to(&self, right: Token, stamp: Option<&Stamp>, now_ms: u64) -> bool {
        let holds = if !right.is_none() && self.holds.iter().any(|hold| hold.id == right) {
            self.holds.len() > 1
        } else {
            self.is_held(now_ms)
        };
        !holds && self.xids_seen_by(stamp)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Marks { xids, folded, holds } = self;
        write_hex(out, xids.len() as u64, 2);
        write_hex(out, u64::from(*folded), 1);
        for xid in xids {
            write_hex(out, xid.system, 16);
            write_hex(out, u64::from(xid.timeline), 8);
            write_hex(out, xid.id, 16);
        }
        write_hex(out, holds.len() as u64, 2);
        for hold in holds {
            out.extend(hold.id.as_bytes().iter().flat_map(|byte| hex_byte(*byte)));
            write_hex(out, hold.until_ms, 16);
        }
    }

    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut hex = Hex(text);
        let (count, folded) = (hex.take(2)?, hex.take(1)?);
        if count > MOST_XIDS as u64 || folded > 1 {
            return None;
        }
        let xids = (0..count)
            .map(|_| {
                Some(Xid {
                    system: hex.take(16)?,
                    timeline: u32::try_from(hex.take(8)?).ok()?,
                    id: hex.take(16)?,
                })
            })
            .collect::<Option<_>>()?;
        let count = hex.take(2)?;
        if count > MOST_HOLDS as u64 {
            return None;
        }
        let holds = (0..count)
            .map(|_| {
                let id = (u128::from(hex.take(16)?) << 64) | u128::from(hex.take(16)?);
                Some(Hold { id: Token::from_bytes(id.to_be_bytes()), until_ms: hex.take(16)? })
            })
            .collect::<Option<_>>()?;
        hex.ended().then_some(Marks { xids, folded: folded == 1, holds })
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex_byte(byte: u8) -> [u8; 2] {
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn write_hex(out: &mut Vec<u8>, number: u64, width: u32) {
    out.extend((0..width).rev().map(|place| DIGITS[(number >> (4 * place) & 15) as usize]));
}

/// Reads fixed-width hex from the front of a text.
struct Hex<'a>(&'a [u8]);

impl Hex<'_> {
    fn take(&mut self, width: usize) -> Option<u64> {
        let (head, rest) = self.0.split_at_checked(width)?;
        self.0 = rest;
        head.iter().try_fold(0u64, |number, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u64::from(value))
        })
    }

    fn ended(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xid(id: u64) -> Xid {
        Xid { system: 7, timeline: 1, id }
    }

    #[test]
    fn a_stamp_has_seen_what_ended_before_it() {
        let stamp = Stamp::new(7, 1, 10, 20, &[12, 15]);
        for (id, seen) in
            [(9, true), (10, true), (12, false), (13, true), (15, false), (19, true), (20, false)]
        {
            assert_eq!(stamp.has_seen(&xid(id)), seen, "xid {id}");
        }
        assert!(!stamp.has_seen(&Xid { timeline: 2, ..xid(9) }), "another timeline hands ids out again");
        assert!(!stamp.has_seen(&Xid { system: 8, ..xid(9) }));
    }

    #[test]
    fn a_crowded_stamp_claims_less() {
        let crowd: Vec<u64> = (10..40).collect();
        let stamp = Stamp::new(7, 1, 10, 50, &crowd);
        assert!(stamp.has_seen(&xid(9)) && !stamp.has_seen(&xid(45)));
    }

    #[test]
    fn many_xids_fold_into_their_maximum_seen_below_xmin_only() {
        let mut marks = Marks::none();
        for id in 10..19 {
            marks.add_xid(xid(id));
        }
        assert!(marks.has_xid(&xid(11)) && marks.has_xid(&xid(18)) && !marks.has_xid(&xid(19)));
        assert!(!marks.seen_by(Some(&Stamp::new(7, 1, 12, 30, &[12])), 0), "12 is marked and in progress");
        assert!(marks.seen_by(Some(&Stamp::new(7, 1, 19, 30, &[])), 0));
        assert!(!marks.seen_by(None, 0));
    }

    #[test]
    fn a_hold_closes_until_it_ends_or_is_dropped() {
        let mut marks = Marks::none();
        let id = Token::from_bytes([1; 16]);
        marks.add_hold(Hold { id, until_ms: 100 });
        assert!(!marks.seen_by(None, 99) && marks.seen_by(None, 100));
        marks.drop_hold(id, 0);
        assert!(marks.is_empty() && marks.seen_by(None, 0));
    }

    #[test]
    fn many_holds_fold_into_one_that_nobody_drops() {
        let id = |id: usize| Token::from_bytes((id as u128).to_be_bytes());
        let mut marks = Marks::none();
        for hold in 1..=MOST_HOLDS + 2 {
            marks.add_hold(Hold { id: id(hold), until_ms: 100 + hold as u64 });
        }
        let last = 100 + (MOST_HOLDS + 2) as u64;
        for hold in 0..=MOST_HOLDS + 2 {
            marks.drop_hold(id(hold), 0);
        }
        assert!(marks.is_held(last - 1), "two were folded, and their writers don't open it");
        assert!(!marks.is_held(last) && !marks.open_to(Token::NONE, None, last - 1));
        marks.drop_hold(id(1), last);
        assert!(marks.is_empty(), "it ends by itself");
    }

    #[test]
    fn the_text_forms_read_back_and_refuse_the_rest() {
        let stamp = Stamp::new(u64::MAX, u32::MAX, 1, 20, &[3, 4]);
        let mut text = Vec::new();
        stamp.write(&mut text);
        assert_eq!(Stamp::read(&text), Some(stamp));
        assert_eq!(Stamp::read(&text[1..]), None);
        let mut marks = Marks::none();
        marks.add_xid(xid(5));
        marks.add_hold(Hold { id: Token::from_bytes([0xab; 16]), until_ms: 9 });
        text.clear();
        marks.write(&mut text);
        assert_eq!(Marks::read(&text), Some(marks));
        for cut in 0..text.len() {
            assert_eq!(Marks::read(&text[..cut]), None);
        }
    }
}
