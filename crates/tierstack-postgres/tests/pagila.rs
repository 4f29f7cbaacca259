//! The whole path, from a cache's handle to the rows of a database that others made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod support;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use support::{Database, uncached};
use tierstack_core::{BoxError, Entity, ErrorKind, L1, Namespace, Query, Schema, Value};
use tierstack_postgres::tokio_postgres::Row;
use tierstack_postgres::tokio_postgres::error::SqlState;
use tierstack_postgres::{FromRow, PgOrigin, tokio_postgres};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Film {
    film_id: i32,
    title: String,
    length: Option<i16>,
    rating: String,
    rental_rate: f64,
}

impl Entity for Film {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("film")
            .pk(["film_id"])
            .columns(["film_id", "title", "length"])
            .column_as("rating", "text")
            .column_as("rental_rate", "float8")
    }
    fn pk(&self) -> i32 {
        self.film_id
    }
}

impl FromRow for Film {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Film {
            film_id: row.try_get("film_id")?,
            title: row.try_get("title")?,
            length: row.try_get("length")?,
            rating: row.try_get("rating")?,
            rental_rate: row.try_get("rental_rate")?,
        })
    }
}

/// The titles alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Title(i32, String);

impl Entity for Title {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("film").projection("title").pk(["film_id"]).columns(["film_id", "title"])
    }
    fn pk(&self) -> i32 {
        self.0
    }
}

impl FromRow for Title {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Title(row.try_get("film_id")?, row.try_get("title")?))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FilmActor {
    actor_id: i32,
    film_id: i32,
}

impl Entity for FilmActor {
    // Wider than its second column, on purpose.
    type Pk = (i32, i64);
    fn schema() -> Schema {
        Schema::table("film_actor")
            .in_schema("public")
            .pk(["actor_id", "film_id"])
            .columns(["actor_id", "film_id"])
    }
    fn pk(&self) -> (i32, i64) {
        (self.actor_id, self.film_id.into())
    }
}

impl FromRow for FilmActor {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(FilmActor { actor_id: row.try_get("actor_id")?, film_id: row.try_get("film_id")? })
    }
}

fn by_rating() -> Query<Film, (String,)> {
    Query::list("by_rating").param::<String>("rating").order_by("film_id").build().unwrap()
}

fn by_title() -> Query<Film, (String,)> {
    Query::one("by_title").param::<String>("title").build().unwrap()
}

/// Proves the promise of the first page: one namespace, rows and queries and a projection out of one pool.
#[tokio::test]
async fn a_cache_is_filled_from_postgres() {
    let pagila = Database::pagila();
    let pool = pagila.pool(4);
    let shop = Namespace::builder("t").build().unwrap();
    let films =
        shop.cache::<Film>().l1(L1::capacity(10_000)).origin(PgOrigin::new(pool.clone())).build().unwrap();
    let titles =
        shop.cache::<Title>().l1(L1::capacity(10)).origin(PgOrigin::new(pool.clone())).build().unwrap();

    let found = films.objects_by_pks([3, 1, 2, 3, 5000]).await.unwrap();
    let ids: Vec<_> = found.iter().map(|film| film.as_ref().map(|film| film.film_id)).collect();
    assert_eq!(ids, [Some(3), Some(1), Some(2), Some(3), None]);
    let first = films.require(1).await.unwrap();
    let expected = Film {
        film_id: 1,
        title: "ACADEMY DINOSAUR".into(),
        length: Some(86),
        rating: "PG".into(),
        rental_rate: 0.99,
    };
    assert_eq!(*first, expected);

    let listed = films.list(&by_rating().bind(("PG".into(),))).await.unwrap();
    let asked = pagila.psql("select film_id from film where rating = 'PG' order by film_id");
    let listed: Vec<String> = listed.iter().map(|film| film.film_id.to_string()).collect();
    assert_eq!(listed, asked.lines().collect::<Vec<_>>());

    let one = films.one(&by_title().bind(("ACADEMY DINOSAUR".into(),))).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&one, &first), "one copy of a row in L1");
    assert!(films.one(&by_title().bind(("ACADEMY".into(),))).await.unwrap().is_none());
    let names = ["ZORRO ARK", "no such film", "ACADEMY DINOSAUR", "ZORRO ARK"];
    let by_names = films.objects_by(&by_title(), names).await.unwrap();
    let ids: Vec<_> = by_names.iter().map(|film| film.as_ref().map(|film| film.film_id)).collect();
    assert_eq!(ids, [Some(1000), None, Some(1), Some(1000)]);

    assert_eq!(titles.require(1000).await.unwrap().1, "ZORRO ARK");
}

/// Proves that a batch is one statement, whatever the order, and that absent keys are absent.
#[tokio::test]
async fn a_thousand_keys_are_one_statement() {
    let pagila = Database::pagila();
    let pool = pagila.pool(4);
    let films = uncached::<Film>(&pool);
    pagila.reset_statements();
    let keys = (501..=1500).rev();
    let found = films.objects_by_pks(keys.clone()).await.unwrap();
    assert_eq!(pagila.statements("FROM \"film\""), 1);
    for (key, film) in keys.zip(found) {
        assert_eq!(film.map(|film| film.film_id), (key <= 1000).then_some(key));
    }
}

/// Proves the same for a secondary key: its values are found in one statement, and so are the rows.
#[tokio::test]
async fn many_secondary_keys_are_one_statement() {
    let pagila = Database::pagila();
    let films = uncached::<Film>(&pagila.pool(4));
    let titles = pagila.psql("select title from film order by film_id desc");
    let titles: Vec<&str> = titles.lines().take(999).collect();
    pagila.reset_statements();
    let found = films.objects_by(&by_title(), titles.iter().copied().chain(["none"])).await.unwrap();
    assert_eq!(pagila.statements("SELECT \"title\", \"film_id\" FROM \"film\""), 1);
    assert_eq!(pagila.statements("FROM \"film\""), 2, "keys, then rows");
    assert!(found.last().unwrap().is_none());
    for (title, film) in titles.iter().zip(&found) {
        assert_eq!(film.as_ref().unwrap().title, *title);
    }
}

/// Proves that a key of two columns finds its rows through the index, in one statement.
#[tokio::test]
async fn composite_keys_go_together() {
    let pagila = Database::pagila();
    let actors = uncached::<FilmActor>(&pagila.pool(4));
    let all = pagila.psql("select actor_id, film_id from film_actor order by film_id limit 900");
    let mut keys: Vec<(i32, i64)> = all
        .lines()
        .map(|line| line.split_once('|').unwrap())
        .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()))
        .collect();
    // Each half exists, the pair doesn't; and a number that the column can't hold.
    keys.extend([(1, 2), (1, 1 << 40), (-1, -1)]);
    pagila.reset_statements();
    let found = actors.objects_by_pks(keys.clone()).await.unwrap();
    assert_eq!(pagila.statements("film_actor"), 1);
    assert_eq!(found.iter().flatten().count(), 900);
    assert!(found[900..].iter().all(Option::is_none));
    for (key, row) in keys.iter().zip(found.iter().flatten()) {
        assert_eq!(row.pk(), *key);
    }
}

/// Proves that all parts of a list query reach Postgres, each with its meaning.
#[tokio::test]
async fn lists_are_filtered_sorted_and_cut() {
    let pagila = Database::pagila();
    pagila.psql("update film set length = null where film_id in (7, 9, 8); update film set original_language_id = 2 where film_id = 9");
    let films = uncached::<Film>(&pagila.pool(4));
    let base = || Query::<Film>::list("q");
    let ids =
        |sql: &str| -> Vec<i32> { pagila.psql(sql).lines().map(|line| line.parse().unwrap()).collect() };

    let query = base()
        .param::<String>("rating")
        .param::<Option<i16>>("length")
        .fixed("language_id", 1)
        .order_by_descending("title")
        .limit(7)
        .build()
        .unwrap();
    let cases = [
        (
            query.bind(("PG".into(), Some(86))),
            "rating = 'PG' and length = 86 and language_id = 1 order by title desc limit 7",
        ),
        (
            query.bind(("PG".into(), None)),
            "rating = 'PG' and length is null and language_id = 1 order by title desc limit 7",
        ),
        (
            base()
                .fixed("length", Value::Null)
                .fixed("original_language_id", Value::Null)
                .order_by("film_id")
                .build()
                .unwrap()
                .bind(()),
            "length is null and original_language_id is null order by film_id",
        ),
        (
            base()
                .param::<i64>("rental_duration")
                .order_by("length")
                .order_by_descending("film_id")
                .limit(50)
                .build()
                .unwrap()
                .bind((3,)),
            "rental_duration = 3 order by length, film_id desc limit 50",
        ),
        (base().order_by("film_id").build().unwrap().bind(()), "true order by film_id limit 10000"),
        // Beyond the range of a smallint, an integer and a bigint: an empty list, and no error.
        (base().param::<i64>("length").build().unwrap().bind((40_000,)), "false"),
        (base().param::<i64>("film_id").build().unwrap().bind((1 << 40,)), "false"),
        (base().param::<u64>("film_id").build().unwrap().bind((u64::MAX,)), "false"),
        (base().fixed("film_id", u64::MAX).build().unwrap().bind(()), "false"),
    ];
    for (query, filter) in cases {
        let found: Vec<i32> = films.pks(&query).await.unwrap().to_vec();
        assert_eq!(found, ids(&format!("select film_id from film where {filter}")), "{query:?}");
    }
    let no_length = base().param::<Option<i16>>("length").build().unwrap();
    assert_eq!(films.pks(&no_length.bind((None,))).await.unwrap().len(), 3);
}

/// Proves that one() finds one row, none, or its error, by any number of fields, alone and among others.
#[tokio::test]
async fn one_row_is_one_row() {
    let pagila = Database::pagila();
    pagila.psql("update film set title = 'TWIN' where film_id in (5, 6); update film set length = null where film_id = 7");
    let films = uncached::<Film>(&pagila.pool(4));

    let error = films.one(&by_title().bind(("TWIN".into(),))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader, "{error}");
    let names = ["TWIN", "ZORRO ARK", "none"];
    let outcomes = films.objects_by(&by_title(), names).await.unwrap_err().into_outcomes();
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Loader);
    assert_eq!(outcomes[1].as_ref().unwrap().as_ref().unwrap().film_id, 1000);
    assert!(outcomes[2].as_ref().unwrap().is_none());

    let by_two =
        Query::<Film>::one("two").param::<i32>("language_id").param::<String>("title").build().unwrap();
    assert_eq!(films.one(&by_two.bind((1, "ZORRO ARK".into()))).await.unwrap().unwrap().film_id, 1000);
    assert!(films.one(&by_two.bind((2, "ZORRO ARK".into()))).await.unwrap().is_none());
    assert_eq!(films.one(&by_two.bind((1, "TWIN".into()))).await.unwrap_err().kind(), ErrorKind::Loader);

    let by_length = Query::<Film>::one("length").param::<Option<i64>>("length").build().unwrap();
    assert_eq!(films.one(&by_length.bind((None,))).await.unwrap().unwrap().film_id, 7, "null by IS NULL");
    let values = [None, Some(1 << 40), Some(-1)];
    let found = films.objects_by(&by_length, values).await.unwrap();
    let ids: Vec<_> = found.iter().map(|film| film.as_ref().map(|film| film.film_id)).collect();
    assert_eq!(ids, [Some(7), None, None]);
}

/// Proves that a column with a few values, taken for a unique one, costs a few rows and not the table.
#[tokio::test]
async fn a_secondary_key_that_is_not_unique_floods_nobody() {
    let pagila = Database::pagila();
    let films = uncached::<Film>(&pagila.pool(4));
    pagila.reset_statements();
    let by_rating = Query::<Film>::one("rating").param::<String>("rating").build().unwrap();
    let outcomes = films.objects_by(&by_rating, ["PG", "R", "NC-17"]).await.unwrap_err().into_outcomes();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().kind() == ErrorKind::Loader));
    let rows = pagila.psql(
        "select sum(rows) from pg_stat_statements s join pg_database d on d.oid = s.dbid
         where d.datname = current_database() and query like 'SELECT%\"film_id\" FROM \"film\"%'",
    );
    assert!(rows.parse::<u32>().unwrap() <= 10, "{rows}");
}

/// Proves that Postgres's refusal of a value is the origin's error, with Postgres's own below it, and never an absence.
#[tokio::test]
async fn a_label_that_the_enum_lacks_is_an_error() {
    let pagila = Database::pagila();
    let films = uncached::<Film>(&pagila.pool(4));
    let error = films.list(&by_rating().bind(("BOGUS".into(),))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    let source = error.downcast_ref::<tokio_postgres::Error>().unwrap();
    assert_eq!(source.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
    assert!(error.to_string().contains("mpaa_rating") && error.to_string().contains("film"), "{error}");
    // A new label is known at once, to a statement that was prepared before it.
    pagila.psql("alter type mpaa_rating add value 'BOGUS'");
    assert!(films.list(&by_rating().bind(("BOGUS".into(),))).await.unwrap().is_empty());
}

/// Proves that a parameter of another type than its column is an error that names both.
#[tokio::test]
async fn a_parameter_of_the_wrong_type_names_both_types() {
    let pagila = Database::pagila();
    let films = uncached::<Film>(&pagila.pool(4));
    let query = Query::<Film>::list("q").fixed("language_id", 1).param::<i32>("rental_rate").build().unwrap();
    let error = films.list(&query.bind((1,))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for word in ["rental_rate", "film", "numeric", "an integer"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let query = Query::<Film>::one("q").param::<String>("film_id").build().unwrap();
    let error = films.one(&query.bind(("1".into(),))).await.unwrap_err();
    assert!(error.to_string().contains("int4") && error.to_string().contains("text"), "{error}");
}
