//! Keys: how a typed key becomes the text under which every shared tier holds its entry.
//!
//! `namespace ":" entity ":" field "=" value …`
//!
//! 1. *Injective*: two keys that differ in namespace, entity, projection, field, type or value never give the same text.
//!    Values are written so that no separator can occur in them ([`KeyPart`]).
//! 2. *Typed*: the integer `1` is `1`, the text `"1"` is `~1`. All integer widths are one type, *integer*.
//! 3. *Invertible* for row keys ([`RowKey`]): the text gives the key back. Only the keys of queries may be shortened to
//!    a prefix and a hash.
//! 4. *Stable*: a golden file holds the format; changing it empties every L2 in production.
//!
//! L1 uses the typed key itself and never formats.

mod format;
mod part;
mod request;
mod value;

pub use format::{KeyFormat, WireKey};
pub use part::{KeyPart, KeyText};
pub(crate) use part::{escaped, sealed, shown};
pub use request::{CacheKey, RequestGroup, RequestWriter, Written};
pub use value::Value;

use std::fmt::Debug;
use std::hash::Hash;

use crate::Error;

/// What a stack looks entries up by.
///
/// Its `Hash`, `Eq` and `Clone` must agree with each other, and must not panic: they run under locks that all lookups of the
/// cache share, and what such a panic leaves behind there, a key that is looked up by nobody and waited for, is nobody's to
/// mend.
pub trait Key: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// Writes the fields and values, in a fixed order.
    fn write(&self, out: &mut KeyWriter<'_>);

    /// Size of the variable part of its values, in bytes; a key above the settings' limit is refused before any tier is
    /// asked. Zero for keys of a fixed size.
    fn size_bytes(&self) -> usize {
        0
    }

    /// Whether its load is never merged with those of other callers: a list may take long, and must not hold up another, nor
    /// fail with it.
    fn loads_alone(&self) -> bool {
        false
    }

    /// What a store keeps of it: an equal key, without what serves only the load.
    #[must_use]
    fn kept(&self) -> Self {
        self.clone()
    }

    /// Whether its text may be shortened to a prefix and a hash when it is long. Never for keys of rows, which must be
    /// readable from their text.
    const MAY_SHORTEN: bool = false;
}

/// The key of a row: one or more typed fields that can be read back from the key's text, and parsed from a user's.
pub trait RowKey: Key + serde::Serialize + serde::de::DeserializeOwned {
    /// How many columns it has.
    const WIDTH: usize;

    /// Reads it back from what [`Key::write`] wrote; `None` for any other text.
    fn read(text: &mut KeyText<'_>) -> Option<Self>;

    /// Parses it from the text of a path or query string, strictly: no spaces, no sign but `-`, nothing left over. Several
    /// fields are separated by commas.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the text and what was expected.
    fn parse(text: &str) -> Result<Self, Error>;

    /// Its fields as values, for an origin.
    fn values(&self) -> Vec<Value>;
}

/// Writes the text of one key; made by a [`KeyFormat`].
pub struct KeyWriter<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before each value: `field=`, from the second on with the separator.
    labels: std::slice::Iter<'a, Box<str>>,
}

impl KeyWriter<'_> {
    /// Writes the next field's name, and `part`.
    pub fn field(&mut self, part: &impl KeyPart) {
        if let Some(label) = self.labels.next() {
            self.out.extend_from_slice(label.as_bytes());
        }
        part.write(self.out);
    }

    /// Writes text that the caller has made safe.
    pub(crate) fn literal(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes a value without a name.
    pub(crate) fn value(&mut self, value: &Value) {
        value.write(self.out);
    }
}

macro_rules! row_key_of_one {
    ($($part:ty),*) => {$(
        impl Key for $part {
            #[inline]
            fn write(&self, out: &mut KeyWriter<'_>) {
                out.field(self);
            }
            #[inline]
            fn size_bytes(&self) -> usize {
                KeyPart::size_bytes(self)
            }
        }
        impl RowKey for $part {
            const WIDTH: usize = 1;
            fn read(text: &mut KeyText<'_>) -> Option<Self> {
                text.field()
            }
            fn parse(text: &str) -> Result<Self, Error> {
                <$part as KeyPart>::parse(text)
            }
            fn values(&self) -> Vec<Value> {
                vec![KeyPart::value(self)]
            }
        }
    )*};
}

row_key_of_one!(i16, i32, i64, u16, u32, u64, bool, String, uuid::Uuid);

macro_rules! row_key_of_several {
    ($($part:ident . $place:tt),*; $width:literal) => {
        impl<$($part: RowKeyPart),*> Key for ($($part,)*) {
            fn write(&self, out: &mut KeyWriter<'_>) {
                $(out.field(&self.$place);)*
            }
            fn size_bytes(&self) -> usize {
                0 $(+ KeyPart::size_bytes(&self.$place))*
            }
        }
        impl<$($part: RowKeyPart),*> RowKey for ($($part,)*) {
            const WIDTH: usize = $width;
            fn read(text: &mut KeyText<'_>) -> Option<Self> {
                Some(($(text.field::<$part>()?,)*))
            }
            fn parse(text: &str) -> Result<Self, Error> {
                let parts: Vec<&str> = text.split(',').collect();
                if parts.len() != $width {
                    return Err(Error::invalid(format!(
                        "{:?} has {} fields: this key has {}, separate them by commas", part::shown(text), parts.len(), $width
                    )));
                }
                Ok(($(<$part as KeyPart>::parse(parts[$place])?,)*))
            }
            fn values(&self) -> Vec<Value> {
                vec![$(KeyPart::value(&self.$place)),*]
            }
        }
    };
}

/// A part that can stand in a key of several columns.
pub trait RowKeyPart:
    KeyPart + Clone + Eq + Hash + Debug + serde::Serialize + serde::de::DeserializeOwned
{
}
impl<P: KeyPart + Clone + Eq + Hash + Debug + serde::Serialize + serde::de::DeserializeOwned> RowKeyPart
    for P
{
}

row_key_of_several!(A.0, B.1; 2);
row_key_of_several!(A.0, B.1, C.2; 3);

/// Makes a key of an argument, so that `get(7)`, `get(&7)` and `get("slug")` all work.
pub trait IntoKey<K> {
    /// The key.
    fn into_key(self) -> K;
}

impl<K: Key> IntoKey<K> for K {
    fn into_key(self) -> K {
        self
    }
}

impl<K: Key> IntoKey<K> for &K {
    fn into_key(self) -> K {
        self.clone()
    }
}

impl IntoKey<String> for &str {
    fn into_key(self) -> String {
        self.to_owned()
    }
}
