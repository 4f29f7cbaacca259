//! Requests that a simpler text would take for one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use tierstack::CacheKey;

use super::told_apart;
use super::types::{Filter, Nameless, Order, Untagged};

/// Each list is of one type, and no two of its values may share a text.
#[test]
fn values_that_look_alike_are_told_apart() {
    fn of<T: CacheKey + PartialEq + Debug>(values: impl IntoIterator<Item = T>) {
        told_apart(&Vec::from_iter(values)).unwrap();
    }
    let text = str::to_owned;
    let texts = |list: &[&str]| list.iter().copied().map(text).collect::<Vec<_>>();
    of([("a", "bc"), ("ab", "c"), ("", "abc"), ("a,b", "c"), ("a", "b,c"), ("a", ",~c"), ("a)", "(c")]);
    of([
        vec![vec![1], vec![2]],
        vec![vec![1, 2]],
        vec![vec![1, 2], vec![]],
        vec![vec![], vec![1, 2]],
        vec![vec![12]],
    ]);
    of([vec![], vec![vec![]], vec![vec![], vec![]], vec![vec![vec![()]]], vec![vec![vec![], vec![]]]]);
    of([None, Some(text("None")), Some(text("!n")), Some(text("n")), Some(text(""))]);
    of([None, Some(None), Some(Some(None)), Some(Some(Some(None))), Some(Some(Some(Some(()))))]);
    of([None, Some(Box::new(None)), Some(Box::new(Some(1)))]);
    of([
        Untagged::Integer(1),
        Untagged::Text(text("1")),
        Untagged::Text(text("~1")),
        Untagged::Text(text("%311")),
    ]);
    of([
        Untagged::Truth(true),
        Untagged::Text(text("!b1")),
        Untagged::Nothing(None),
        Untagged::Text(text("!n")),
    ]);
    of([Untagged::Nothing(None), Untagged::Nothing(Some(Box::new(Untagged::Nothing(None))))]);
    of([None, Some(vec![]), Some(vec![None]), Some(vec![Some(())]), Some(vec![Some(()), None])]);
    of([
        vec![],
        texts(&[""]),
        texts(&["", ""]),
        texts(&[","]),
        texts(&["()"]),
        texts(&["~,~"]),
        texts(&["(~,~)"]),
    ]);
    of([vec![], vec![()], vec![(), ()]]);
    of([vec![], vec![Nameless], vec![Nameless, Nameless]]);
    of([vec![vec![], vec![Nameless]], vec![vec![Nameless], vec![]], vec![vec![], vec![]], vec![vec![]]]);
    of([(vec![1], vec![2, 3]), (vec![1, 2], vec![3]), (vec![1, 2, 3], vec![]), (vec![], vec![1, 2, 3])]);
    of([(1, 23, 4), (12, 3, 4), (1, 2, 34), (-1, 23, 4)]);
    of([[1, 23], [12, 3], [1, -23]]);
    of([
        Order::Newest,
        Order::Oldest {},
        Order::By(text("")),
        Order::By(text("Newest")),
        Order::By(text("Newest()")),
    ]);
    of([
        Order::ByTwo(text("a"), text("b")),
        Order::ByTwo(text("a,b"), text("")),
        Order::By(text("a,~b")),
        Order::By(text("ByTwo(~a,~b)")),
        Order::Range { from: None, to: None },
        Order::Range { from: Some(1), to: None },
        Order::Range { from: None, to: Some(1) },
    ]);
    of([
        Filter::All(vec![Filter::Any, Filter::Any]),
        Filter::All(vec![Filter::All(vec![Filter::Any, Filter::Any])]),
        Filter::All(vec![Filter::All(vec![Filter::Any]), Filter::Any]),
        Filter::All(vec![Filter::Any, Filter::All(vec![Filter::Any])]),
        Filter::Either(Box::new(Filter::Any), Box::new(Filter::Any)),
        Filter::Not(Box::new(Filter::All(vec![]))),
        Filter::Not(Box::new(Filter::Any)),
        Filter::Is(text("Any")),
    ]);
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| (text(key), text(value))).collect::<BTreeMap<_, _>>()
    };
    of([
        map(&[]),
        map(&[("", "")]),
        map(&[("a", "b=c")]),
        map(&[("a=b", "c")]),
        map(&[("a", "b"), ("c", "d")]),
        map(&[("a", "b,~c=~d")]),
    ]);
    of([BTreeMap::from([(1, 23)]), BTreeMap::from([(12, 3)]), BTreeMap::from([(1, 2), (3, 4)])]);
    // As people write and as people see the same letter.
    of([text("é"), text("e\u{301}"), text("\u{e9}\0"), text("É")]);
    of(['\0', '0', '(', '\u{10ffff}']);
    of([u64::MAX.into(), i128::MIN, i128::MAX, -1, 0, 1, i64::MIN.into()]);
    of([Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(1), Duration::MAX]);
}
