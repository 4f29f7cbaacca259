//! The text of keys: one for each key, readable again, and the same from release to release.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tests::{Film, FilmTitle};
use tierstack_core::{Bound, Entity, Key, KeyFormat, Query, RowKey, Value, WireKey};
use uuid::Uuid;

/// Short texts of the characters that hold a key together, so that many pairs of keys nearly collide.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab1:=~%@+!#-]{0,4}", 1 => "\\PC{0,6}", 1 => any::<String>()]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab:=@+!]{1,3}", 1 => "\\PC{1,4}"]
}

/// Row keys of several shapes.
#[derive(Clone, Debug)]
enum AnyKey {
    Small(i16),
    Signed(i64),
    Unsigned(u64),
    Text(String),
    Truth(bool),
    Uuid(Uuid),
    Pair(i32, String),
    Texts(String, String),
    Triple(String, bool, Option<String>),
}

fn any_key() -> impl Strategy<Value = AnyKey> {
    prop_oneof![
        any::<i16>().prop_map(AnyKey::Small),
        prop_oneof![any::<i64>(), -3..3i64].prop_map(AnyKey::Signed),
        prop_oneof![any::<u64>(), 0..3u64].prop_map(AnyKey::Unsigned),
        tricky().prop_map(AnyKey::Text),
        any::<bool>().prop_map(AnyKey::Truth),
        any::<u128>().prop_map(|bits| AnyKey::Uuid(Uuid::from_u128(bits))),
        (-3..3i32, tricky()).prop_map(|(a, b)| AnyKey::Pair(a, b)),
        (tricky(), tricky()).prop_map(|(a, b)| AnyKey::Texts(a, b)),
        (tricky(), any::<bool>(), option::of(tricky())).prop_map(|(a, b, c)| AnyKey::Triple(a, b, c)),
    ]
}

/// Everything that a key's text must tell apart: names of one format, and the values.
#[derive(Clone, Debug, PartialEq)]
struct Identity {
    namespace: String,
    entity: String,
    projection: Option<String>,
    fields: Vec<String>,
    values: Vec<Value>,
}

/// The text of a key under a format, after it has been read back.
fn text_of<K: RowKey>(format: &KeyFormat, key: &K) -> String {
    let text = wire(format, key).as_str().to_owned();
    assert_eq!(format.read::<K>(&text).as_ref(), Some(key), "{text}");
    for other in [format!("{text}:"), format!("{text}x"), format!(" {text}"), text.replacen(':', "", 1)] {
        assert_ne!(format.read::<K>(&other).as_ref(), Some(key), "{other} is not {text}");
    }
    text
}

fn wire<K: Key>(format: &KeyFormat, key: &K) -> WireKey {
    format.wire(std::slice::from_ref(key)).pop().unwrap().unwrap()
}

/// Namespace, entity, projection, and more fields than any key has.
type Names = (String, String, Option<String>, Vec<String>);

fn names() -> impl Strategy<Value = Names> {
    (name(), name(), option::of(name()), vec(name(), 3))
}

/// What the text of a key stands for, and the text.
fn identify((namespace, entity, projection, mut fields): Names, key: AnyKey) -> (Identity, String) {
    let mut of = |key: &dyn Written| {
        fields.truncate(key.values().len());
        let names: Vec<&str> = fields.iter().map(String::as_str).collect();
        let format = KeyFormat::new(&namespace, &entity, projection.as_deref(), &names, 1 << 20).unwrap();
        (key.values(), key.text(&format))
    };
    let (values, text) = match key {
        AnyKey::Small(key) => of(&key),
        AnyKey::Signed(key) => of(&key),
        AnyKey::Unsigned(key) => of(&key),
        AnyKey::Text(key) => of(&key),
        AnyKey::Truth(key) => of(&key),
        AnyKey::Uuid(key) => of(&key),
        AnyKey::Pair(a, b) => of(&(a, b)),
        AnyKey::Texts(a, b) => of(&(a, b)),
        AnyKey::Triple(a, b, c) => of(&(a, b, c)),
    };
    (Identity { namespace, entity, projection, fields, values }, text)
}

/// A row key of any type.
trait Written {
    fn values(&self) -> Vec<Value>;
    fn text(&self, format: &KeyFormat) -> String;
}

impl<K: RowKey> Written for K {
    fn values(&self) -> Vec<Value> {
        RowKey::values(self)
    }

    fn text(&self, format: &KeyFormat) -> String {
        text_of(format, self)
    }
}

/// A query of one of two shapes, its values and its template, as a key.
#[derive(Clone, Debug)]
struct AnyQuery {
    bound: Bound<Film>,
    text: String,
    fingerprint: u64,
}

fn any_query() -> impl Strategy<Value = AnyQuery> {
    let template = prop_oneof![
        Just(None),
        Just(Some("{a}:{b}")),
        Just(Some("{b}:{a}")),
        Just(Some("a={a}:b={b}")),
        Just(Some("{a}:x={b}")),
        Just(Some("a/{a},{b}")),
    ];
    let values = (option::of(tricky()), option::of(-2..2i64));
    (name(), template, any::<bool>(), option::of(tricky()), values).prop_map(
        |(name, key, one, fixed, values)| {
            let mut query = if one { Query::<Film>::one(&name) } else { Query::<Film>::list(&name) };
            if let Some(fixed) = &fixed {
                query = query.fixed("c", fixed.as_str());
            }
            let mut query = query.param::<Option<String>>("a").param::<Option<i64>>("b");
            if let Some(key) = key {
                query = query.key(key);
            }
            let bound = query.build().unwrap().bind(values);
            let wire = wire(&film_format(), &bound);
            AnyQuery { text: wire.as_str().to_owned(), fingerprint: wire.fingerprint(), bound }
        },
    )
}

fn film_format() -> KeyFormat {
    Film::schema().key_format("shop", 1 << 20).unwrap()
}

/// Printable, and nothing that Redis patterns, hash tags or a shell's eye would take for more than a character.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?[]\\{}\"'".contains(&byte))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Two row keys have one text if, and only if, they are one: in namespace, entity, projection, fields, types, values.
    #[test]
    fn row_keys_are_injective_invertible_and_plain(
        names in names(),
        other_names in names(),
        share_names: bool,
        key in any_key(),
        other_key in any_key(),
    ) {
        let other_names = if share_names { names.clone() } else { other_names };
        let (one, other) = (identify(names, key), identify(other_names, other_key));
        prop_assert_eq!(one.0 == other.0, one.1 == other.1, "{:?} and {:?}", one, other);
        prop_assert!(is_plain(&one.1), "{}", one.1);
    }

    /// The same for queries: another definition under the same name, or another value, is another text.
    #[test]
    fn query_keys_are_injective_and_plain(one in any_query(), other in any_query()) {
        prop_assert_eq!(one.bound == other.bound, one.text == other.text, "{:?} and {:?}", one, other);
        prop_assert_eq!(one.bound == other.bound, one.fingerprint == other.fingerprint);
        prop_assert!(is_plain(&one.text), "{}", one.text);
        prop_assert!(film_format().read::<i32>(&one.text).is_none(), "a query is no row");
    }

    /// Values that differ only in where one ends and the next begins.
    #[test]
    fn moved_boundaries_are_told_apart(parts in vec("[ab:=~%+#]{0,3}", 3), cut in 0usize..3) {
        let format = KeyFormat::new("n", "e", None, &["x", "y"], 64).unwrap();
        let (left, right) = (parts[..cut].join(":"), parts[cut..].join(":"));
        let whole = parts.join(":");
        for (at, _) in whole.match_indices(':') {
            let moved = (whole[..at].to_owned(), whole[at + 1..].to_owned());
            let same = moved == (left.clone(), right.clone());
            let texts = [wire(&format, &moved), wire(&format, &(left.clone(), right.clone()))];
            prop_assert_eq!(texts[0] == texts[1], same, "{:?}", texts);
        }
    }

    /// The text of a long query is bounded, and different values still have different texts.
    #[test]
    fn long_query_keys_are_shortened_apart(
        text in "[a-zé:]{250,900}",
        at in 0usize..250,
    ) {
        let query = Query::<Film>::list("q").param::<String>("title").build().unwrap();
        let at = text.char_indices().nth(at).unwrap().0;
        let changed = format!("{}X{}", &text[..at], &text[at..]);
        let [one, other] = [text, changed].map(|text| wire(&film_format(), &query.bind((text,))));
        for wire in [&one, &other] {
            prop_assert!(wire.as_bytes().len() <= KeyFormat::LONGEST_BYTES);
            prop_assert!(wire.as_str().starts_with("shop:film:") && wire.as_str().contains('#'));
            prop_assert!(is_plain(wire.as_str()));
        }
        prop_assert_ne!(one.as_str(), other.as_str());
        prop_assert_ne!(one.fingerprint(), other.fingerprint());
    }
}

/// At the very length up to which a query's text stands whole, and one above.
#[test]
fn a_query_key_is_shortened_only_above_the_limit() {
    let query = Query::<Film>::list("q").param::<String>("title").build().unwrap();
    let of = |length| wire(&film_format(), &query.bind(("x".repeat(length),))).as_str().len();
    let fits = KeyFormat::LONGEST_BYTES - of(0);
    assert_eq!(of(fits), KeyFormat::LONGEST_BYTES);
    assert_eq!(of(fits + 1), 128 + 1 + 32);
    assert_eq!(of(100_000), 128 + 1 + 32);
    let row = KeyFormat::new("shop", "film", None, &["title"], 1 << 20).unwrap();
    assert!(
        wire(&row, &"x".repeat(10_000)).as_str().len() > 10_000,
        "a row's key is never shortened: it is read back"
    );
}

/// A row, a query and a record of ours can't share a text, nor can a projection's row and a whole row.
#[test]
fn kinds_of_keys_are_told_apart() {
    let format = film_format();
    let special = format.special("rows");
    assert!(is_plain(special.as_str()));
    assert!(format.read::<i32>(special.as_str()).is_none());
    let titles = FilmTitle::schema().key_format("shop", 64).unwrap();
    let text = wire(&titles, &7).as_str().to_owned();
    assert_eq!((titles.read::<i32>(&text), format.read::<i32>(&text)), (Some(7), None));
    assert_eq!(titles.read::<i32>(wire(&format, &7).as_str()), None);
    for text in [
        "",
        "shop:film:",
        "shop:film:film_id=",
        "shop:film:film_id=07",
        "shop:film:film_id=~7",
        "shop:film:film_id=7:",
    ] {
        assert_eq!(format.read::<i32>(text), None, "{text}");
    }
}

/// The texts that stand in production's L2: a change here empties it. The file changes only with the key format.
#[test]
fn the_texts_are_those_of_the_golden_file() {
    let mut lines = Vec::new();
    let one = |fields: &[&str]| KeyFormat::new("shop", "film", None, fields, 4_096).unwrap();
    let id = one(&["film_id"]);
    let mut row = |what: &str, wire: WireKey| {
        lines.push(format!("{what}\t{}\t{:016x}", wire.as_str(), wire.fingerprint()))
    };
    for number in [0, 7, -7, i32::MIN, i32::MAX] {
        row(&format!("i32 {number}"), wire(&id, &number));
    }
    row("i16 min", wire(&id, &i16::MIN));
    row("i64 min", wire(&id, &i64::MIN));
    row("i64 max", wire(&id, &i64::MAX));
    row("u32 max", wire(&id, &u32::MAX));
    row("u64 max", wire(&id, &u64::MAX));
    row("bool", wire(&id, &true));
    row("bool", wire(&id, &false));
    row("uuid", wire(&id, &Uuid::from_u128(0x0c3f_9a52_8b0e_4c41_9a0e_1f2e_3d4c_5b6a)));
    for text in
        ["", "1", "plain-Text_0.9", "a b", "a:b=c", "~!%#@+", "*?[]\\{}", "\0\r\n", "é", "e\u{301}", "日本"]
    {
        row(&format!("text {text:?}"), wire(&id, &text.to_owned()));
    }
    row("pair", wire(&one(&["a", "b"]), &(1, "1".to_owned())));
    row("pair", wire(&one(&["a", "b"]), &("1".to_owned(), 1)));
    row("pair with none", wire(&one(&["a", "b"]), &(None::<i32>, Some(true))));
    row("triple", wire(&one(&["a", "b", "c"]), &(1, "x:y".to_owned(), false)));
    row("odd field", wire(&one(&["a b:c=d"]), &1));
    let odd = KeyFormat::new("Shop 1", "public.film", Some("a:b"), &["id"], 64).unwrap();
    row("odd names", wire(&odd, &1));
    row("projection", wire(&FilmTitle::schema().key_format("shop", 64).unwrap(), &7));
    row("the rows of an entity", id.special("rows"));
    let format = film_format();
    let all = Query::<Film>::list("all").build().unwrap();
    row("query without values", wire(&format, &all.bind(())));
    let by_rating = Query::<Film>::list("by_rating").param::<String>("rating").build().unwrap();
    row("query", wire(&format, &by_rating.bind(("PG".to_owned(),))));
    row("query, long", wire(&format, &by_rating.bind(("PG ".repeat(200),))));
    let fixed =
        Query::<Film>::list("by_rating").param::<String>("rating").fixed("language_id", 1).build().unwrap();
    row("query with a fixed filter", wire(&format, &fixed.bind(("PG".to_owned(),))));
    let ordered =
        Query::<Film>::list("by_rating").param::<String>("rating").order_by_descending("title").limit(5);
    row("query in another order", wire(&format, &ordered.build().unwrap().bind(("PG".to_owned(),))));
    let by_title =
        Query::<Film>::one("by title").param::<Option<String>>("title").key("t/{title}").build().unwrap();
    row("query by a template", wire(&format, &by_title.bind((Some("Alien".to_owned()),))));
    row("query for null", wire(&format, &by_title.bind((None,))));
    let two = Query::<Film>::list("two").param::<bool>("a").param::<Uuid>("b").build().unwrap();
    row("query of two", wire(&format, &two.bind((true, Uuid::nil()))));
    row("query of a projection", wire(&FilmTitle::schema().key_format("shop", 64).unwrap(), &all.bind(())));
    let actual = lines.join("\n") + "\n";
    assert_eq!(actual, include_str!("golden/keys.txt"), "the texts are now:\n{actual}");
}
