//! The token of a write, by which any node knows whether an entry has seen it.
//!
//! Its text is ASCII without spaces, short enough for a header: `1`, a flag, then the transactions, separated by dots.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stamp::MOST_XIDS;
use crate::{Error, Marks, Stamp, Xid};

/// What a lookup must have seen to read one's own write: on this node, or on another that it travels to.
///
/// A write to Postgres is told by its transactions: an entry counts if the snapshot it was loaded with has seen them. A write
/// to any other origin leaves nothing by which an entry could be told: a lookup with its token loads.
///
/// Its text is short, and is parsed strictly:
///
/// ```
/// use tierstack_core::{WriteToken, Xid};
/// let written = WriteToken::of([Xid { system: 7, timeline: 1, id: 740 }]);
/// assert_eq!(written.to_string(), "1s.7-1-2e4");
/// assert_eq!("1s.7-1-2e4".parse::<WriteToken>()?, written);
/// assert!("1s.7-1-02E4".parse::<WriteToken>().is_err());
/// # Ok::<(), tierstack_core::Error>(())
/// ```
///
/// It is no secret and no proof: who makes one up makes his own lookups load, and learns nothing. It names the database's
/// system, and how many transactions that has had; where that is a secret, send it to those who may know only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteToken {
    /// No holds.
    marks: Marks,
    must_load: bool,
}

impl WriteToken {
    /// The longest text of one, in bytes.
    pub const LONGEST_BYTES: usize = 2 + MOST_XIDS * (1 + 16 + 1 + 8 + 1 + 16);

    /// Of a write by those transactions. Of none: everything has seen it.
    #[must_use]
    pub fn of(xids: impl IntoIterator<Item = Xid>) -> Self {
        let mut marks = Marks::none();
        xids.into_iter().for_each(|xid| marks.add_xid(xid));
        WriteToken { marks, must_load: false }
    }

    /// Of a write that no entry can be held against: what is looked up with it is loaded.
    #[must_use]
    pub fn must_load() -> Self {
        WriteToken { marks: Marks::none(), must_load: true }
    }

    /// Of both writes.
    #[must_use]
    pub fn and(&self, other: &WriteToken) -> Self {
        let mut marks = self.marks.clone();
        marks.add_xids_of(&other.marks);
        WriteToken { marks, must_load: self.must_load || other.must_load }
    }

    /// Whether a lookup with it loads, whatever the tiers hold.
    #[must_use]
    pub fn is_must_load(&self) -> bool {
        self.must_load
    }

    /// Whether everything has seen it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.must_load && self.marks.is_empty()
    }

    /// Whether an entry that was loaded at that moment of the origin counts.
    #[must_use]
    pub fn seen_by(&self, stamp: Option<&Stamp>) -> bool {
        !self.must_load && self.marks.seen_by(stamp, 0)
    }
}

impl fmt::Display for WriteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = match (self.must_load, self.marks.is_folded()) {
            (false, false) => 's',
            (false, true) => 'f',
            (true, false) => 'o',
            (true, true) => 'b',
        };
        write!(f, "1{flag}")?;
        for Xid { system, timeline, id } in self.marks.xids() {
            write!(f, ".{system:x}-{timeline:x}-{id:x}")?;
        }
        Ok(())
    }
}

impl FromStr for WriteToken {
    type Err = Error;

    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for any text that [`Display`](fmt::Display) would not have written.
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).filter(|_| text.len() <= Self::LONGEST_BYTES).ok_or_else(|| {
            Error::invalid(format!(
                "a text of {} bytes is no write token: pass on what a write gave",
                text.len()
            ))
        })
    }
}

fn parse(text: &str) -> Option<WriteToken> {
    let mut parts = text.split('.');
    let (must_load, folded) = match parts.next()? {
        "1s" => (false, false),
        "1f" => (false, true),
        "1o" => (true, false),
        "1b" => (true, true),
        _ => return None,
    };
    let mut xids = Vec::new();
    for part in parts {
        let mut numbers = part.split('-');
        let xid = Xid {
            system: hex(numbers.next()?)?,
            timeline: u32::try_from(hex(numbers.next()?)?).ok()?,
            id: hex(numbers.next()?)?,
        };
        if numbers.next().is_some() || xids.contains(&xid) || xids.len() >= MOST_XIDS {
            return None;
        }
        xids.push(xid);
    }
    let marks = Marks::of_xids(xids, folded)?;
    Some(WriteToken { marks, must_load })
}

/// A number as it is written: lower case, no zero before it.
fn hex(text: &str) -> Option<u64> {
    let written = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let plain = text.bytes().all(written) && (text == "0" || !text.starts_with('0'));
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

impl Serialize for WriteToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WriteToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xid(id: u64) -> Xid {
        Xid { system: 7, timeline: 1, id }
    }

    #[test]
    fn a_text_reads_back() {
        let top = Xid { system: u64::MAX, timeline: u32::MAX, id: u64::MAX };
        let most = WriteToken::of((0..8).map(|less| Xid { id: u64::MAX - less, ..top }));
        assert_eq!(most.to_string().len(), WriteToken::LONGEST_BYTES);
        for (token, text) in [
            (WriteToken::default(), "1s"),
            (WriteToken::must_load(), "1o"),
            (WriteToken::of([xid(0), xid(16)]), "1s.7-1-0.7-1-10"),
            (WriteToken::of((1..=9).map(xid)), "1f.7-1-9"),
            (WriteToken::of((1..=9).map(xid)).and(&WriteToken::must_load()), "1b.7-1-9"),
            (most.clone(), &most.to_string()),
        ] {
            assert_eq!(token.to_string(), text);
            assert_eq!(text.parse::<WriteToken>().unwrap(), token);
            let written = rmp_serde::to_vec(&token).unwrap();
            assert_eq!(rmp_serde::from_slice::<WriteToken>(&written).unwrap(), token);
        }
    }

    #[test]
    fn any_other_text_is_refused() {
        let long = format!("1s{}", ".1-1-1".repeat(9));
        let huge = "1s.".to_owned() + &"1".repeat(1 << 20);
        for text in [
            "",
            "1",
            "2s",
            "1x",
            "s",
            "1s.",
            "1s.7",
            "1s.7-1",
            "1s.7-1-",
            "1s.7-1-2-3",
            "1s.07-1-2",
            "1s.7-1-A",
            "1s.7-1-+2",
            "1s.7-100000000-2",
            "1s.7-1-10000000000000000",
            "1s.7-1-2.7-1-2",
            "1s 7-1-2",
            " 1s",
            "1s\n",
            "1f",
            "1s.7-1-é",
            &long,
            &huge,
        ] {
            let error = text.parse::<WriteToken>().unwrap_err().to_string();
            assert!(error.len() < 100, "{error}");
        }
    }

    #[test]
    fn a_token_is_seen_by_what_has_seen_all_of_it() {
        let stamp = |xmin| Stamp::new(7, 1, xmin, xmin + 5, &[xmin]);
        let token = WriteToken::of([xid(10)]).and(&WriteToken::of([xid(12)]));
        for (xmin, seen) in [(5, false), (9, true), (10, false), (11, true), (12, false), (13, true)] {
            assert_eq!(token.seen_by(Some(&stamp(xmin))), seen, "{xmin}");
        }
        assert!(!token.seen_by(None) && WriteToken::default().seen_by(None));
        let loads = token.and(&WriteToken::must_load());
        assert!(loads.is_must_load() && !loads.seen_by(Some(&stamp(13))));
        let folded = WriteToken::of((1..=5).map(xid)).and(&WriteToken::of((6..=12).map(xid)));
        assert!(!folded.seen_by(Some(&stamp(12))) && folded.seen_by(Some(&stamp(13))));
        assert!(folded.and(&WriteToken::of([xid(3)])).seen_by(Some(&stamp(13))));
    }
}
