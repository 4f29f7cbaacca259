//! Keys: odd, huge, many, and of the same text but another type.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tests::{Film, film};
use tierstack_core::{
    Bound, Cache, Entity, ErrorKind, L1, Lookup, Namespace, Query, RowKey, Schema, loader_fn, origin_fn,
};

use crate::shop::{Shop, look};

/// An entity with any type of key: its row says the key it was loaded for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
struct Thing<K: RowKey> {
    id: K,
}

impl<K: RowKey> Entity for Thing<K> {
    type Pk = K;

    fn schema() -> Schema {
        let columns = ["a", "b", "c"].into_iter().take(K::WIDTH);
        Schema::table("thing").pk(columns.clone()).columns(columns)
    }

    fn pk(&self) -> K {
        self.id.clone()
    }
}

/// The keys of each load.
type Loads<K> = Arc<Mutex<Vec<Vec<K>>>>;

/// Things by any key, on one more node of a shop; and what was loaded.
fn things<K: RowKey>(shop: &Shop) -> (Cache<Thing<K>>, Loads<K>) {
    things_of(&shop.node(), shop)
}

fn things_of<K: RowKey>(node: &Namespace, shop: &Shop) -> (Cache<Thing<K>>, Loads<K>) {
    let loads = Loads::default();
    let noting = Arc::clone(&loads);
    let origin = origin_fn(move |keys: Vec<K>| {
        noting.lock().unwrap().push(keys.clone());
        std::future::ready(Ok::<_, std::io::Error>(
            keys.into_iter().map(|id| (id.clone(), Thing { id })).collect(),
        ))
    });
    let cache = node.cache().l1(L1::capacity(10_000)).settings(shop.settings.clone()).origin(origin);
    (cache.build().unwrap(), loads)
}

/// Every key gets the row that was loaded for it, on a first node and, from L2, on a second; the texts all differ.
async fn all_keep_apart<K: RowKey>(keys: &[K]) {
    let shop = Shop::new(0);
    let (first, loads) = things::<K>(&shop);
    let (second, not_loaded) = things::<K>(&shop);
    for cache in [&first, &second] {
        let rows = cache.objects_by_pks(keys).await.unwrap();
        let found: Vec<K> = rows.iter().map(|row| row.as_ref().unwrap().id.clone()).collect();
        assert_eq!(found, keys);
    }
    assert_eq!(loads.lock().unwrap().len(), 1);
    assert!(not_loaded.lock().unwrap().is_empty(), "the second node found all in L2");
    let texts: BTreeMap<String, &K> =
        keys.iter().map(|key| (first.key_text(key.clone()).unwrap(), key)).collect();
    assert_eq!(texts.len(), keys.len(), "{texts:?}");
    for text in texts.keys() {
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    }
}

/// An empty batch is answered without asking anybody.
#[tokio::test(start_paused = true)]
async fn an_empty_batch_asks_nobody() {
    let shop = Shop::new(1);
    let films = shop.films();
    assert!(films.objects_by_pks(Vec::<i32>::new()).await.unwrap().is_empty());
    assert!(films.present_by_pks(Vec::<i32>::new()).await.unwrap().is_empty());
    assert!(films.lookup(Lookup::batch([])).await.unwrap().is_empty());
    films.invalidate(Vec::<i32>::new()).await.unwrap();
    let none: [&str; 0] = [];
    assert!(films.objects_by(&crate::shop::by_title(), none).await.unwrap().is_empty());
    assert_eq!(films.stats(), shop.films().stats());
    assert_eq!((shop.repository.loads(), shop.repository.queries().len()), (0, 0));
}

/// A batch of 100,000 is split into loads of `max_batch` exactly, and comes back in the order of the request.
#[tokio::test(start_paused = true)]
async fn a_huge_batch_is_split_and_keeps_its_order() {
    let shop = Shop::new(100_000);
    let films = shop.films();
    let backwards = || (1..=100_000).rev();
    let rows = films.objects_by_pks(backwards()).await.unwrap();
    assert!(rows.iter().zip(backwards()).all(|(row, pk)| row.as_ref().unwrap().film_id == pk));
    let loaded = shop.repository.loaded();
    assert_eq!(loaded.len(), 100);
    assert!(loaded.iter().all(|keys| keys.len() == 1_000));
    assert_eq!(films.stats().keys(), 100_000);
}

/// What separates keys, ends strings or lines, or means something to Redis is only text in a key; two spellings of one
/// letter stay two keys.
#[tokio::test(start_paused = true)]
async fn odd_texts_keep_apart() {
    let odd = [
        "",
        " ",
        ":",
        "=",
        "a:b",
        "a=b",
        "~",
        "%",
        "%3A",
        "a%3Ab",
        "\0",
        "\r\n",
        "\n",
        "*",
        "?",
        "[a]",
        "\\",
        "{}",
        "{a}b",
        "#",
        "!",
        "!n",
        "!b1",
        "@titles",
        "1",
        "-1",
        "None",
        "null",
        "é",
        "e\u{301}",
        "日本",
        "\u{feff}",
        "\u{10ffff}",
        "a",
        "A",
    ];
    all_keep_apart(&odd.map(str::to_owned)).await;
}

/// The ends of the integers, and of their neighbours.
#[tokio::test(start_paused = true)]
async fn the_extremes_of_integers_keep_apart() {
    all_keep_apart(&[i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX]).await;
    all_keep_apart(&[0, 1, u64::from(u32::MAX), i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX]).await;
    all_keep_apart(&[i16::MIN, -1, 0, i16::MAX]).await;
}

/// Pairs that would collide if their fields were merely joined.
#[tokio::test(start_paused = true)]
async fn joined_fields_keep_apart() {
    let pairs = [("a:b", "c"), ("a", "b:c"), ("a", "b"), ("", "a"), ("a", ""), ("a:b=~b", "c"), ("a", "~b")];
    all_keep_apart(&pairs.map(|(a, b)| (a.to_owned(), b.to_owned()))).await;
    all_keep_apart(&[(1, "1".to_owned(), true), (1, "1".to_owned(), false), (11, String::new(), true)]).await;
}

/// The number 1 and the text "1" are two keys, as rows and as values of a query; so are a missing value and its name.
#[tokio::test(start_paused = true)]
async fn types_are_part_of_the_key() {
    let shop = Shop::new(0);
    let ((numbers, _), (texts, _)) = (things::<i32>(&shop), things::<String>(&shop));
    assert_ne!(numbers.key_text(1).unwrap(), texts.key_text("1").unwrap());
    assert_eq!(numbers.get(1).await.unwrap().unwrap().id, 1);
    assert_eq!(texts.get("1").await.unwrap().unwrap().id, "1");
    let number = Query::<Film>::list("q").param::<Option<i32>>("x").build().unwrap();
    let text = Query::<Film>::list("q").param::<Option<String>>("x").build().unwrap();
    let texts = ["1", "", "None", "!n"].map(|value| text.bind((Some(value.to_owned()),)));
    let keys: Vec<Bound<Film>> =
        [number.bind((Some(1),)), number.bind((None,))].into_iter().chain(texts).collect();
    for (at, key) in keys.iter().enumerate() {
        assert!(keys[..at].iter().all(|other| other != key), "{key:?}");
    }
}

/// A text key of 1 MiB is refused before any tier is asked; the others of its batch are answered.
#[tokio::test(start_paused = true)]
async fn a_huge_key_is_refused_and_costs_the_others_nothing() {
    let shop = Shop::new(0);
    let (things, loads) = things::<String>(&shop);
    let huge = "x".repeat(1 << 20);
    for error in [things.get(&huge).await.unwrap_err(), things.key_text(&huge).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("max_key_bytes") && error.to_string().len() < 200, "{error}");
    }
    assert_eq!((loads.lock().unwrap().len(), things.stats().l2_requests), (0, 0), "no tier was asked");
    assert_eq!(things.invalidate([&huge]).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(things.namespace().write_stats().requests, 1, "lists may hold it, and are invalidated");
    let asked = ["a", &huge, "b", "a"].map(str::to_owned);
    let outcomes = things.objects_by_pks(&asked).await.unwrap_err().into_outcomes();
    let found: Vec<_> =
        outcomes.iter().map(|outcome| outcome.as_ref().ok().map(|row| row.is_some())).collect();
    assert_eq!(found, [Some(true), None, Some(true), Some(true)]);
    assert_eq!(*loads.lock().unwrap(), [["a", "b"]]);
    let answers = things.lookup(Lookup::batch(asked.clone())).await.unwrap();
    assert_eq!(answers.iter().map(|(key, _)| key.len()).collect::<Vec<_>>(), [1, 1 << 20, 1], "in order");
    let stats = things.stats();
    assert_eq!((stats.keys(), stats.errors), (7, 3), "{stats:?}");
    let longest = "é".repeat(512);
    assert_eq!(
        things.get(&longest).await.unwrap().unwrap().id,
        longest,
        "1,024 bytes before escaping are taken"
    );
}

/// Two entities, and two namespaces, over one tier: the same pk is two rows.
#[tokio::test(start_paused = true)]
async fn the_same_pk_of_two_entities_or_namespaces_is_two_rows() {
    let shop = Shop::new(7);
    let node = shop.node();
    let (things, _) = things_of::<i32>(&node, &shop);
    assert_eq!(*shop.films_of(&node).get(7).await.unwrap().unwrap(), film(7));
    assert_eq!(things.get(7).await.unwrap().unwrap().id, 7);
    let other =
        Namespace::builder("shop2").l2_shared(shop.tier.clone()).clock(shop.manual.clock()).build().unwrap();
    let other = other.cache().origin(origin_fn(|keys: Vec<i32>| {
        let rows = keys.into_iter().map(|pk| (pk, Film { title: "of shop2".into(), ..film(pk) })).collect();
        std::future::ready(Ok::<_, std::io::Error>(rows))
    }));
    let other: Cache<Film> = other.build().unwrap();
    assert_eq!(other.get(7).await.unwrap().unwrap().title, "of shop2");
    other.invalidate([7]).await.unwrap();
    let kept = look(&shop.films(), Lookup::one(7).never_load()).await.unwrap();
    assert_eq!(*kept.unwrap().entry.into_present().unwrap(), film(7), "nor does one forget the other's");
}

/// A list that names the same pk twice, or a pk that is no row, is hydrated for what there is.
#[tokio::test(start_paused = true)]
async fn a_list_with_doubled_and_unknown_pks_is_hydrated() {
    let shop = Shop::new(3);
    let index = loader_fn(|queries: Vec<Bound<Film>>| {
        let rows = queries.into_iter().map(|query| (query, vec![2, 99, 2, 1])).collect();
        std::future::ready(Ok::<_, std::io::Error>(rows))
    });
    let origin = shop.repository.films().with_queries(index);
    let films = shop.node().cache().l1(L1::capacity(100)).origin(origin).build().unwrap();
    let found = films.list(&crate::shop::rated_pg()).await.unwrap();
    assert_eq!(found.iter().map(|film| film.film_id).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(shop.repository.loaded(), [[2, 99, 1]]);
}
