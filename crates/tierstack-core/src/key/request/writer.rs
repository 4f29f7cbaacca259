//! Writes the text of a request, or adds up its size without writing.

use super::CacheKey;
use crate::key::KeyPart;
use crate::key::part::{escape, write_integer, write_text};

/// The place of one value in the text of a request.
///
/// Writing the value uses it up, and only that gives a [`Written`]. So each value writes exactly one, and no implementation
/// by hand can run two values into each other:
///
/// ```compile_fail,E0382
/// # use tierstack_core::{CacheKey, RequestWriter, Written};
/// struct Range(u32, u32);
///
/// impl CacheKey for Range {
///     fn write_key(&self, out: RequestWriter<'_>) -> Written {
///         self.0.write_key(out);
///         self.1.write_key(out) // (1, 23) would be (12, 3)
///     }
/// }
/// ```
///
/// Several values are one as a tuple, or as a group:
///
/// ```
/// # use tierstack_core::{CacheKey, RequestWriter, Written};
/// struct Range(u32, u32);
///
/// impl CacheKey for Range {
///     fn write_key(&self, out: RequestWriter<'_>) -> Written {
///         out.group().field("from", &self.0).field("to", &self.1).end()
///     }
/// }
///
/// assert_eq!(Range(1, 23).key_text(), "(from=1,to=23)");
/// ```
pub struct RequestWriter<'a> {
    sink: Sink<'a>,
}

/// The proof that a value was written.
#[derive(Debug)]
pub struct Written(());

enum Sink<'a> {
    Text(&'a mut Vec<u8>),
    /// Only the sum of the variable parts is wanted.
    Size(&'a mut usize),
}

impl Sink<'_> {
    /// The place of the next value.
    fn place(&mut self) -> RequestWriter<'_> {
        let sink = match self {
            Sink::Text(out) => Sink::Text(out),
            Sink::Size(size) => Sink::Size(size),
        };
        RequestWriter { sink }
    }

    /// Appends to the text what is no variable part.
    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Sink::Text(out) = self {
            write(out);
        }
    }

    /// Adds a variable part to the size.
    fn count(&mut self, bytes: usize) {
        if let Sink::Size(size) = self {
            **size = size.saturating_add(bytes);
        }
    }
}

impl<'a> RequestWriter<'a> {
    /// Appends the value's text to `out`.
    pub(super) fn to(out: &'a mut Vec<u8>) -> Self {
        RequestWriter { sink: Sink::Text(out) }
    }

    /// Adds the size of the value's variable parts to `size`.
    pub(super) fn measuring(size: &'a mut usize) -> Self {
        RequestWriter { sink: Sink::Size(size) }
    }

    /// Writes a text.
    pub fn text(mut self, text: &str) -> Written {
        self.sink.write(|out| write_text(text, out));
        self.sink.count(text.len());
        Written(())
    }

    /// Begins a struct or tuple: a fixed number of values between brackets.
    pub fn group(self) -> RequestGroup<'a> {
        self.variant("")
    }

    /// Begins a variant of an enum: its name, and a group if it has values.
    pub fn variant(mut self, name: &str) -> RequestGroup<'a> {
        self.sink.write(|out| escape(name, out));
        RequestGroup { sink: self.sink, is_named: !name.is_empty(), is_open: false }
    }

    /// Begins a list or map of `len` items: their number is part of the value.
    pub fn list(mut self, len: usize) -> RequestGroup<'a> {
        self.sink.count(len);
        self.group()
    }

    /// Writes a value of a fixed size as it stands in any key.
    pub(super) fn part(mut self, part: &impl KeyPart) -> Written {
        self.sink.write(|out| part.write(out));
        Written(())
    }

    /// Writes a whole number of any width.
    pub(super) fn integer(mut self, is_negative: bool, magnitude: u128) -> Written {
        self.sink.write(|out| match u64::try_from(magnitude) {
            Ok(magnitude) => write_integer(out, is_negative, magnitude),
            Err(_) if is_negative => out.extend_from_slice(format!("-{magnitude}").as_bytes()),
            Err(_) => out.extend_from_slice(magnitude.to_string().as_bytes()),
        });
        Written(())
    }

    /// Writes the value of a `Some`: as itself, unless it is a `None` in turn. No other value begins like `None`.
    pub(super) fn some(mut self, value: &impl CacheKey) -> Written {
        let mut start = 0;
        self.sink.write(|out| start = out.len());
        value.write_key(self.sink.place());
        self.sink.write(|out| {
            if out[start..].starts_with(b"!n") {
                out.push(b'n');
            }
        });
        Written(())
    }
}

/// Values between brackets, with a separator between each two.
#[must_use = "a group is a value once end() has closed it"]
pub struct RequestGroup<'a> {
    sink: Sink<'a>,
    is_named: bool,
    is_open: bool,
}

impl RequestGroup<'_> {
    /// Writes the next value.
    pub fn item(mut self, value: &impl CacheKey) -> Self {
        self.separate();
        value.write_key(self.sink.place());
        self
    }

    /// Writes the next value, with the name of its field.
    pub fn field(mut self, name: &str, value: &impl CacheKey) -> Self {
        self.separate();
        self.sink.write(|out| {
            escape(name, out);
            out.push(b'=');
        });
        value.write_key(self.sink.place());
        self
    }

    /// Writes the next key of a map, and its value.
    pub fn entry(mut self, key: &impl CacheKey, value: &impl CacheKey) -> Self {
        self.separate();
        key.write_key(self.sink.place());
        self.sink.write(|out| out.push(b'='));
        value.write_key(self.sink.place());
        self
    }

    /// Closes the group.
    pub fn end(mut self) -> Written {
        let (is_named, is_open) = (self.is_named, self.is_open);
        self.sink.write(|out| match (is_open, is_named) {
            (true, _) => out.push(b')'),
            // A variant without values is its name.
            (false, true) => {}
            (false, false) => out.extend_from_slice(b"()"),
        });
        Written(())
    }

    fn separate(&mut self) {
        let separator = if std::mem::replace(&mut self.is_open, true) { b',' } else { b'(' };
        self.sink.write(|out| out.push(separator));
    }
}
