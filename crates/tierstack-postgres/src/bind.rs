//! Values on their way to Postgres and back, in the type that the column has.

use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use tierstack_core::Value;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// How values of a column travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Int2,
    Int4,
    Int8,
    Oid,
    Text,
    Uuid,
    Bool,
}

impl Shape {
    fn of(column: &Type) -> Option<Shape> {
        Some(match *column {
            Type::INT2 => Shape::Int2,
            Type::INT4 => Shape::Int4,
            Type::INT8 => Shape::Int8,
            Type::OID => Shape::Oid,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Shape::Text,
            Type::UUID => Shape::Uuid,
            Type::BOOL => Shape::Bool,
            _ => match column.kind() {
                Kind::Domain(inner) => return Shape::of(inner),
                Kind::Enum(_) => Shape::Text,
                _ if is_citext(column) => Shape::Text,
                _ => return None,
            },
        })
    }
}

/// Whether two texts of the type that differ in case alone are equal.
pub(crate) fn ignores_case(column: &Type) -> bool {
    match column.kind() {
        Kind::Domain(inner) => ignores_case(inner),
        _ => is_citext(column),
    }
}

/// Whether two values of the type are equal to Postgres exactly if they are equal to Rust. `char(n)` knows no trailing
/// spaces.
pub(crate) fn compares_exactly(column: &Type) -> bool {
    match column.kind() {
        Kind::Domain(inner) => compares_exactly(inner),
        _ => *column != Type::BPCHAR && !is_citext(column),
    }
}

/// An extension's type has another number in each database.
fn is_citext(column: &Type) -> bool {
    column.name() == "citext"
}

/// Whether a value can be compared with a column of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    Fits,
    /// It is of the right kind, but no column of that type can hold it: it equals nothing.
    Beyond,
    Wrong,
}

/// A value as a parameter. One that no column of the type can hold goes as null, which equals nothing.
#[derive(Clone, Copy, Debug)]
pub enum Bind<'a> {
    Value(&'a Value),
    Text(&'a str),
}

/// What goes over the wire.
enum Wire<'a> {
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Oid(u32),
    Text(&'a str),
    Uuid(Uuid),
    Bool(bool),
    Null,
    Beyond,
}

impl<'a> Bind<'a> {
    pub(crate) fn fit(self, column: &Type) -> Fit {
        match self.wire(column) {
            None => Fit::Wrong,
            Some(Wire::Beyond) => Fit::Beyond,
            Some(_) => Fit::Fits,
        }
    }

    /// Its type, for an error.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Bind::Text(_) | Bind::Value(Value::Text(_)) => "text",
            Bind::Value(Value::Null) => "null",
            Bind::Value(Value::Int(_)) => "an integer",
            Bind::Value(Value::Uuid(_)) => "a uuid",
            Bind::Value(Value::Bool(_)) => "a bool",
            Bind::Value(_) => "of a type that is unknown here",
        }
    }

    fn wire(self, column: &Type) -> Option<Wire<'a>> {
        let shape = Shape::of(column)?;
        let value = match self {
            Bind::Text(text) => return (shape == Shape::Text).then(|| text_wire(text)),
            Bind::Value(value) => value,
        };
        Some(match (value, shape) {
            (Value::Null, _) => Wire::Null,
            (Value::Int(n), Shape::Int2) => i16::try_from(*n).map_or(Wire::Beyond, Wire::Int2),
            (Value::Int(n), Shape::Int4) => i32::try_from(*n).map_or(Wire::Beyond, Wire::Int4),
            (Value::Int(n), Shape::Int8) => i64::try_from(*n).map_or(Wire::Beyond, Wire::Int8),
            (Value::Int(n), Shape::Oid) => u32::try_from(*n).map_or(Wire::Beyond, Wire::Oid),
            (Value::Text(text), Shape::Text) => text_wire(text),
            (Value::Uuid(uuid), Shape::Uuid) => Wire::Uuid(*uuid),
            (Value::Bool(truth), Shape::Bool) => Wire::Bool(*truth),
            _ => return None,
        })
    }
}

/// Postgres refuses a NUL in any text, so no column holds one.
fn text_wire(text: &str) -> Wire<'_> {
    if text.contains('\0') { Wire::Beyond } else { Wire::Text(text) }
}

impl ToSql for Bind<'_> {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let wire = self.wire(column).ok_or_else(|| format!("{} for a {column}", self.type_name()))?;
        match wire {
            Wire::Null | Wire::Beyond => return Ok(IsNull::Yes),
            Wire::Int2(number) => out.put_i16(number),
            Wire::Int4(number) => out.put_i32(number),
            Wire::Int8(number) => out.put_i64(number),
            Wire::Oid(number) => out.put_u32(number),
            Wire::Text(text) => out.put_slice(text.as_bytes()),
            Wire::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
            Wire::Bool(truth) => out.put_u8(truth.into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(column: &Type) -> bool {
        Shape::of(column).is_some()
    }

    to_sql_checked!();
}

/// A parameter of a statement.
#[derive(Debug)]
pub enum Param<'a> {
    One(Bind<'a>),
    Many(Vec<Bind<'a>>),
    /// Of a type that the statement casts it to.
    Cast(Box<dyn ToSql + Sync + Send + 'a>),
}

impl Param<'_> {
    pub(crate) fn fit(&self, column: &Type) -> Fit {
        match (self, column.kind()) {
            (Param::Cast(_), _) => Fit::Fits,
            (Param::One(bind), _) => bind.fit(column),
            (Param::Many(binds), Kind::Array(member)) => {
                binds.iter().map(|bind| bind.fit(member)).max().unwrap_or(Fit::Fits)
            }
            (Param::Many(_), _) => Fit::Wrong,
        }
    }

    /// Its type, for an error.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Param::One(bind) => bind.type_name(),
            Param::Many(binds) => binds.first().map_or("nothing", |bind| bind.type_name()),
            Param::Cast(_) => "of the key's type",
        }
    }

    pub(crate) fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Param::One(bind) => bind,
            Param::Many(binds) => binds,
            Param::Cast(param) => &**param,
        }
    }
}

/// A value that was read from a column.
#[derive(Debug)]
pub(crate) struct Found(pub(crate) Value);

impl<'a> FromSql<'a> for Found {
    fn from_sql(column: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let shape = Shape::of(column).ok_or("a type that is no key's")?;
        Ok(Found(match shape {
            Shape::Int2 => i16::from_sql(column, raw)?.into(),
            Shape::Int4 => i32::from_sql(column, raw)?.into(),
            Shape::Int8 => i64::from_sql(column, raw)?.into(),
            Shape::Oid => u32::from_sql(column, raw)?.into(),
            Shape::Text => std::str::from_utf8(raw)?.into(),
            Shape::Uuid => Uuid::from_sql(column, raw)?.into(),
            Shape::Bool => bool::from_sql(column, raw)?.into(),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Found(Value::Null))
    }

    fn accepts(column: &Type) -> bool {
        Shape::of(column).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_the_columns_that_can_hold_it() {
        let mood = Type::new("mood".into(), 1, Kind::Enum(vec!["ok".into()]), "public".into());
        let year = Type::new("year".into(), 2, Kind::Domain(Type::INT4), "public".into());
        let citext = Type::new("citext".into(), 3, Kind::Simple, "public".into());
        let int = |n: i128| Value::Int(n);
        for (value, column, fit) in [
            (int(32767), Type::INT2, Fit::Fits),
            (int(32768), Type::INT2, Fit::Beyond),
            (int(-32769), Type::INT2, Fit::Beyond),
            (int(1 << 31), Type::INT4, Fit::Beyond),
            (int(1 << 31), Type::INT8, Fit::Fits),
            (int(u64::MAX.into()), Type::INT8, Fit::Beyond),
            (int(u32::MAX.into()), Type::OID, Fit::Fits),
            (int(-1), Type::OID, Fit::Beyond),
            (int(1 << 31), year.clone(), Fit::Beyond),
            (int(1), Type::TEXT, Fit::Wrong),
            (int(1), Type::NUMERIC, Fit::Wrong),
            (int(1), Type::BOOL, Fit::Wrong),
            ("a".into(), Type::TEXT, Fit::Fits),
            ("a\0".into(), Type::TEXT, Fit::Beyond),
            ("a".into(), Type::VARCHAR, Fit::Fits),
            ("a".into(), Type::BPCHAR, Fit::Fits),
            ("a".into(), Type::NAME, Fit::Fits),
            ("a".into(), citext, Fit::Fits),
            // Postgres knows the labels of today, we those of the time when the statement was prepared.
            ("glum".into(), mood, Fit::Fits),
            ("1".into(), Type::INT4, Fit::Wrong),
            (Uuid::nil().into(), Type::UUID, Fit::Fits),
            (Uuid::nil().into(), Type::TEXT, Fit::Wrong),
            (true.into(), Type::BOOL, Fit::Fits),
            (Value::Null, Type::BOOL, Fit::Fits),
        ] {
            assert_eq!(Bind::Value(&value).fit(&column), fit, "{value:?} {column}");
        }
    }

    #[test]
    fn what_no_column_can_hold_goes_as_null() {
        let mut out = BytesMut::new();
        let beyond = Value::Int(1 << 40);
        assert!(matches!(Bind::Value(&beyond).to_sql(&Type::INT4, &mut out), Ok(IsNull::Yes)));
        assert!(matches!(Bind::Text("\0").to_sql(&Type::TEXT, &mut out), Ok(IsNull::Yes)));
        assert!(out.is_empty());
        assert!(matches!(Bind::Value(&beyond).to_sql(&Type::INT8, &mut out), Ok(IsNull::No)));
        assert_eq!(out.len(), 8);
    }

    #[test]
    fn the_worst_element_is_the_arrays_fit() {
        let (small, large) = (Value::Int(1), Value::Int(1 << 40));
        let many = Param::Many(vec![Bind::Value(&large), Bind::Value(&small)]);
        assert_eq!(many.fit(&Type::INT4_ARRAY), Fit::Beyond);
        assert_eq!(many.fit(&Type::INT8_ARRAY), Fit::Fits);
        assert_eq!(many.fit(&Type::TEXT_ARRAY), Fit::Wrong);
        assert_eq!(many.fit(&Type::INT4), Fit::Wrong);
    }
}
