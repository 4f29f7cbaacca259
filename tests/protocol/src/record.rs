//! A record of L2 as the model holds it, and its bytes, which the library writes and reads.

use bytes_of::{far, past};
use tierstack_core::record::{self, Codec, Header, Kind, Read, Reader, ToWrite};
use tierstack_core::{Hold, Marks, Stamp, WireKey, Xid};

use crate::token::Tok;

/// A set of writes, by the writer's place: what a row shows, what a snapshot has seen, what a floor is marked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Writes(pub u8);

impl Writes {
    pub const NONE: Writes = Writes(0);
    pub const MOST: usize = 3;

    #[must_use]
    pub fn one(writer: usize) -> Self {
        Writes(1 << writer)
    }

    #[must_use]
    pub fn with(self, other: Writes) -> Self {
        Writes(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Writes) -> Self {
        Writes(self.0 & !other.0)
    }

    #[must_use]
    pub fn has_all(self, other: Writes) -> bool {
        other.0 & !self.0 == 0
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..Writes::MOST).filter(move |writer| self.0 >> writer & 1 == 1)
    }

    /// The transactions of these writers.
    pub fn xids(self) -> impl Iterator<Item = Xid> {
        self.each().map(xid)
    }

    /// The snapshot that has seen these transactions and no others.
    #[must_use]
    pub fn stamp(self) -> Stamp {
        let unseen: Vec<u64> = Writes(!self.0).each().map(|writer| xid(writer).id).collect();
        let after_all = xid(Writes::MOST - 1).id + 1;
        let xmin = unseen.first().copied().unwrap_or(after_all);
        Stamp::new(SYSTEM, 1, xmin, after_all, &unseen)
    }

    fn seen_by(stamp: &Stamp) -> Self {
        let seen = (0..Writes::MOST).filter(|writer| stamp.has_seen(&xid(*writer)));
        seen.map(Writes::one).fold(Writes::NONE, Writes::with)
    }
}

const SYSTEM: u64 = 7;

/// The transaction of a writer. Which number it has decides nothing: a snapshot lists those it has not seen.
#[must_use]
pub fn xid(writer: usize) -> Xid {
    Xid { system: SYSTEM, timeline: 1, id: 100 + writer as u64 }
}

/// One for each writer. (A literal: the compiler stumbles over an associated constant here.)
pub type Each<T> = [T; 3];

/// What is at a key.
pub type Cell = Option<Record>;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub token: Tok,
    pub right: Tok,
    /// Whether the right has not ended.
    pub right_stands: bool,
    pub body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    Value(Value),
    Floor(Floor),
}

/// A loaded row, or list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Value {
    /// The writes that it shows.
    pub rows: Writes,
    /// The transactions that its load had seen the end of; an origin without snapshots gives none.
    pub stamp: Option<Writes>,
    /// The token of the dependency record that it rests on.
    pub rests_on: Tok,
}

/// The marks of a floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Floor {
    pub xids: Writes,
    pub holds: Each<Held>,
}

/// A hold; the one of no token is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    pub id: Tok,
    /// Whether it has not ended.
    pub stands: bool,
}

impl Floor {
    /// Whether a hold stands.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.iter().any(|hold| hold.stands)
    }

    #[must_use]
    pub fn marks(&self) -> Marks {
        self.marks_at(0)
    }

    fn marks_at(&self, now_ms: u64) -> Marks {
        let mut marks = Marks::none();
        self.xids.xids().for_each(|xid| marks.add_xid(xid));
        for hold in self.holds.iter().filter(|hold| !hold.id.is_none()) {
            let until_ms = if hold.stands { far(now_ms) } else { past() };
            marks.add_hold(Hold { id: hold.id.bytes(), until_ms });
        }
        marks
    }

    /// Whether a load with that stamp has seen all marks, and no hold stands: by the library's own rule.
    #[must_use]
    pub fn seen_by(&self, stamp: Option<Writes>) -> bool {
        let stamp = stamp.map(Writes::stamp);
        self.marks().seen_by(stamp.as_ref(), past())
    }

    fn read(marks: &Marks, now_ms: u64) -> Self {
        let mut floor = Floor::default();
        let marked = (0..Writes::MOST).filter(|writer| marks.has_xid(&xid(*writer)));
        floor.xids = marked.map(Writes::one).fold(Writes::NONE, Writes::with);
        let ids = (1..64).map(Tok).filter(|id| marks.covers_hold(&Hold { id: id.bytes(), until_ms: 0 }));
        for (place, id) in ids.enumerate() {
            let stands = marks.covers_hold(&Hold { id: id.bytes(), until_ms: now_ms + 1 });
            floor.holds[place] = Held { id, stands };
        }
        floor
    }
}

impl Record {
    /// A VALUE, as it is filled.
    #[must_use]
    pub fn value(token: Tok, value: Value) -> Self {
        Record { token, right: Tok::NONE, right_stands: false, body: Body::Value(value) }
    }

    #[must_use]
    pub fn as_value(&self) -> Option<&Value> {
        match &self.body {
            Body::Value(value) => Some(value),
            Body::Floor(_) => None,
        }
    }

    #[must_use]
    pub fn as_floor(&self) -> Option<&Floor> {
        match &self.body {
            Body::Value(_) => None,
            Body::Floor(floor) => Some(floor),
        }
    }

    pub fn tokens(&mut self, each: &mut impl FnMut(&mut Tok)) {
        each(&mut self.token);
        each(&mut self.right);
        match &mut self.body {
            Body::Value(value) => each(&mut value.rests_on),
            Body::Floor(floor) => floor.holds.iter_mut().for_each(|hold| each(&mut hold.id)),
        }
    }

    /// Its bytes, with what has not ended far ahead of the tier's clock.
    #[must_use]
    pub fn bytes(&self, key: &WireKey, now_ms: u64) -> Vec<u8> {
        let right_until_ms = match (self.right.is_none(), self.right_stands) {
            (true, _) => 0,
            (false, true) => far(now_ms),
            (false, false) => past(),
        };
        let right = self.right.bytes();
        match &self.body {
            Body::Floor(floor) => {
                record::floor(self.token.bytes(), right, right_until_ms, &floor.marks_at(now_ms)).to_vec()
            }
            Body::Value(value) => {
                let stamp = value.stamp.map(Writes::stamp);
                let rests_on = value.rests_on.bytes();
                let written = ToWrite {
                    token: self.token.bytes(),
                    key,
                    schema: 1,
                    written_ms: 1,
                    fresh_until_ms: far(now_ms),
                    stale_until_ms: far(now_ms),
                    cost_us: 0,
                    stamp: stamp.as_ref(),
                    dependencies: if rests_on.is_none() { &[] } else { std::slice::from_ref(&rests_on) },
                    row: Some(&value.rows.0),
                };
                let bytes = written.encode(&Codec::default()).expect("a number can be written");
                record::with_right(&bytes, right, right_until_ms).to_vec()
            }
        }
    }

    /// What those bytes are; everything that a reader verifies is verified.
    #[must_use]
    pub fn read(key: &WireKey, bytes: &[u8], now_ms: u64) -> Self {
        let Read::Record(header) = Header::read(bytes) else { panic!("a script left no record: {bytes:?}") };
        let body = match header.kind {
            Kind::Floor => {
                let marks = record::marks_of(bytes).expect("a floor's header was read with its marks");
                Body::Floor(Floor::read(&marks, now_ms))
            }
            Kind::Value => {
                let codec = Codec::default();
                let reader = Reader { schema: 1, now_ms, codec: &codec };
                let body = reader.verify(key, bytes).expect("a script left the value as it was");
                let rows = reader.row(&body).expect("the payload is whole").expect("a row, not an absence");
                let stamp = body.stamp.as_ref().map(Writes::seen_by);
                let rests_on = body.dependencies.first().map_or(Tok::NONE, |token| Tok::of(*token));
                Body::Value(Value { rows: Writes(rows), stamp, rests_on })
            }
        };
        let right = Tok::of(header.right);
        Record { token: Tok::of(header.token), right, right_stands: header.is_leased(now_ms), body }
    }
}

/// Instants: what the model knows of them is whether they have passed.
mod bytes_of {
    /// An hour ahead: stands.
    pub(super) fn far(now_ms: u64) -> u64 {
        now_ms + 3_600_000
    }

    /// Long ago: has ended. Before every `now`, and after `0`, which stands for no instant.
    pub(super) fn past() -> u64 {
        1
    }
}
