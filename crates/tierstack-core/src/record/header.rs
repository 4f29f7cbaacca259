//! The part of a record that every tier reads: token, right, and the marks of a floor.

use bytes::Bytes;

use crate::{Marks, Stamp, Token};

pub(crate) const MAGIC: [u8; 4] = [0xF1, b'T', b'S', b'K'];
pub(crate) const FORMAT: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 48;
/// Where a VALUE's stamp begins, and where its length stands.
pub(crate) const STAMP_AT: usize = 112;
pub(crate) const STAMP_LEN_AT: usize = 100;

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row, or its absence.
    Value,
    /// What an invalidation or a lease left: marks, and no payload.
    Floor,
}

/// The first 48 bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of record it is.
    pub kind: Kind,
    /// What is here.
    pub token: Token,
    /// Who may fill; [`Token::NONE`] for nobody.
    pub right: Token,
    /// When the right ends, in the tier's milliseconds.
    pub right_until_ms: u64,
}

/// What the bytes at a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A record of ours.
    Record(Header),
    /// A record of a format version that this release doesn't know.
    OtherFormat,
    /// Not a record.
    NotOurs,
}

impl Header {
    /// What the bytes at a key are, by the header alone. A FLOOR whose marks can't be read is not a record.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Read {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else { return Read::NotOurs };
        if head[..4] != MAGIC {
            return Read::NotOurs;
        }
        if head[4] != FORMAT {
            return Read::OtherFormat;
        }
        let kind = match head[5] {
            b'V' => Kind::Value,
            b'F' => Kind::Floor,
            _ => return Read::NotOurs,
        };
        if kind == Kind::Floor && Marks::read(&bytes[HEADER_BYTES..]).is_none() {
            return Read::NotOurs;
        }
        Read::Record(Header {
            kind,
            token: Token::from_bytes(*take(head, 8)),
            right: Token::from_bytes(*take(head, 24)),
            right_until_ms: u64::from_be_bytes(*take(head, 40)),
        })
    }

    /// Whether somebody other than nobody has the right at `now_ms`.
    #[must_use]
    pub fn is_leased(&self, now_ms: u64) -> bool {
        !self.right.is_none() && self.right_until_ms > now_ms
    }

    pub(crate) fn write(&self, flags: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let kind = if self.kind == Kind::Value { b'V' } else { b'F' };
        out.extend_from_slice(&[FORMAT, kind, flags, 0]);
        out.extend_from_slice(self.token.as_bytes());
        out.extend_from_slice(self.right.as_bytes());
        out.extend_from_slice(&self.right_until_ms.to_be_bytes());
    }
}

/// `N` bytes of a header from `at`; the header is longer than any field's end.
fn take<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> &[u8; N] {
    head[at..].first_chunk().expect("fields end before the header does")
}

/// The bytes of a FLOOR.
#[must_use]
pub fn floor(token: Token, right: Token, right_until_ms: u64, marks: &Marks) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES + 8);
    Header { kind: Kind::Floor, token, right, right_until_ms }.write(0, &mut out);
    marks.write(&mut out);
    out.into()
}

/// The marks of a FLOOR; `None` for anything else.
#[must_use]
pub fn marks_of(bytes: &[u8]) -> Option<Marks> {
    match Header::read(bytes) {
        Read::Record(Header { kind: Kind::Floor, .. }) => Marks::read(&bytes[HEADER_BYTES..]),
        _ => None,
    }
}

/// The stamp of a VALUE, if it has one that can be read.
#[must_use]
pub fn stamp_of(bytes: &[u8]) -> Option<Stamp> {
    let length = u16::from_be_bytes(*bytes.get(STAMP_LEN_AT..)?.first_chunk()?);
    Stamp::read(bytes.get(STAMP_AT..STAMP_AT + usize::from(length))?)
}

/// The same record with another right.
#[must_use]
pub fn with_right(bytes: &Bytes, right: Token, right_until_ms: u64) -> Bytes {
    let mut out = bytes.to_vec();
    if let Some(head) = out.first_chunk_mut::<HEADER_BYTES>() {
        head[24..40].copy_from_slice(right.as_bytes());
        head[40..48].copy_from_slice(&right_until_ms.to_be_bytes());
    }
    out.into()
}
