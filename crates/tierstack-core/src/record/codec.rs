//! Payloads: a row as MessagePack with named fields, and back, within bounds.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Unusable;
use crate::{Error, ErrorKind};

/// Nested deeper than this is refused; MessagePack's reader would overflow a 2 MiB stack at some 600 levels.
const DEEPEST: usize = 64;

/// Writes rows as MessagePack with named fields ([`rmp_serde`]), and reads them back within bounds.
///
/// Named fields, as the array form of a struct decodes as any other struct of the same shape.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Larger payloads are neither written nor read, in bytes, before compression. Default: 1 MiB.
    pub max_payload_bytes: usize,
    /// Payloads from this size on are compressed, in bytes, if the feature `lz4` is on and `Some`. Default: `None`.
    pub compress_from_bytes: Option<usize>,
}

impl Default for Codec {
    fn default() -> Self {
        Codec { max_payload_bytes: 1 << 20, compress_from_bytes: None }
    }
}

/// A payload as it goes into a record.
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    pub(super) raw_len: usize,
    pub(super) compressed: bool,
}

impl Codec {
    pub(super) fn encode<V: Serialize>(&self, value: &V) -> Result<Payload, Error> {
        let bytes = rmp_serde::to_vec_named(value).map_err(|error| {
            Error::with_source(
                ErrorKind::Invalid,
                "the row can't be written as MessagePack: mend its Serialize",
                error,
            )
        })?;
        let raw_len = bytes.len();
        if raw_len > self.max_payload_bytes {
            return Err(Error::invalid(format!(
                "a row of {raw_len} bytes: L2 takes max_payload_bytes = {}, raise it or project the row",
                self.max_payload_bytes
            )));
        }
        Ok(match self.compress_from_bytes {
            Some(from) if raw_len >= from => compress(bytes, raw_len),
            _ => Payload { bytes, raw_len, compressed: false },
        })
    }

    pub(super) fn decode<V: DeserializeOwned>(
        &self,
        bytes: &[u8],
        raw_len: usize,
        compressed: bool,
    ) -> Result<V, Unusable> {
        if raw_len > self.max_payload_bytes {
            return Err(Unusable::TooLarge);
        }
        let raw: Cow<'_, [u8]> = if compressed { decompress(bytes, raw_len)?.into() } else { bytes.into() };
        if raw.len() != raw_len {
            return Err(Unusable::Payload);
        }
        let mut reader = rmp_serde::Deserializer::from_read_ref(&raw[..]);
        reader.set_max_depth(DEEPEST);
        let value = V::deserialize(&mut reader).map_err(|_| Unusable::Payload)?;
        if is_at_end(&mut reader) { Ok(value) } else { Err(Unusable::Payload) }
    }
}

/// Whether nothing is left to read. The reader doesn't tell its position, but a value that is not there has no marker.
fn is_at_end<'de>(reader: &mut rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'de, [u8]>>) -> bool {
    use rmp_serde::decode::Error::InvalidMarkerRead;
    let next = serde::de::IgnoredAny::deserialize(reader);
    matches!(next, Err(InvalidMarkerRead(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof)
}

#[cfg(feature = "lz4")]
fn compress(bytes: Vec<u8>, raw_len: usize) -> Payload {
    let packed = lz4_flex::block::compress(&bytes);
    if packed.len() < raw_len {
        Payload { bytes: packed, raw_len, compressed: true }
    } else {
        Payload { bytes, raw_len, compressed: false }
    }
}

#[cfg(not(feature = "lz4"))]
fn compress(bytes: Vec<u8>, raw_len: usize) -> Payload {
    Payload { bytes, raw_len, compressed: false }
}

/// Takes no more memory than `raw_len`, which the caller has bounded.
#[cfg(feature = "lz4")]
fn decompress(bytes: &[u8], raw_len: usize) -> Result<Vec<u8>, Unusable> {
    lz4_flex::block::decompress(bytes, raw_len).map_err(|_| Unusable::Payload)
}

#[cfg(not(feature = "lz4"))]
fn decompress(_: &[u8], _: usize) -> Result<Vec<u8>, Unusable> {
    Err(Unusable::Payload)
}
