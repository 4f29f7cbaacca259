//! Every shape of a type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tierstack::CacheKey;
use uuid::Uuid;

#[derive(CacheKey)]
struct Unit;

#[derive(CacheKey)]
struct Braces {}

#[derive(CacheKey)]
struct Parentheses();

#[derive(CacheKey)]
struct Wrapper(u32);

#[derive(CacheKey)]
struct Traced(u32, #[cache_key(skip)] u64);

#[derive(CacheKey)]
struct Pair(u32, String);

#[derive(CacheKey)]
struct One {
    id: u32,
}

#[derive(CacheKey)]
enum Variants {
    Unit,
    Parentheses(),
    Braces {},
    One(u32),
    Pair(u32, #[cache_key(skip)] u64, String),
    Named {
        first: u32,
        #[cache_key(skip)]
        trace_id: u64,
        second: String,
    },
    Skipped(#[cache_key(skip)] u64),
    #[cache_key(rename = "old name")]
    Renamed {
        #[cache_key(rename = "a=b")]
        value: Wrapper,
    },
}

/// No value of it can be asked for, but it may stand in a generic request.
#[derive(CacheKey)]
enum Never {}

#[derive(CacheKey)]
enum Filter {
    Rating(String),
    Not(Box<Filter>),
    All(Vec<Filter>),
}

#[derive(CacheKey)]
struct EveryType {
    small: i8,
    wide: u128,
    size: usize,
    truth: bool,
    letter: char,
    text: String,
    fixed: &'static str,
    boxed: Box<str>,
    shared: Arc<str>,
    uuid: Uuid,
    maybe: Option<Box<Option<i32>>>,
    list: Vec<u8>,
    slice: Arc<[u8]>,
    array: [i32; 2],
    tuple: (i32, String, bool, ()),
    map: BTreeMap<String, i32>,
    set: BTreeSet<i32>,
    after: Duration,
    never: Option<Never>,
}

/// A name that is no longer wanted is no reason for a warning in code that the user didn't write.
#[derive(CacheKey)]
#[non_exhaustive]
struct Dated {
    #[deprecated]
    old: u32,
}

#[test]
fn each_shape_has_its_text() {
    for (text, expected) in [
        (Unit.key_text(), "()"),
        (Braces {}.key_text(), "()"),
        (Parentheses().key_text(), "()"),
        (Wrapper(7).key_text(), "7"),
        (Traced(7, 1).key_text(), "7"),
        (Pair(7, "a".into()).key_text(), "(7,~a)"),
        (One { id: 7 }.key_text(), "(id=7)"),
        (Variants::Unit.key_text(), "Unit"),
        (Variants::Parentheses().key_text(), "Parentheses"),
        (Variants::Braces {}.key_text(), "Braces"),
        (Variants::One(7).key_text(), "One(7)"),
        (Variants::Pair(7, 1, "a".into()).key_text(), "Pair(7,~a)"),
        (
            Variants::Named { first: 7, trace_id: 1, second: "a".into() }.key_text(),
            "Named(first=7,second=~a)",
        ),
        (Variants::Skipped(1).key_text(), "Skipped"),
        (Variants::Renamed { value: Wrapper(7) }.key_text(), "old%20name(a%3Db=7)"),
        (
            Filter::Not(Box::new(Filter::All(vec![Filter::Rating("PG".into()), Filter::All(vec![])])))
                .key_text(),
            "Not(All((Rating(~PG),All(()))))",
        ),
    ] {
        assert_eq!(text, expected);
    }
    let all = EveryType {
        small: -8,
        wide: u128::MAX,
        size: 1,
        truth: true,
        letter: 'é',
        text: "a b".into(),
        fixed: "",
        boxed: "1".into(),
        shared: "~".into(),
        uuid: Uuid::nil(),
        maybe: Some(Box::new(None)),
        list: vec![1],
        slice: [].into(),
        array: [1, 2],
        tuple: (1, "x".into(), false, ()),
        map: [("k".to_owned(), 1)].into(),
        set: [2, 1].into(),
        after: Duration::from_millis(1_500),
        never: None,
    };
    assert_eq!(
        all.key_text(),
        "(small=-8,wide=340282366920938463463374607431768211455,size=1,truth=!b1,letter=~%C3%A9,text=~a%20b,fixed=~,\
         boxed=~1,shared=~%7E,uuid=!u00000000000000000000000000000000,maybe=!nn,list=(1),slice=(),array=(1,2),\
         tuple=(1,~x,!b0,()),map=(~k=1),set=(1,2),after=1500000000,never=!n)"
    );
    #[allow(deprecated)]
    let dated = Dated { old: 1 };
    assert_eq!(dated.key_text(), "(old=1)");
}
