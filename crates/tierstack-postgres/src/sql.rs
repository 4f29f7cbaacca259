//! The text of statements. Pure.
//!
//! Names from a declaration go through [`ident`], and data are parameters, a query's limit among them: nothing else reaches
//! SQL. So there are as many texts as shapes of queries, whatever their values and limits.

use std::fmt::Write;

use tierstack_core::{Direction, QueryDef, Schema, Value};

/// A statement, and the column that each of its parameters is compared with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) columns: Vec<String>,
}

/// Which parameters of a query are null: they are compared with `IS NULL`, which is other SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Nulls(u64);

impl Nulls {
    pub(crate) fn of(values: &[Value]) -> Self {
        let places = values.iter().enumerate().filter(|(_, value)| **value == Value::Null);
        Nulls(places.fold(0, |bits, (place, _)| bits | 1 << place))
    }

    fn contain(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// A name as Postgres reads it back unchanged, whatever is in it.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The rows with the keys that `filter`, a condition on the key's columns, lets through.
pub(crate) fn rows(schema: &Schema, filter: impl FnOnce(&[String]) -> String) -> Sql {
    let columns = schema.columns.iter().map(|column| {
        let name = ident(&column.name);
        // A cast would be named after the type in some versions of Postgres, and rows are read by name.
        column.cast.as_ref().map_or(name.clone(), |cast| format!("{name}::{} AS {name}", ident(cast)))
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let text = format!("SELECT {columns} FROM {} WHERE {}", table(schema), filter(&key(schema)));
    Sql { text, columns: schema.pk.iter().map(ToString::to_string).collect() }
}

/// The primary keys that one query answers with. Its parameters: the values, those of the fixed filters, and the most rows
/// wanted; of a query for one row these are two, so that a second one shows.
pub(crate) fn query(schema: &Schema, def: &QueryDef, nulls: Nulls) -> Sql {
    let params = def.params().enumerate().map(|(place, column)| (column, nulls.contain(place)));
    let filters = params.chain(def.fixed().map(|(column, value)| (column, *value == Value::Null)));
    let mut text = format!("SELECT {} FROM {}", key(schema).join(", "), table(schema));
    let mut columns = Vec::new();
    for (place, (column, null)) in filters.enumerate() {
        text.push_str(if place == 0 { " WHERE " } else { " AND " });
        equals(&mut text, &mut columns, column, null);
    }
    for (place, (column, direction)) in def.order_by().enumerate() {
        let direction = match direction {
            Direction::Ascending => "",
            Direction::Descending => " DESC",
        };
        let before = if place == 0 { " ORDER BY " } else { ", " };
        push(&mut text, format_args!("{before}{}{direction}", ident(column)));
    }
    push(&mut text, format_args!(" LIMIT ${}", columns.len() + 1));
    Sql { text, columns }
}

/// The value and the primary key of every row whose secondary key is among many. Its parameters: the values, those of
/// the fixed filters, and the most rows wanted.
pub(crate) fn secondary(schema: &Schema, def: &QueryDef) -> Sql {
    let by = def.params().next().unwrap_or_default();
    let column = ident(by);
    let keys = key(schema).join(", ");
    let mut text = format!("SELECT {column}, {keys} FROM {} WHERE {column} = ANY($1)", table(schema));
    let mut columns = vec![by.to_owned()];
    for (column, value) in def.fixed() {
        text.push_str(" AND ");
        equals(&mut text, &mut columns, column, *value == Value::Null);
    }
    push(&mut text, format_args!(" LIMIT ${}", columns.len() + 1));
    Sql { text, columns }
}

fn equals(text: &mut String, columns: &mut Vec<String>, column: &str, null: bool) {
    if null {
        push(text, format_args!("{} IS NULL", ident(column)));
    } else {
        columns.push(column.to_owned());
        push(text, format_args!("{} = ${}", ident(column), columns.len()));
    }
}

fn table(schema: &Schema) -> String {
    let table = ident(&schema.table);
    schema.in_schema.as_ref().map_or(table.clone(), |outer| format!("{}.{table}", ident(outer)))
}

fn key(schema: &Schema) -> Vec<String> {
    schema.pk.iter().map(|column| ident(column)).collect()
}

/// Appends to a string, which can't fail.
fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use tierstack_core::{Entity, Query};

    use super::*;
    use crate::key::PgRowKey;

    #[derive(Serialize, Deserialize)]
    struct Film;

    impl Entity for Film {
        type Pk = i32;
        fn schema() -> Schema {
            Schema::table("film")
                .in_schema("public")
                .pk(["film_id"])
                .columns(["film_id", "title"])
                .column_as("rating", "text")
        }
        fn pk(&self) -> i32 {
            0
        }
    }

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        for (name, quoted) in [
            ("film", r#""film""#),
            ("Film", r#""Film""#),
            ("select", r#""select""#),
            (r#""; DROP TABLE x; --"#, r#""""; DROP TABLE x; --""#),
            (r#"a"b"#, r#""a""b""#),
            (r#"""#, r#""""""#),
            (r#"""""#, r#""""""""""#),
            (r"a\", r#""a\""#),
            ("$1", r#""$1""#),
            ("it's", r#""it's""#),
            ("a b\n", "\"a b\n\""),
            ("bıgınt", r#""bıgınt""#),
            ("电影", r#""电影""#),
        ] {
            assert_eq!(ident(name), quoted, "{name}");
        }
    }

    #[test]
    fn rows_are_selected_by_their_keys() {
        let sql = rows(&Film::schema(), i32::filter);
        assert_eq!(
            sql.text,
            r#"SELECT "film_id", "title", "rating"::"text" AS "rating" FROM "public"."film" WHERE "film_id" = ANY($1::int4[])"#
        );
        assert_eq!(sql.columns, ["film_id"]);
        let hostile = Schema::table(r#"t"; DROP TABLE x; --"#)
            .in_schema(r#"s""#)
            .pk([r#"k""#, "é"])
            .column_as(r#"c""#, r#"text"; --"#);
        assert_eq!(
            rows(&hostile, <(i16, String)>::filter).text,
            concat!(
                r#"SELECT "c"""::"text""; --" AS "c""" FROM "s"""."t""; DROP TABLE x; --" "#,
                r#"WHERE ("k""", "é") IN (SELECT * FROM unnest($1::int2[], $2::text[]))"#
            )
        );
    }

    #[test]
    fn queries_are_selected_by_their_filters() {
        let list = || Query::<Film>::list("list");
        let one = || Query::<Film>::one("one");
        let null = Nulls::of(&[Value::Null]);
        let first = r#"SELECT "film_id" FROM "public"."film""#;
        let cases = [
            (list().build().unwrap().def(), Nulls::default(), " LIMIT $1", &[][..]),
            (one().build().unwrap().def(), Nulls::default(), " LIMIT $1", &[]),
            (
                list().param::<String>("rating").param::<i16>("length").limit(3).build().unwrap().def(),
                Nulls::default(),
                r#" WHERE "rating" = $1 AND "length" = $2 LIMIT $3"#,
                &["rating", "length"],
            ),
            (
                list().param::<Option<i16>>("a").param::<i16>("b").limit(3).build().unwrap().def(),
                null,
                r#" WHERE "a" IS NULL AND "b" = $1 LIMIT $2"#,
                &["b"],
            ),
            (
                one().param::<i16>("a").fixed("b", 1).fixed("c", Value::Null).build().unwrap().def(),
                Nulls::default(),
                r#" WHERE "a" = $1 AND "b" = $2 AND "c" IS NULL LIMIT $3"#,
                &["a", "b"],
            ),
            (
                list().order_by("a").order_by_descending(r#"b" ASC; --"#).limit(1).build().unwrap().def(),
                Nulls::default(),
                r#" ORDER BY "a", "b"" ASC; --" DESC LIMIT $1"#,
                &[],
            ),
        ]
        .map(|(def, nulls, text, columns)| (query(&Film::schema(), def, nulls), text, columns));
        for (sql, text, columns) in cases {
            assert_eq!(sql.text, format!("{first}{text}"));
            assert_eq!(sql.columns, columns, "{text}");
        }
    }

    #[test]
    fn secondary_keys_are_selected_together() {
        let by_slug = Query::<Film>::one("by_slug")
            .param::<String>(r#"slug""#)
            .fixed("shop", 7)
            .fixed("gone", Value::Null)
            .build()
            .unwrap();
        let sql = secondary(&Film::schema(), by_slug.def());
        assert_eq!(
            sql.text,
            concat!(
                r#"SELECT "slug""", "film_id" FROM "public"."film" "#,
                r#"WHERE "slug""" = ANY($1) AND "shop" = $2 AND "gone" IS NULL LIMIT $3"#
            )
        );
        assert_eq!(sql.columns, [r#"slug""#, "shop"]);
    }
}
