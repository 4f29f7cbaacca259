//! A record of L2 as the model holds it, and its bytes, which the library writes and reads.

use bytes_of::{far, past};
use tierstack_core::record::{self, Codec, Header, Kind, Read, Reader, ToWrite};
use tierstack_core::{Hold, Marks, Stamp, WireKey, Xid};

use crate::token::Tok;

/// A set of writes, by the writer's place: what a row shows, what a snapshot has seen, what a floor is marked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Writes(pub u8);

impl Writes {
    pub(crate) const NONE: Writes = Writes(0);
    pub(crate) const MOST: usize = 3;

    pub(crate) fn one(writer: usize) -> Self {
        Writes(1 << writer)
    }

    pub(crate) fn with(self, other: Writes) -> Self {
        Writes(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Writes) -> Self {
        Writes(self.0 & !other.0)
    }

    pub(crate) fn has_all(self, other: Writes) -> bool {
        other.0 & !self.0 == 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..Writes::MOST).filter(move |writer| self.0 >> writer & 1 == 1)
    }

    /// The transactions of these writers.
    pub(crate) fn xids(self) -> impl Iterator<Item = Xid> {
        self.each().map(xid)
    }

    /// The snapshot that has seen these transactions and no others.
    pub(crate) fn stamp(self) -> Stamp {
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
pub(crate) fn xid(writer: usize) -> Xid {
    Xid { system: SYSTEM, timeline: 1, id: 100 + writer as u64 }
}

/// One for each writer. (A literal: the compiler stumbles over an associated constant here.)
pub(crate) type Each<T> = [T; 3];

/// What is at a key.
pub(crate) type Cell = Option<Record>;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) token: Tok,
    pub(crate) right: Tok,
    /// Whether the right has not ended.
    pub(crate) right_stands: bool,
    pub(crate) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Value(Value),
    Floor(Floor),
}

/// A loaded row, or list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Value {
    /// The writes that it shows.
    pub(crate) rows: Writes,
    /// The transactions that its load had seen the end of; an origin without snapshots gives none.
    pub(crate) stamp: Option<Writes>,
    /// The token of the dependency record that it rests on.
    pub(crate) rests_on: Tok,
}

/// The marks of a floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Floor {
    pub(crate) xids: Writes,
    pub(crate) holds: Each<Held>,
}

/// A hold; the one of no token is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) id: Tok,
    /// Whether it has not ended.
    pub(crate) stands: bool,
}

impl Value {
    pub(crate) fn writes(&mut self, each: &mut impl FnMut(&mut Writes)) {
        each(&mut self.rows);
        self.stamp.iter_mut().for_each(each);
    }
}

impl Floor {
    /// Whether a hold stands.
    pub(crate) fn is_held(&self) -> bool {
        self.holds.iter().any(|hold| hold.stands)
    }

    pub(crate) fn marks(&self) -> Marks {
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
    pub(crate) fn seen_by(&self, stamp: Option<Writes>) -> bool {
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
    pub(crate) fn value(token: Tok, value: Value) -> Self {
        Record { token, right: Tok::NONE, right_stands: false, body: Body::Value(value) }
    }

    pub(crate) fn as_value(&self) -> Option<&Value> {
        match &self.body {
            Body::Value(value) => Some(value),
            Body::Floor(_) => None,
        }
    }

    pub(crate) fn as_floor(&self) -> Option<&Floor> {
        match &self.body {
            Body::Value(_) => None,
            Body::Floor(floor) => Some(floor),
        }
    }

    pub(crate) fn writes(&mut self, each: &mut impl FnMut(&mut Writes)) {
        match &mut self.body {
            Body::Value(value) => value.writes(each),
            Body::Floor(floor) => each(&mut floor.xids),
        }
    }

    pub(crate) fn tokens(&mut self, each: &mut impl FnMut(&mut Tok)) {
        each(&mut self.token);
        each(&mut self.right);
        match &mut self.body {
            Body::Value(value) => each(&mut value.rests_on),
            Body::Floor(floor) => floor.holds.iter_mut().for_each(|hold| each(&mut hold.id)),
        }
    }

    /// Its bytes, with what has not ended far ahead of the tier's clock.
    pub(crate) fn bytes(&self, key: &WireKey, now_ms: u64) -> Vec<u8> {
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
    pub(crate) fn read(key: &WireKey, bytes: &[u8], now_ms: u64) -> Self {
        let Read::Record(header) = Header::read(bytes) else { unreachable!("no record: {bytes:?}") };
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
