//! A VALUE: written before it goes to L2, verified after it comes back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::codec::Codec;
use super::header::{HEADER_BYTES, Header, Kind, Read, STAMP_AT};
use crate::{Error, Stamp, Token, WireKey};

const FLAG_ABSENT: u8 = 1;
const FLAG_LZ4: u8 = 2;
/// Right and its end, which a script changes in place.
const MUTABLE: std::ops::Range<usize> = 24..HEADER_BYTES;
const CHECKSUM: std::ops::Range<usize> = HEADER_BYTES..56;

/// A value may seem to come from the future by this much, for a tier whose clock was set back a little.
const FUTURE_SLACK_MS: u64 = 1_000;

/// Why a record can't answer. Each is a miss, is counted, and is replaced; none is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unusable {
    /// Not a record of ours: empty, cut short, or somebody else's bytes.
    NotOurs,
    /// A format version of another release.
    Format,
    /// A floor: an invalidation or a lease; nothing is wrong.
    Floor,
    /// Lengths or checksum disagree: cut or corrupted.
    Corrupt,
    /// Written for another key.
    OtherKey,
    /// Of another schema of the entity.
    OtherSchema,
    /// Larger than this node's settings take.
    TooLarge,
    /// Written later than the tier's clock says now: its clock was set back.
    Future,
    /// The payload doesn't decode into the row's type.
    Payload,
    /// What it was derived from has changed.
    Dependency,
}

impl Unusable {
    /// All of them, in a fixed order.
    pub const ALL: [Unusable; 10] = [
        Unusable::NotOurs,
        Unusable::Format,
        Unusable::Floor,
        Unusable::Corrupt,
        Unusable::OtherKey,
        Unusable::OtherSchema,
        Unusable::TooLarge,
        Unusable::Future,
        Unusable::Payload,
        Unusable::Dependency,
    ];
}

/// A row, or its absence, on its way into L2. Instants are the tier's milliseconds.
#[derive(Debug)]
pub struct ToWrite<'a, V> {
    /// What will be at the key.
    pub token: Token,
    /// The key it is for.
    pub key: &'a WireKey,
    /// The entity's schema.
    pub schema: u64,
    /// When it was loaded.
    pub written_ms: u64,
    /// End of its fresh life.
    pub fresh_until_ms: u64,
    /// End of its stale life.
    pub stale_until_ms: u64,
    /// What its load cost, in microseconds.
    pub cost_us: u32,
    /// What the origin said about the moment of the load.
    pub stamp: Option<&'a Stamp>,
    /// Tokens of the records it rests on, read before the load.
    pub dependencies: &'a [Token],
    /// The row; `None` for an absence.
    pub row: Option<&'a V>,
}

impl<V: Serialize> ToWrite<'_, V> {
    /// The bytes of the record.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the row can't be written, or is larger than the codec takes.
    pub fn encode(&self, codec: &Codec) -> Result<Bytes, Error> {
        let ToWrite { token, key, schema, written_ms, fresh_until_ms, stale_until_ms, cost_us, .. } = self;
        let payload = self.row.map(|row| codec.encode(row)).transpose()?;
        let (body, raw_len, compressed) =
            payload.as_ref().map_or((&[][..], 0, false), |p| (&p.bytes[..], p.raw_len, p.compressed));
        let mut flags = 0;
        if self.row.is_none() {
            flags |= FLAG_ABSENT;
        }
        if compressed {
            flags |= FLAG_LZ4;
        }
        let mut stamp = Vec::new();
        if let Some(seen) = self.stamp {
            seen.write(&mut stamp);
        }
        let bounds = "bounded: a stamp by its 16 ids, a payload by the codec, dependencies by the stack";
        let mut out = Vec::with_capacity(STAMP_AT + stamp.len() + 16 * self.dependencies.len() + body.len());
        Header { kind: Kind::Value, token: *token, right: Token::NONE, right_until_ms: 0 }
            .write(flags, &mut out);
        out.extend_from_slice(&[0; 8]);
        for number in [key.fingerprint(), *schema, *written_ms, *fresh_until_ms, *stale_until_ms] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&cost_us.to_be_bytes());
        out.extend_from_slice(&u16::try_from(stamp.len()).expect(bounds).to_be_bytes());
        out.extend_from_slice(&[u8::try_from(self.dependencies.len()).expect(bounds), 0]);
        for length in [body.len(), raw_len] {
            out.extend_from_slice(&u32::try_from(length).expect(bounds).to_be_bytes());
        }
        out.extend_from_slice(&stamp);
        for dependency in self.dependencies {
            out.extend_from_slice(dependency.as_bytes());
        }
        out.extend_from_slice(body);
        let sum = checksum(&out).to_be_bytes();
        out[CHECKSUM].copy_from_slice(&sum);
        Ok(out.into())
    }
}

/// XXH3 of a record without its mutable part and the checksum itself: the head, seeded with the hash of the rest.
fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(&bytes[..MUTABLE.start], xxh3_64(&bytes[CHECKSUM.end..]))
}

/// A verified VALUE: its facts, and the row still in bytes.
#[derive(Debug)]
pub struct Body<'a> {
    /// What is at the key.
    pub token: Token,
    /// When it was loaded, in the tier's milliseconds.
    pub written_ms: u64,
    /// End of its fresh life, in the tier's milliseconds.
    pub fresh_until_ms: u64,
    /// End of its stale life, in the tier's milliseconds.
    pub stale_until_ms: u64,
    /// What its load cost, in microseconds.
    pub cost_us: u32,
    /// What the origin said about the moment of the load.
    pub stamp: Option<Stamp>,
    /// Tokens of the records it rests on.
    pub dependencies: SmallVec<[Token; 2]>,
    absent: bool,
    compressed: bool,
    raw_len: usize,
    payload: &'a [u8],
}

/// What a record is verified against.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The entity's schema on this node.
    pub schema: u64,
    /// The tier's clock when it read the record, in milliseconds.
    pub now_ms: u64,
    /// Bounds of the payload.
    pub codec: &'a Codec,
}

impl Reader<'_> {
    /// Verifies everything but the payload's own shape.
    ///
    /// # Errors
    /// Why it can't answer.
    pub fn verify<'b>(&self, key: &WireKey, bytes: &'b [u8]) -> Result<Body<'b>, Unusable> {
        let header = match Header::read(bytes) {
            Read::Record(header) => header,
            Read::OtherFormat => return Err(Unusable::Format),
            Read::NotOurs => return Err(Unusable::NotOurs),
        };
        if header.kind == Kind::Floor {
            return Err(Unusable::Floor);
        }
        let mut fields = Fields(bytes.get(HEADER_BYTES..).ok_or(Unusable::Corrupt)?);
        let sum = fields.u64()?;
        let (fingerprint, schema) = (fields.u64()?, fields.u64()?);
        let (written_ms, fresh_until_ms, stale_until_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let cost_us = fields.u32()?;
        let stamp_len = usize::from(u16::from_be_bytes(*fields.take()?));
        let [count, _] = *fields.take::<2>()?;
        let (payload_len, raw_len) = (fields.u32()? as usize, fields.u32()? as usize);
        let total = STAMP_AT + stamp_len + Token::SIZE_BYTES * usize::from(count) + payload_len;
        if bytes.len() != total || checksum(bytes) != sum {
            return Err(Unusable::Corrupt);
        }
        if fingerprint != key.fingerprint() {
            return Err(Unusable::OtherKey);
        }
        if schema != self.schema {
            return Err(Unusable::OtherSchema);
        }
        if written_ms > self.now_ms.saturating_add(FUTURE_SLACK_MS) {
            return Err(Unusable::Future);
        }
        let stamp = match fields.slice(stamp_len)? {
            [] => None,
            text => Some(Stamp::read(text).ok_or(Unusable::Corrupt)?),
        };
        let dependencies = (0..count)
            .map(|_| fields.take().map(|bytes| Token::from_bytes(*bytes)))
            .collect::<Result<_, _>>()?;
        Ok(Body {
            token: header.token,
            written_ms,
            fresh_until_ms,
            stale_until_ms,
            cost_us,
            stamp,
            dependencies,
            absent: bytes[6] & FLAG_ABSENT != 0,
            compressed: bytes[6] & FLAG_LZ4 != 0,
            raw_len,
            payload: fields.0,
        })
    }

    /// The row of a verified record; `None` if it is an absence.
    ///
    /// # Errors
    /// [`Unusable::Payload`] or [`Unusable::TooLarge`].
    pub fn row<V: DeserializeOwned>(&self, body: &Body<'_>) -> Result<Option<V>, Unusable> {
        if body.absent {
            return if body.payload.is_empty() { Ok(None) } else { Err(Unusable::Payload) };
        }
        self.codec.decode(body.payload, body.raw_len, body.compressed).map(Some)
    }
}

/// The schema of a VALUE, whoever wrote it; `None` if it is not a VALUE of this format.
pub(crate) fn schema_of(bytes: &[u8]) -> Option<u64> {
    match Header::read(bytes) {
        Read::Record(Header { kind: Kind::Value, .. }) => {
            Some(u64::from_be_bytes(*bytes.get(64..)?.first_chunk()?))
        }
        _ => None,
    }
}

/// Reads fields from the front of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Unusable> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Unusable::Corrupt)?;
        self.0 = rest;
        Ok(head)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Unusable> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Unusable::Corrupt)?;
        self.0 = rest;
        Ok(head)
    }

    fn u64(&mut self) -> Result<u64, Unusable> {
        self.take().map(|bytes| u64::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Result<u32, Unusable> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }
}
