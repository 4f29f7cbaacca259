//! The text of structured fields, as RFC 8941 serialises them. Pure.

use std::fmt::{self, Write};

/// Writes a name as a token where its characters allow it, else as a string.
///
/// What a string can't hold either, which is all but printable ASCII, is percent-encoded.
pub(crate) fn name(out: &mut impl Write, text: &str) -> fmt::Result {
    if is_token(text) { out.write_str(text) } else { string(out, text) }
}

/// Writes a string (RFC 8941, 3.3.3).
pub(crate) fn string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(byte))?,
            b' '..=b'~' => out.write_char(char::from(byte))?,
            _ => write!(out, "%{byte:02X}")?,
        }
    }
    out.write_char('"')
}

/// Whether it is a token (RFC 8941, 3.3.4).
fn is_token(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*');
    first && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_or_a_string_that_reads_back() {
        for (text, written) in [
            ("tierstack", "tierstack"),
            ("L1", "L1"),
            ("*", "*"),
            ("a:/!#$%&'*+-.^_`|~9", "a:/!#$%&'*+-.^_`|~9"),
            ("cache.example.com", "cache.example.com"),
            // A token begins with a letter or a star.
            ("1st", r#""1st""#),
            ("-a", r#""-a""#),
            (":a", r#"":a""#),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("a;hit", r#""a;hit""#),
            ("a,b", r#""a,b""#),
            ("a=1", r#""a=1""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            (r"back\slash", r#""back\\slash""#),
            // No header is ended, and none begun, by a name.
            ("a\r\nSet-Cookie: b", r#""a%0D%0ASet-Cookie: b""#),
            ("tab\t nul\0 del\x7f", r#""tab%09 nul%00 del%7F""#),
            ("Läden", r#""L%C3%A4den""#),
        ] {
            let mut out = String::new();
            name(&mut out, text).unwrap();
            assert_eq!(out, written, "{text:?}");
        }
    }
}
