//! The Django manager that this library grew from, row by row: what each of its arguments has become.

mod objects;

use std::io;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tests::{Film, film};
use tierstack_core::{Counters, Entry, Error, ErrorKind, KeyPart, Level, Lookup, Query, QueryBuilder, Stack};
use tower::ServiceBuilder;

use crate::shop::{Shop, by_rating, by_title, look, rated_pg};

/// `_from_cache(key, kwargs, one_item=True)`: one object by any template and any typed fields, loaded once.
#[tokio::test(start_paused = true)]
async fn from_cache_with_one_item_is_one_object_by_any_template_and_typed_fields() {
    let shop = Shop::new(3);
    let films = shop.films();
    let declare = |template: &str| {
        let query = Query::<Film>::one("film").param::<String>("title").param::<i32>("film_id");
        query.key(template).build().unwrap()
    };
    for (asked, template) in
        ["title={title}:id={film_id}", "{film_id},{title}", "a/{film_id}/b/{title}"].iter().enumerate()
    {
        let query = declare(template);
        for _ in 0..2 {
            let found = films.one(&query.bind(("Film 2".to_owned(), 2))).await.unwrap();
            assert_eq!(*found.unwrap(), film(2), "{template}");
        }
        assert_eq!(shop.repository.queries().len(), asked + 1, "{template}: asked twice, loaded once");
    }
    let nobody = declare("{title}:{film_id}").bind(("Film 2".to_owned(), 3));
    assert!(films.one(&nobody).await.unwrap().is_none(), "both fields are filters");
    let error = films.require_one(&nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(shop.repository.queries().len(), 4, "the absence was remembered");
}

/// Two rows where one was declared: the filters don't tell rows apart, and none of them is served for the other.
#[tokio::test(start_paused = true)]
async fn from_cache_with_one_item_that_finds_two_is_an_error() {
    let shop = Shop::new(2);
    let films = shop.films();
    let query = Query::<Film>::one("rated").param::<String>("rating").build().unwrap();
    for loads in 1..=2 {
        let error = films.one(&query.bind(("PG".to_owned(),))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert_eq!(shop.repository.queries().len(), loads, "an error is never cached");
    }
}

/// `one_item=False`: a list. The empty list is a value, asked twice and loaded once, and not an absence.
#[tokio::test(start_paused = true)]
async fn from_cache_without_one_item_is_a_list_and_the_empty_list_is_a_value() {
    let shop = Shop::new(3);
    let films = shop.films();
    let ids = |rows: Vec<Arc<Film>>| rows.iter().map(|film| film.film_id).collect::<Vec<_>>();
    let empty = by_rating().bind(("NC-17".to_owned(),));
    for _ in 0..2 {
        assert_eq!(ids(films.list(&rated_pg()).await.unwrap()), [1, 2, 3]);
        assert_eq!(*films.pks(&empty).await.unwrap(), Vec::<i32>::new());
        assert!(films.list(&empty).await.unwrap().is_empty());
    }
    assert_eq!(shop.repository.queries().len(), 2, "one load for each list, the empty one too");
    let elsewhere = shop.films();
    shop.repository.set_failing(true);
    assert!(elsewhere.list(&empty).await.unwrap().is_empty(), "L2 holds the empty list as a value");
    assert_eq!(elsewhere.stats().l2.fresh, 1);
    assert_eq!(elsewhere.stats().l2.absent, 0, "and not as an absence");
}

/// One mode is not asked of a query of the other: a wrong call is told, and no tier is touched.
#[tokio::test(start_paused = true)]
async fn from_cache_tells_one_item_from_many() {
    let shop = Shop::new(1);
    let films = shop.films();
    let one = films.list(&by_title().bind(("Film 1".to_owned(),))).await.unwrap_err();
    let many = films.one(&rated_pg()).await.unwrap_err();
    for error in [one, many] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(films.stats(), shop.films().stats(), "nothing was counted, so nothing was asked");
}

/// `cache_key`: a format string became a template that is checked when the query is built.
#[test]
fn cache_key_is_a_template_checked_at_build() {
    let declare = |template: &str| {
        let query = Query::<Film>::list("q").param::<String>("title").param::<i32>("film_id");
        query.key(template).build()
    };
    declare("title={title}:film_id={film_id}").unwrap();
    declare("film/{film_id};{title}").unwrap();
    for (template, word) in [
        ("title={title}", "\"film_id\" is missing"),
        ("", "\"title\" is missing"),
        ("{title}:{film_id}:{title}", "stands twice"),
        ("{title}:{film_id}:{rating}", "not a parameter"),
        ("{title}:{film_id}:{}", "not a parameter"),
        ("{title}:{film_id}:{0}", "not a parameter"),
        ("{title}{film_id}", "separates"),
        ("{title}x{film_id}", "separates"),
        ("{title}-{film_id}", "separates"),
        ("a b={title}:{film_id}", "' '"),
        ("{title}:{film_id}\n", "'\\n'"),
        ("{title}:{film_id}é", "'é'"),
        ("{title}:{film_id}*", "'*'"),
        ("{title}:{film_id}#", "'#'"),
        ("{title:{film_id}", "not a parameter"),
        ("{title}:{film_id", "has no }"),
        ("title}:{film_id}", "has no {"),
        ("{{title}}:{film_id}", "not a parameter"),
        ("{title }:{film_id}", "not a parameter"),
        ("{title!r}:{film_id:d}", "not a parameter"),
    ] {
        let error = declare(template).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{template:?}");
        let text = error.to_string();
        assert!(text.contains(word) && text.contains(&format!("{template:?}")), "{template:?}: {text}");
    }
}

fn list_of<P>(builder: QueryBuilder<Film, P>) -> Result<Query<Film, P>, Error>
where
    P: tierstack_core::Params,
{
    builder.build()
}

/// `const_kwargs`: fixed filters are no parameters, stand in no template, and may not be parameters as well.
#[test]
fn const_kwargs_are_fixed_filters_and_no_parameters() {
    let pg = || Query::<Film>::list("titled").param::<String>("title").fixed("rating", "PG");
    let query = list_of(pg()).unwrap();
    assert_eq!(query.def().params().collect::<Vec<_>>(), ["title"]);
    assert_eq!(query.def().fixed().count(), 1);
    let error = query.parse([("title", "x"), ("rating", "R")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "a caller can't set it");
    assert!(list_of(pg().key("{title}:{rating}")).is_err(), "nor a template name it");
    let error = list_of(pg().fixed("title", "x")).unwrap_err();
    assert!(error.to_string().contains("not both"), "{error}");
    let error = list_of(pg().fixed("rating", "R")).unwrap_err();
    assert!(error.to_string().contains("filtered twice"), "{error}");
}

/// `const_kwargs`, on the wire: the caller's values are not changed, and two queries of one name that differ in a fixed
/// filter only share no entry.
#[tokio::test(start_paused = true)]
async fn const_kwargs_change_no_callers_data_and_tell_entries_apart() {
    let shop = Shop::new(2);
    shop.repository.put(Film { rating: "R".into(), ..film(3) });
    let films = shop.films();
    let declare = |rating: &str| Query::<Film>::list("rated").fixed("rating", rating).build().unwrap();
    let (pg, r) = (declare("PG"), declare("R"));
    let values = ("Film 1".to_owned(),);
    let titled =
        Query::<Film>::list("titled").param::<String>("title").fixed("rating", "PG").build().unwrap();
    let (first, second) = (titled.bind(values.clone()), titled.bind(values.clone()));
    assert_eq!(first, second);
    assert_eq!(first.values(), [values.0.value()], "the fixed filter did not join the values");
    assert_ne!(pg.bind(()), r.bind(()));
    for _ in 0..2 {
        assert_eq!(*films.pks(&pg.bind(())).await.unwrap(), [1, 2]);
        assert_eq!(*films.pks(&r.bind(())).await.unwrap(), [3]);
    }
    assert_eq!(shop.repository.queries().len(), 2);
}

/// `only`: a projection is an entity with keys of its own. Neither is served for the other, here or through L2.
#[tokio::test(start_paused = true)]
async fn only_is_a_projection_that_never_answers_for_the_whole_row() {
    let shop = Shop::new(1);
    let narrow_first = shop.node();
    let (films, titles) = (shop.films_of(&narrow_first), shop.titles_of(&narrow_first));
    assert_ne!(films.key_text(1).unwrap(), titles.key_text(1).unwrap());
    assert_eq!(titles.get(1).await.unwrap().unwrap().title, "Film 1");
    assert_eq!(*films.get(1).await.unwrap().unwrap(), film(1), "the whole row");
    assert_eq!(shop.repository.loads(), 2, "each was loaded for itself");
    let wide_first = shop.node();
    let (films, titles) = (shop.films_of(&wide_first), shop.titles_of(&wide_first));
    assert_eq!(*films.get(1).await.unwrap().unwrap(), film(1));
    assert_eq!(titles.get(1).await.unwrap().unwrap().title, "Film 1");
    assert_eq!(shop.repository.loads(), 2, "the second node found both in L2");
    assert_eq!((films.stats().l2.fresh, titles.stats().l2.fresh), (1, 1));
}

/// `only`: invalidating a film drops what was projected of it, in this node's L1 and in L2.
#[tokio::test(start_paused = true)]
async fn only_is_dropped_when_its_row_is_invalidated() {
    let shop = Shop::new(1);
    let node = shop.node();
    let (films, titles) = (shop.films_of(&node), shop.titles_of(&node));
    titles.get(1).await.unwrap();
    shop.repository.put(Film { title: "Renamed".into(), ..film(1) });
    films.invalidate([1]).await.unwrap();
    assert_eq!(titles.get(1).await.unwrap().unwrap().title, "Renamed");
    let elsewhere = shop.titles_of(&shop.node());
    assert_eq!(elsewhere.get(1).await.unwrap().unwrap().title, "Renamed");
}

/// `int_only`: a key in a user's text is parsed strictly before any tier or loader is touched.
#[tokio::test(start_paused = true)]
async fn int_only_is_parse_and_refuses_before_anything_is_asked() {
    let shop = Shop::new(20);
    let films = shop.films();
    let query = Query::<Film>::one("by_id").param::<i32>("film_id").build().unwrap();
    assert_eq!(films.parse_pk("20").unwrap(), 20);
    assert_eq!(query.parse([("film_id", "20")]).unwrap(), query.bind((20,)));
    let untouched = films.stats();
    for text in [":-(", "3.9", " 7 ", "1e3", "", "+7", "007", "7\n", "٧", "0x7", "99999999999"] {
        let refused = [films.parse_pk(text).unwrap_err(), query.parse([("film_id", text)]).unwrap_err()];
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
    assert_eq!(films.stats(), untouched);
    assert_eq!((shop.repository.loads(), shop.repository.queries().len()), (0, 0));
    assert!(films.get(films.parse_pk("20").unwrap()).await.unwrap().is_some());
}

/// `none_on_error`: an absence is `None` from `get` and an error from `require`; both share one cached absence.
#[tokio::test(start_paused = true)]
async fn none_on_error_is_get_or_require_over_one_cached_absence() {
    let shop = Shop::new(1);
    let films = shop.films();
    for _ in 0..2 {
        assert!(films.get(9).await.unwrap().is_none());
        assert_eq!(films.require(9).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(shop.repository.loads(), 1);
    assert_eq!(films.require(1).await.unwrap().film_id, 1);
}

/// `none_on_error` swallowed what the database said. Here it reaches the caller with its cause, and is never cached.
#[tokio::test(start_paused = true)]
async fn none_on_error_never_swallows_or_caches_a_database_error() {
    let shop = Shop::new(2);
    let films = shop.films();
    shop.repository.set_failing(true);
    let down = |error: &Error| {
        assert_eq!(error.kind(), ErrorKind::Origin);
        let cause = error.downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
    };
    down(&films.get(1).await.unwrap_err());
    down(&films.require(1).await.unwrap_err());
    assert_eq!(shop.repository.loads(), 2, "the second call loaded again");
    let batch = films.objects_by_pks([1, 2]).await.unwrap_err();
    down(batch.error());
    assert_eq!(batch.into_outcomes().iter().filter(|outcome| outcome.is_err()).count(), 2);
    down(&films.list(&rated_pg()).await.unwrap_err());
    down(&films.one(&by_title().bind(("Film 1".to_owned(),))).await.unwrap_err());
    assert!(look(&films, Lookup::one(1).never_load()).await.unwrap().is_none(), "nothing is known of it");
    shop.repository.set_failing(false);
    assert!(films.get(1).await.unwrap().is_some(), "no absence was made of the failure");
    assert_eq!(films.list(&rated_pg()).await.unwrap().len(), 2);
}

/// `empty_value` and a cached `None`: a miss and an absence are different kinds.
#[tokio::test(start_paused = true)]
async fn empty_value_is_a_miss_and_cached_none_an_absence() {
    let shop = Shop::new(1);
    let films = shop.films();
    assert!(look(&films, Lookup::one(9).never_load()).await.unwrap().is_none(), "a miss");
    assert!(films.get(9).await.unwrap().is_none());
    for lookup in [Lookup::one(9).never_load(), Lookup::one(9).never_load().skip_l1()] {
        let answer = look(&films, lookup).await.unwrap().unwrap();
        assert!(answer.entry.is_absent(), "a cached fact");
    }
}

/// `empty_value` could be mistaken for a value. Here whatever looks empty comes back from L2 as present.
#[tokio::test(start_paused = true)]
async fn empty_value_is_no_value_whatever_a_value_looks_like() {
    comes_back((), "unit").await;
    comes_back(None::<String>, "none").await;
    comes_back(Some(None::<i32>), "some of none").await;
    comes_back(String::new(), "empty text").await;
    comes_back(Vec::<i32>::new(), "empty list").await;
    comes_back([0u8; 0], "no bytes").await;
    comes_back(false, "false").await;
    comes_back(0u64, "zero").await;
    comes_back(std::collections::BTreeMap::<String, i32>::new(), "empty map").await;
}

/// Loads `value` on one node, and reads it on another whose origin has nothing.
async fn comes_back<V>(value: V, what: &str)
where
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let shop = Shop::new(0);
    let written = rmp_serde::to_vec_named(&value).unwrap();
    for (rows, source) in [(vec![(7, value)], Level::Origin), (vec![], Level::L2)] {
        let counters = Arc::new(Counters::default());
        let stack = Stack::new(
            ServiceBuilder::new()
                .layer(shop.l2_layer::<V>(1, &counters))
                .layer(shop.origin_layer(&counters))
                .service(tower::service_fn(move |_: Vec<i32>| {
                    std::future::ready(Ok::<_, io::Error>(rows.clone()))
                })),
        );
        let answers = stack.ask(Lookup::one(7)).await.unwrap();
        let answer = answers.into_iter().next().unwrap().1.unwrap().unwrap();
        assert_eq!(answer.source, source, "{what}");
        let Entry::Present(back) = answer.entry else { panic!("{what} came back as an absence") };
        assert_eq!(rmp_serde::to_vec_named(&*back).unwrap(), written, "{what}");
    }
}
