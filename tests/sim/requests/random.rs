//! Random requests: two have one text if, and only if, they are equal.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tierstack::{CacheKey, KeyFormat};
use uuid::Uuid;

use super::types::{Filter, FindFilms, Order, Page, Untagged};
use super::{told_apart, wire};

/// Short texts of the characters that hold a request together, so that many pairs of requests nearly collide.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[ab1n(),=~%!]{0,3}", 1 => "\\PC{0,4}", 1 => any::<String>()]
}

fn small() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -2..12i64, 1 => any::<i64>()]
}

/// Numbers whose digits make many others when they run into each other.
fn digits() -> impl Strategy<Value = u8> {
    proptest::sample::select(vec![1, 2, 3, 12, 23, 123])
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Newest),
        Just(Order::Oldest {}),
        tricky().prop_map(Order::By),
        (tricky(), tricky()).prop_map(|(first, then)| Order::ByTwo(first, then)),
        (option::of(0..3i32), option::of(0..3i32)).prop_map(|(from, to)| Order::Range { from, to }),
    ]
}

fn films() -> impl Strategy<Value = FindFilms> {
    let page = (0..3u8, any::<bool>()).prop_map(|(number, all)| Page { number, all });
    (option::of(tricky()), vec(small(), 0..3), page, order(), any::<u64>()).prop_map(
        |(rating, language_ids, page, order, trace_id)| FindFilms {
            rating,
            language_ids,
            page,
            order,
            trace_id,
        },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![Just(Filter::Any), tricky().prop_map(Filter::Is), Just(Filter::All(Vec::new()))];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
            vec(inner.clone(), 0..3).prop_map(Filter::All),
            (inner.clone(), inner).prop_map(|(a, b)| Filter::Either(Box::new(a), Box::new(b))),
        ]
    })
}

fn untagged() -> impl Strategy<Value = Untagged> {
    prop_oneof![
        small().prop_map(Untagged::Integer),
        tricky().prop_map(Untagged::Text),
        any::<bool>().prop_map(Untagged::Truth),
        any::<bool>().prop_map(|max| Untagged::Uuid(if max { Uuid::max() } else { Uuid::nil() })),
        Just(Untagged::Nothing(None)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn structs_are_told_apart(values in vec(films(), 20)) {
        let of_equals = |film: &FindFilms| FindFilms { trace_id: 0, ..film.clone() };
        told_apart(&values.iter().map(of_equals).collect::<Vec<_>>())?;
        for value in &values {
            prop_assert_eq!(value.key_text(), of_equals(value).key_text(), "a skipped field makes no difference");
        }
    }

    #[test]
    fn variants_are_told_apart(orders in vec(order(), 20), filters in vec(filter(), 20)) {
        told_apart(&orders)?;
        told_apart(&filters)?;
        told_apart(&orders.into_iter().zip(filters).collect::<Vec<_>>())?;
    }

    #[test]
    fn lists_are_told_apart(
        values in vec(vec(vec(tricky(), 0..3), 0..3), 20),
        numbers in vec(vec(digits(), 0..4), 30),
        one in vec(tricky(), 3),
    ) {
        told_apart(&values)?;
        told_apart(&numbers)?;
        told_apart(&values.concat())?;
        // The same texts, cut elsewhere.
        let whole = one.join(",");
        let cuts = whole.match_indices(',').map(|(at, _)| [&whole[..at], &whole[at + 1..]].map(str::to_owned));
        told_apart(&cuts.collect::<Vec<_>>())?;
    }

    #[test]
    fn maps_are_told_apart(
        values in vec(btree_map(tricky(), vec(tricky(), 0..2), 0..3), 20),
        numbers in vec(btree_map(digits(), digits(), 0..3), 30),
    ) {
        told_apart(&values)?;
        told_apart(&numbers)?;
        let pairs = |map: &BTreeMap<_, _>| map.clone().into_iter().collect::<Vec<_>>();
        told_apart(&values.iter().map(pairs).collect::<Vec<_>>())?;
    }

    #[test]
    fn nothing_is_told_from_something(
        texts in vec(option::of(option::of(tricky())), 20),
        deep in vec(option::of(option::of(option::of(option::of(any::<bool>())))), 20),
        untagged in vec(option::of(untagged()), 20),
        lists in vec(option::of(vec(option::of(Just(())), 0..3)), 20),
    ) {
        told_apart(&texts)?;
        told_apart(&deep)?;
        told_apart(&untagged)?;
        told_apart(&lists)?;
    }

    /// A type that says of itself nothing but its value is the worst case: the texts alone keep its kinds apart.
    #[test]
    fn kinds_are_told_apart(values in vec(untagged(), 20)) {
        told_apart(&values)?;
    }

    #[test]
    fn integers_have_the_text_of_their_digits(number: i128, other: u128, narrow: i8) {
        prop_assert_eq!(number.key_text(), number.to_string());
        prop_assert_eq!(other.key_text(), other.to_string());
        let widths =
            [narrow.key_text(), i16::from(narrow).key_text(), i64::from(narrow).key_text(), i128::from(narrow).key_text()];
        prop_assert!(widths.iter().all(|text| *text == narrow.to_string()), "{:?}", widths);
    }

    /// The text of a long request is bounded in L2, and two of them still differ.
    #[test]
    fn long_requests_are_shortened_apart(rating in "[a-zé(]{90,300}", at in 0..90usize) {
        let at = rating.char_indices().nth(at).unwrap().0;
        let changed = format!("{}X{}", &rating[..at], &rating[at..]);
        let wires = [rating, changed].map(|rating| wire(&rating));
        for wire in &wires {
            prop_assert!(wire.as_bytes().len() <= KeyFormat::LONGEST_BYTES);
            prop_assert!(wire.as_str().starts_with("shop:find_films:(rating=~"));
            prop_assert!(wire.as_str().ends_with(")") != wire.as_str().contains('#'), "{}", wire.as_str());
        }
        prop_assert_ne!(wires[0].as_str(), wires[1].as_str());
        prop_assert_ne!(wires[0].fingerprint(), wires[1].fingerprint());
    }
}
