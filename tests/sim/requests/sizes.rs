//! How large a request is, before anything is written.

use std::collections::BTreeMap;

use tierstack::{CacheKey, ErrorKind};
use uuid::Uuid;

use super::format;
use super::types::{Asked, Filter, FindFilms, Order};

/// What has one size only counts nothing, so no request of a fixed size is ever refused.
#[test]
fn a_size_is_that_of_the_variable_parts() {
    let text = |length| "(".repeat(length);
    for (size, expected) in [
        ((1, true, Uuid::nil(), [1, 2, 3]).key_size_bytes(), 0),
        (Order::Newest.key_size_bytes(), 0),
        (text(9).key_size_bytes(), 9),
        (Some(Box::new((text(9), 7, text(2)))).key_size_bytes(), 11),
        (None::<String>.key_size_bytes(), 0),
        ('é'.key_size_bytes(), 2),
        (vec![1, 2, 3].key_size_bytes(), 3),
        (vec![(); 1_000].key_size_bytes(), 1_000),
        (vec![vec![text(1), text(2)], vec![]].key_size_bytes(), 2 + 2 + 3),
        (BTreeMap::from([(text(1), text(2)), (text(3), text(4))]).key_size_bytes(), 2 + 10),
        (Order::ByTwo(text(3), text(4)).key_size_bytes(), 7),
        (Filter::All(vec![Filter::Is(text(5)), Filter::Not(Box::new(Filter::Any))]).key_size_bytes(), 7),
        (
            FindFilms { language_ids: vec![1; 5], rating: Some(text(6)), ..FindFilms::default() }
                .key_size_bytes(),
            11,
        ),
    ] {
        assert_eq!(size, expected);
    }
    let request = |length| Asked(FindFilms { rating: Some(text(length)), ..FindFilms::default() });
    format().admit(&request(1_024)).unwrap();
    assert_eq!(format().admit(&request(1_025)).unwrap_err().kind(), ErrorKind::Invalid);
}
