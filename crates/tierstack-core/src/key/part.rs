//! One typed value inside a key.
//!
//! | type | text | why it can't be another's |
//! |---|---|---|
//! | integers | `7`, `-7` | starts with a digit or `-` |
//! | text | `~` and the bytes, escaped | starts with `~` |
//! | uuid | `!u` and 32 hex digits | starts with `!u` |
//! | bool | `!b0`, `!b1` | starts with `!b` |
//! | nothing (`None`) | `!n` | starts with `!n` |
//!
//! Escaped: any byte but ASCII letters, digits, `_`, `.` and `-` becomes `%` and two hex digits, as in RFC 3986. So
//! neither a separator nor a character that means something to Redis patterns occurs in a value.

use uuid::Uuid;

use super::Value;
use crate::Error;

/// The types of values are closed: that no two texts are equal rests on all of them.
pub(crate) mod sealed {
    pub trait Sealed {}
    /// A type whose text is never that of null.
    pub trait NotNull {}
}

/// A value that can stand in a key. Floating point numbers can't: `NaN` and `-0.0` have no canonical text.
pub trait KeyPart: sealed::Sealed + Sized + Send + Sync + 'static {
    /// Appends its text.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads it back from exactly that text.
    fn read(text: &str) -> Option<Self>;
    /// Parses it from a user's text, strictly.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the text and what was expected.
    fn parse(text: &str) -> Result<Self, Error>;
    /// Size of its variable part, in bytes.
    fn size_bytes(&self) -> usize {
        0
    }
    /// It, as a value for an origin.
    fn value(&self) -> Value;
}

/// At most the start of a user's text goes into an error.
pub(crate) fn shown(text: &str) -> String {
    const MOST_CHARS: usize = 40;
    let mut shown: String = text.chars().take(MOST_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

macro_rules! integer_part {
    ($($int:ty),*) => {$(
        impl KeyPart for $int {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                #[allow(unused_comparisons, reason = "the macro serves unsigned types too")]
                write_integer(out, *self < 0, self.unsigned_abs_64());
            }
            fn read(text: &str) -> Option<Self> {
                let number: $int = text.parse().ok()?;
                // Only the canonical text: no `+7`, no `007`, no `-0`.
                let mut again = Vec::with_capacity(20);
                KeyPart::write(&number, &mut again);
                (again == text.as_bytes()).then_some(number)
            }
            fn parse(text: &str) -> Result<Self, Error> {
                Self::read(text).ok_or_else(|| Error::invalid(format!(
                    "{:?} is not a whole number from {} to {}: write it in plain digits", shown(text), <$int>::MIN, <$int>::MAX
                )))
            }
            fn value(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}

/// The absolute value, for signed and unsigned integers alike.
trait Magnitude {
    fn unsigned_abs_64(self) -> u64;
}
macro_rules! magnitude {
    ($($int:ty: $abs:expr),*) => {$(impl Magnitude for $int {
        #[inline]
        fn unsigned_abs_64(self) -> u64 {
            let abs: fn($int) -> u64 = $abs;
            abs(self)
        }
    })*};
}
magnitude!(i16: |n| n.unsigned_abs().into(), i32: |n| n.unsigned_abs().into(), i64: |n| n.unsigned_abs(),
           u16: |n| n.into(), u32: |n| n.into(), u64: |n| n);
integer_part!(i16, i32, i64, u16, u32, u64);

#[inline]
pub(super) fn write_integer(out: &mut Vec<u8>, negative: bool, mut magnitude: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (magnitude % 10) as u8;
        magnitude /= 10;
        if magnitude == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

impl KeyPart for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self, out);
    }
    fn read(text: &str) -> Option<Self> {
        unescape(text.strip_prefix('~')?)
    }
    fn parse(text: &str) -> Result<Self, Error> {
        Ok(text.to_owned())
    }
    fn size_bytes(&self) -> usize {
        self.len()
    }
    fn value(&self) -> Value {
        Value::Text(self.as_str().into())
    }
}

impl KeyPart for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"!b1" } else { b"!b0" });
    }
    fn read(text: &str) -> Option<Self> {
        match text {
            "!b1" => Some(true),
            "!b0" => Some(false),
            _ => None,
        }
    }
    fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Error::invalid(format!("{:?} is not a truth value: write true or false", shown(text)))),
        }
    }
    fn value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl KeyPart for Uuid {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"!u");
        out.extend_from_slice(self.as_simple().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    }
    fn read(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("!u")?;
        let canonical = hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if canonical { Uuid::try_parse(hex).ok() } else { None }
    }
    fn parse(text: &str) -> Result<Self, Error> {
        // The hyphenated form in either case, and nothing else that the uuid crate would read.
        let parsed = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
        parsed.ok_or_else(|| {
            Error::invalid(format!("{:?} is not a uuid: write 32 hex digits with 4 hyphens", shown(text)))
        })
    }
    fn value(&self) -> Value {
        Value::Uuid(*self)
    }
}

macro_rules! plain {
    ($($part:ty),*) => {$(
        impl sealed::Sealed for $part {}
        impl sealed::NotNull for $part {}
    )*};
}
plain!(i16, i32, i64, u16, u32, u64, bool, String, Uuid);

impl<P: KeyPart + sealed::NotNull> sealed::Sealed for Option<P> {}

impl<P: KeyPart + sealed::NotNull> KeyPart for Option<P> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => out.extend_from_slice(b"!n"),
            Some(part) => part.write(out),
        }
    }
    fn read(text: &str) -> Option<Self> {
        if text == "!n" { Some(None) } else { P::read(text).map(Some) }
    }
    fn parse(text: &str) -> Result<Self, Error> {
        P::parse(text).map(Some)
    }
    fn size_bytes(&self) -> usize {
        self.as_ref().map_or(0, KeyPart::size_bytes)
    }
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, KeyPart::value)
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Appends the text of a text.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'~');
    escape(text, out);
}

/// Appends `text` with every byte outside the safe set as `%XX`.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !is_safe(*byte)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'%', HEX[usize::from(rest[at] >> 4)], HEX[usize::from(rest[at] & 15)]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// `escape` as a string, for labels made at build time.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape(text, &mut out);
    // The escaped form is ASCII by construction.
    String::from_utf8(out).unwrap_or_default()
}

/// The text that `escape` made into exactly this.
pub(crate) fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !is_safe(byte) {
                return None;
            }
            out.push(byte);
            continue;
        }
        let digit = |digit: u8| HEX.iter().position(|hex| *hex == digit);
        let byte = (digit(bytes.next()?)? << 4 | digit(bytes.next()?)?) as u8;
        if is_safe(byte) {
            return None;
        }
        out.push(byte);
    }
    String::from_utf8(out).ok()
}

/// Reads the fields of a row key's text, one after the other.
pub struct KeyText<'a> {
    rest: &'a str,
    labels: std::slice::Iter<'a, Box<str>>,
}

impl<'a> KeyText<'a> {
    pub(super) fn new(rest: &'a str, labels: &'a [Box<str>]) -> Self {
        KeyText { rest, labels: labels.iter() }
    }

    /// The next field, if the text goes on with its name and a value of its type.
    pub fn field<P: KeyPart>(&mut self) -> Option<P> {
        let after = self.rest.strip_prefix(&**self.labels.next()?)?;
        let end = after.find(':').unwrap_or(after.len());
        let (value, rest) = after.split_at(end);
        self.rest = rest;
        P::read(value)
    }

    /// Whether all of the text was read.
    pub(super) fn ended(&self) -> bool {
        self.rest.is_empty() && self.labels.as_slice().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_text_is_parsed_strictly() {
        assert_eq!(<i32 as KeyPart>::parse("20").unwrap(), 20);
        assert_eq!(<i32 as KeyPart>::parse("-20").unwrap(), -20);
        for wrong in [":-(", "3.9", " 7 ", "1e3", "+7", "007", "-0", "", "٣", "2147483648", "7\0", "0x10"] {
            let error = <i32 as KeyPart>::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{wrong:?}");
            assert!(error.to_string().contains("plain digits"), "{error}");
        }
        let uuid = "0c3f9a52-8b0e-4c41-9a0e-1f2e3d4c5b6a";
        assert_eq!(
            <Uuid as KeyPart>::parse(uuid).unwrap(),
            <Uuid as KeyPart>::parse(&uuid.to_uppercase()).unwrap()
        );
        for wrong in ["", "0c3f9a528b0e4c419a0e1f2e3d4c5b6a", "{0c3f9a52-8b0e-4c41-9a0e-1f2e3d4c5b6a}", "z"] {
            <Uuid as KeyPart>::parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_long_wrong_text_is_not_repeated_whole() {
        let error = <i64 as KeyPart>::parse(&"9".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().len() < 200);
    }
}
