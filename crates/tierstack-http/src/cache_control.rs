//! The directives of `Cache-Control` (RFC 9111, section 5.2). Pure.

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// Whether the headers have one of those directives, whatever argument it has.
///
/// A comma within a quoted argument parts it like any other: of what is in there, a directive may be seen that isn't one.
/// All that is asked for here makes a cache do less.
pub(crate) fn has_any(headers: &HeaderMap, names: &[&str]) -> bool {
    directives(headers).any(|(name, _)| names.iter().any(|asked| name.eq_ignore_ascii_case(asked)))
}

/// Whether one of those directives is there with 0 seconds for an argument.
pub(crate) fn is_zero(headers: &HeaderMap, names: &[&str]) -> bool {
    directives(headers).any(|(name, argument)| {
        let zero = !argument.is_empty() && argument.trim_matches('"').bytes().all(|byte| byte == b'0');
        zero && names.iter().any(|asked| name.eq_ignore_ascii_case(asked))
    })
}

/// Names and arguments. A value that is not ASCII has none that we know.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|directive| {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        (name.trim(), argument.trim())
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (CACHE_CONTROL, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn directives_are_found() {
        for (values, found) in [
            (&["no-store"][..], true),
            (&["public, max-age=60 , No-Store"], true),
            (&["public", "no-store"], true),
            (&["no-store=\"set-cookie\""], true),
            (&["public"], false),
            (&["x-no-store, no-stores"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(has_any(&headers(values), &["private", "no-store"]), found, "{values:?}");
        }
        for (value, zero) in [
            ("max-age=0", true),
            ("public, MAX-AGE=\"00\"", true),
            ("max-age=10", false),
            ("max-age", false),
            ("max-age=", false),
            ("x=0", false),
        ] {
            assert_eq!(is_zero(&headers(&[value]), &["max-age"]), zero, "{value}");
        }
    }
}
