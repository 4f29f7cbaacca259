//! Primary keys: the condition that selects by many of them, and how they are read.

use tierstack_core::{BoxError, RowKey, RowKeyPart, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::bind::{Bind, Found, Param};

/// A primary key in Postgres: `i16`, `i32`, `i64`, [`String`], [`Uuid`], or a tuple of two or three of them.
///
/// * An integer finds its row in any column of whole numbers, wider or narrower than itself.
/// * Text finds its row in `text`, `varchar`, `citext` and enum columns, also in domains over them. A text with a NUL,
///   which Postgres can't hold, has no row. In a composite key the columns are compared as `text`, so an index on a
///   `citext` or enum column there is of no use.
/// * A key finds exactly the row whose own key is equal to it in Rust: case counts, in a `citext` column too.
///
/// Any other type is refused by the compiler:
///
/// ```compile_fail,E0277
/// # fn is_key<K: tierstack_postgres::PgKey>() {}
/// is_key::<u32>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a primary key in Postgres",
    label = "no Postgres key",
    note = "take i16, i32, i64, String, Uuid, or a tuple of 2 or 3 of them, as `Entity::Pk`; an unsigned key is read into the next wider signed one"
)]
pub trait PgKey: PgRowKey {}

/// What the loaders need of a key.
pub trait PgRowKey: RowKey {
    /// The condition on its columns, which are quoted.
    fn filter(columns: &[String]) -> String;
    /// The parameters of the condition.
    fn params(keys: &[Self]) -> Vec<Param<'_>>;
    /// Reads it from the columns that begin at `first`.
    ///
    /// # Errors
    /// When one of them doesn't hold such a key, naming it.
    fn read_row(row: &Row, first: usize) -> Result<Self, BoxError>;
}

/// One column of a key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a part of a primary key in Postgres",
    label = "no Postgres key",
    note = "take i16, i32, i64, String or Uuid for each field of `Entity::Pk`"
)]
pub trait Part: RowKeyPart {
    /// Its type's name in SQL.
    const TYPE: &'static str;
    /// The parameter for a column of them, cast to their type.
    fn cast_param<'a>(parts: impl Iterator<Item = &'a Self>) -> Param<'a>;
    /// It, if the value is one.
    fn from_value(value: Value) -> Option<Self>;
    /// What compares it with many, when it is the whole key.
    const ANY: &'static str;
    /// The parameter of that.
    fn any_param<'a>(parts: impl Iterator<Item = &'a Self>) -> Param<'a> {
        Self::cast_param(parts)
    }
}

macro_rules! integer_part {
    ($($int:ty = $name:literal),*) => {$(impl Part for $int {
        const TYPE: &'static str = $name;
        // Cast to the key's width, not the column's: a key that the column can't hold fails no batch.
        const ANY: &'static str = concat!("ANY($1::", $name, "[])");
        fn cast_param<'a>(parts: impl Iterator<Item = &'a Self>) -> Param<'a> {
            Param::Cast(Box::new(parts.copied().collect::<Vec<$int>>()))
        }
        fn from_value(value: Value) -> Option<Self> {
            if let Value::Int(number) = value { number.try_into().ok() } else { None }
        }
    })*};
}
integer_part!(i16 = "int2", i32 = "int4", i64 = "int8");

impl Part for String {
    const TYPE: &'static str = "text";
    // Not cast: so it takes the column's type, and the column's index serves.
    const ANY: &'static str = "ANY($1)";
    fn cast_param<'a>(parts: impl Iterator<Item = &'a Self>) -> Param<'a> {
        Self::any_param(parts)
    }
    fn any_param<'a>(parts: impl Iterator<Item = &'a Self>) -> Param<'a> {
        Param::Many(parts.map(|part| Bind::Text(part)).collect())
    }
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text.as_ref().to_owned()) } else { None }
    }
}

impl Part for Uuid {
    const TYPE: &'static str = "uuid";
    const ANY: &'static str = "ANY($1::uuid[])";
    fn cast_param<'a>(parts: impl Iterator<Item = &'a Self>) -> Param<'a> {
        Param::Cast(Box::new(parts.copied().collect::<Vec<Uuid>>()))
    }
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Uuid(uuid) = value { Some(uuid) } else { None }
    }
}

fn read_part<P: Part>(row: &Row, place: usize) -> Result<P, BoxError> {
    let value = row.try_get::<_, Found>(place)?.0;
    P::from_value(value).ok_or_else(|| {
        let column = &row.columns()[place];
        let key = std::any::type_name::<P>();
        format!("{:?} of type {} holds what is no {key}", column.name(), column.type_()).into()
    })
}

macro_rules! key_of_one {
    ($($part:ty),*) => {$(
        impl PgKey for $part {}
        impl PgRowKey for $part {
            fn filter(columns: &[String]) -> String {
                format!("{} = {}", columns.join(", "), <$part as Part>::ANY)
            }
            fn params(keys: &[Self]) -> Vec<Param<'_>> {
                vec![<$part as Part>::any_param(keys.iter())]
            }
            fn read_row(row: &Row, first: usize) -> Result<Self, BoxError> {
                read_part(row, first)
            }
        }
    )*};
}
key_of_one!(i16, i32, i64, String, Uuid);

macro_rules! key_of_several {
    ($($part:ident . $place:tt),*) => {
        impl<$($part: Part),*> PgKey for ($($part,)*) {}
        impl<$($part: Part),*> PgRowKey for ($($part,)*) {
            fn filter(columns: &[String]) -> String {
                let arrays = [$(format!("${}::{}[]", $place + 1, $part::TYPE)),*].join(", ");
                format!("({}) IN (SELECT * FROM unnest({arrays}))", columns.join(", "))
            }
            fn params(keys: &[Self]) -> Vec<Param<'_>> {
                vec![$(<$part as Part>::cast_param(keys.iter().map(|key| &key.$place))),*]
            }
            fn read_row(row: &Row, first: usize) -> Result<Self, BoxError> {
                Ok(($(read_part(row, first + $place)?,)*))
            }
        }
    };
}
key_of_several!(A.0, B.1);
key_of_several!(A.0, B.1, C.2);
