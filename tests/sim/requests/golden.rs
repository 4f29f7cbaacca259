//! The texts that stand in production's caches: a change here empties them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tierstack::CacheKey;
use uuid::Uuid;

use super::types::{Filter, FindFilms, Order, Page, Untagged};
use super::wire;

/// The file changes only with the text of requests.
#[test]
fn the_texts_are_those_of_the_golden_file() {
    macro_rules! lines {
        ($($what:literal: $value:expr),* $(,)?) => { vec![$(format!("{}\t{}", $what, $value.key_text())),*] };
    }
    let mut lines = lines! {
        "integer": 7,
        "integer": -7,
        "i128 min": i128::MIN,
        "u128 max": u128::MAX,
        "bool": true,
        "bool": false,
        "char": 'é',
        "text": "",
        "text": "1",
        "text": "plain-Text_0.9",
        "text": "a b(c),d=e~!%:#",
        "text": "*?[]\\{}",
        "uuid": Uuid::from_u128(0x0c3f_9a52_8b0e_4c41_9a0e_1f2e_3d4c_5b6a),
        "duration": Duration::from_millis(1_500),
        "none": None::<i32>,
        "some": Some(7),
        "some none": Some(None::<i32>),
        "some some none": Some(Some(None::<i32>)),
        "unit": (),
        "tuple of one": (7,),
        "tuple": (7, "7", false, ()),
        "array": [1, 2],
        "list": vec![1, 2],
        "empty list": Vec::<i32>::new(),
        "list of lists": vec![vec![1], vec![], vec![2, 3]],
        "set": BTreeSet::from(["b", "a"]),
        "map": BTreeMap::from([("b", vec![1]), ("a", vec![])]),
        "empty map": BTreeMap::<i32, i32>::new(),
        "struct": FindFilms::default(),
        "struct": FindFilms {
            rating: Some("PG 13".to_owned()),
            language_ids: vec![1, -2],
            page: Page { number: 3, all: true },
            order: Order::ByTwo("title".to_owned(), "year".to_owned()),
            trace_id: 9,
        },
        "variant": Order::Newest,
        "variant, renamed": Order::Oldest {},
        "variant of a value": Order::By("title".to_owned()),
        "variant of fields": Order::Range { from: None, to: Some(2000) },
        "recursive": Filter::Not(Box::new(Filter::All(vec![Filter::Any, Filter::Is("PG".to_owned())]))),
        "by hand": Untagged::Text("a".to_owned()),
    };
    for rating in ["PG", &"PG ".repeat(100)] {
        let wire = wire(rating);
        lines.push(format!("in a cache\t{}\t{:016x}", wire.as_str(), wire.fingerprint()));
    }
    let actual = lines.join("\n") + "\n";
    assert_eq!(actual, include_str!("../golden/requests.txt"), "the texts are now:\n{actual}");
}
