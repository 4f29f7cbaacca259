//! The one formatter of keys, for every tier.

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::part::{KeyText, escaped};
use super::{Key, KeyWriter, RowKey};
use crate::Error;

/// A key's text, and the fingerprint of the text before any shortening.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireKey {
    text: Bytes,
    fingerprint: u64,
}

impl WireKey {
    /// The text: printable ASCII, at most [`KeyFormat::LONGEST_BYTES`] unless it is a row's.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text as a string slice; `KeyFormat` makes nothing but ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// XXH3 of the full text: a record names the key it was written for by it.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// What the keys of its entity begin with: namespace and entity, neither of which has a `:` in its text.
    pub(crate) fn entity(&self) -> &str {
        let text = self.as_str();
        let end = text.match_indices(':').nth(1).map_or(text.len(), |(at, _)| at + 1);
        &text[..end]
    }

    /// Whether it is of a record that belongs to its entity as a whole.
    pub(crate) fn is_special(&self) -> bool {
        self.as_str()[self.entity().len()..].starts_with('!')
    }

    /// The key of the record of that name that belongs to its entity as a whole; with no name, one before all of them.
    pub(crate) fn of_entity(&self, name: &'static str) -> Self {
        WireKey::of(Bytes::from(format!("{}{}{name}", self.entity(), if name.is_empty() { "" } else { "!" })))
    }

    fn of(text: Bytes) -> Self {
        let fingerprint = xxh3_64(&text);
        WireKey { text, fingerprint }
    }
}

/// Turns the keys of one entity into text, and row keys back.
#[derive(Clone, Debug)]
pub struct KeyFormat {
    /// `namespace:entity:` with the projection, if any, escaped.
    prefix: Box<str>,
    /// What stands before each value of a row key.
    labels: Box<[Box<str>]>,
    max_key_bytes: usize,
}

impl KeyFormat {
    /// The text of a query's key is shortened above this length, in bytes.
    pub const LONGEST_BYTES: usize = 256;
    /// How much of a shortened text stays readable, in bytes.
    const READABLE_BYTES: usize = 128;

    /// The format of an entity's keys, or of one of its projections.
    ///
    /// `fields` are the columns of the row key; `max_key_bytes` bounds the text parts of a key, before escaping.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a name is empty.
    pub fn new(
        namespace: &str,
        entity: &str,
        projection: Option<&str>,
        fields: &[&str],
        max_key_bytes: usize,
    ) -> Result<Self, Error> {
        let named = [namespace, entity].into_iter().chain(projection).chain(fields.iter().copied());
        if named.into_iter().any(str::is_empty) {
            return Err(Error::invalid(
                "a namespace, entity, projection or key field has an empty name: name it",
            ));
        }
        let mut prefix = format!("{}:{}:", escaped(namespace), escaped(entity));
        if let Some(projection) = projection {
            prefix.push('@');
            prefix.push_str(&escaped(projection));
            prefix.push(':');
        }
        let labels = fields
            .iter()
            .enumerate()
            .map(|(place, field)| format!("{}{}=", if place == 0 { "" } else { ":" }, escaped(field)).into())
            .collect();
        Ok(KeyFormat { prefix: prefix.into(), labels, max_key_bytes })
    }

    /// Whether the key is within the limit; else the error that says so.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid).
    #[inline]
    pub fn admit<K: Key>(&self, key: &K) -> Result<(), Error> {
        if key.size_bytes() <= self.max_key_bytes { Ok(()) } else { Err(self.refused(key.size_bytes())) }
    }

    #[cold]
    fn refused(&self, size: usize) -> Error {
        Error::invalid(format!(
            "a key of {size} bytes: at most max_key_bytes = {} are taken, look it up by a shorter field",
            self.max_key_bytes
        ))
    }

    /// Appends the key's text to `out`, unshortened.
    pub fn write<K: Key>(&self, key: &K, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        key.write(&mut KeyWriter { out, labels: self.labels.iter() });
    }

    /// The texts of many keys, in one buffer; a key over the limit has an error.
    pub fn wire<K: Key>(&self, keys: &[K]) -> Vec<Result<WireKey, Error>> {
        self.wires(keys).collect()
    }

    /// The same, cut as they are taken.
    pub(crate) fn wires<K: Key>(&self, keys: &[K]) -> impl Iterator<Item = Result<WireKey, Error>> + use<K> {
        let mut buffer = Vec::with_capacity(keys.len() * (self.prefix.len() + 24));
        let mut spans = Vec::with_capacity(keys.len());
        for key in keys {
            let start = buffer.len();
            let span = self.admit(key).map(|()| {
                self.write(key, &mut buffer);
                let fingerprint = xxh3_64(&buffer[start..]);
                if K::MAY_SHORTEN {
                    shorten(&mut buffer, start);
                }
                (start..buffer.len(), fingerprint)
            });
            spans.push(span);
        }
        let buffer = Bytes::from(buffer);
        let cut = move |(span, fingerprint)| WireKey { text: buffer.slice(span), fingerprint };
        spans.into_iter().map(move |span| span.map(&cut))
    }

    /// The key of a record that belongs to the entity as a whole. `name` is one of ours; no row or query has such a key,
    /// as theirs go on with a field's name, or `+`.
    #[must_use]
    pub fn special(&self, name: &'static str) -> WireKey {
        WireKey::of(Bytes::from(format!("{}!{name}", self.prefix)))
    }

    /// What every key of this entity, or of this projection of it, begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a key with that text is of this entity, or of this projection of it.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        text.starts_with(&*self.prefix)
    }

    /// What a key of this entity, or of this projection of it, goes on with; `None` for any other.
    pub(crate) fn text_of<'t>(&self, key: &'t str) -> Option<&'t str> {
        key.strip_prefix(&*self.prefix)
    }

    /// Whether that text was shortened.
    pub(crate) fn is_shortened(text: &str) -> bool {
        text.contains('#')
    }

    /// The row key with that text; `None` if it is of another entity, or no row's.
    #[must_use]
    pub fn read<K: RowKey>(&self, text: &str) -> Option<K> {
        let mut fields = KeyText::new(text.strip_prefix(&*self.prefix)?, &self.labels);
        let key = K::read(&mut fields)?;
        fields.ended().then_some(key)
    }
}

/// Cuts the text from `start` to a readable prefix, `#`, and its 128-bit hash, if it is long. `#` is in no other text.
fn shorten(buffer: &mut Vec<u8>, start: usize) {
    if buffer.len() - start > KeyFormat::LONGEST_BYTES {
        let hash = xxh3_128(&buffer[start..]);
        buffer.truncate(start + KeyFormat::READABLE_BYTES);
        buffer.extend_from_slice(format!("#{hash:032x}").as_bytes());
    }
}
