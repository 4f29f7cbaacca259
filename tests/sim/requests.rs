//! The text of requests: one for each request, and the same from release to release.

mod alike;
mod golden;
mod random;
mod sizes;
mod types;

use std::collections::HashMap;
use std::fmt::Debug;

use proptest::prelude::*;
use tierstack::{CacheKey, KeyFormat, WireKey};
use types::{Asked, FindFilms};

/// Printable, without what means something to Redis patterns, hash tags or the outer format; never empty; closed.
fn is_plain(text: &str) -> bool {
    let apart = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?[]\\{}\"':#@+".contains(&byte));
    apart && !text.is_empty() && text.matches('(').count() == text.matches(')').count()
}

/// Two of the values have one text if, and only if, they are equal.
fn told_apart<T: CacheKey + PartialEq + Debug>(values: &[T]) -> Result<(), TestCaseError> {
    let mut by_text = HashMap::new();
    for value in values {
        let text = value.key_text();
        prop_assert!(is_plain(&text), "{value:?} is {text}");
        let first = *by_text.entry(text).or_insert(value);
        prop_assert_eq!(first, value, "one text: {}", first.key_text());
    }
    let different = values.iter().enumerate().filter(|(at, value)| !values[..*at].contains(value)).count();
    prop_assert_eq!(by_text.len(), different, "equal values have different texts: {:?}", values);
    Ok(())
}

/// The format of a cache of requests.
fn format() -> KeyFormat {
    KeyFormat::new("shop", "find_films", None, &[], 1_024).unwrap()
}

/// Under what text the answer to a request for films of a rating stands in L2.
fn wire(rating: &str) -> WireKey {
    let asked = Asked(FindFilms { rating: Some(rating.to_owned()), ..FindFilms::default() });
    format().wire(&[asked]).remove(0).unwrap()
}
