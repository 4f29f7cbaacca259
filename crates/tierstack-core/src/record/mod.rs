//! Records: what stands at a key in L2, byte by byte.
//!
//! Integers are big-endian. The first 48 bytes are the same for every kind, so that a script can read and change them in
//! place:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `F1 'T' 'S' 'K'` |
//! | 4 | 1 | format version, 1 |
//! | 5 | 1 | kind: `V` or `F` |
//! | 6 | 1 | flags: 1 absent, 2 payload compressed with lz4 |
//! | 7 | 1 | zero |
//! | 8 | 16 | token: what is here |
//! | 24 | 16 | right: who may fill; zero for nobody |
//! | 40 | 8 | end of the right, in the tier's milliseconds |
//!
//! A FLOOR goes on with its marks, as hex text ([`Marks`](crate::Marks)). A VALUE goes on:
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 48 | 8 | XXH3 of bytes 0 to 24, seeded with XXH3 of all from 56 on |
//! | 56 | 8 | fingerprint of the key |
//! | 64 | 8 | schema: version in the upper 16 bits, fingerprint below |
//! | 72 | 8 | written at, fresh until, stale until: 8 bytes each, in the tier's milliseconds |
//! | 96 | 4 | cost of the load, in microseconds |
//! | 100 | 2 | length of the stamp |
//! | 102 | 1 | number of dependency tokens |
//! | 103 | 1 | zero |
//! | 104 | 4 | length of the payload, 4 more: before compression |
//! | 112 | … | stamp (hex text), dependency tokens (16 bytes each), payload |
//!
//! Right and its end are outside the checksum, as a script changes them in place; a flipped bit there can delay a fill
//! until the right would have ended, and can't make a value wrong.

mod codec;
mod header;
mod value;

pub use codec::Codec;
pub use header::{Header, Kind, Read, floor, marks_of, stamp_of, with_right};
pub(crate) use value::schema_of;
pub use value::{Body, Reader, ToWrite, Unusable};
