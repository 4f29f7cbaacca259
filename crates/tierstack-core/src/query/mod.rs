//! Queries: a list of rows, or one row, by any typed fields. Cached as primary keys, hydrated by `objects_by_pks`.
//!
//! A query is declared once and checked then; binding values to it can't fail.
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use tierstack_core::{Entity, Query, Schema};
//! # #[derive(Serialize, Deserialize)] struct Film { film_id: i32 }
//! # impl Entity for Film {
//! #     type Pk = i32;
//! #     fn schema() -> Schema { Schema::table("film").pk(["film_id"]).columns(["film_id"]) }
//! #     fn pk(&self) -> i32 { self.film_id }
//! # }
//! let by_rating = Query::<Film>::list("by_rating")
//!     .param::<String>("rating")
//!     .param::<i16>("length")
//!     .fixed("language_id", 1)
//!     .key("rating={rating}:length={length}")
//!     .order_by("film_id")
//!     .build()?;
//! let pg = by_rating.bind(("PG".to_owned(), 90));
//! assert_eq!(by_rating.parse([("rating", "PG"), ("length", "90")])?, pg);
//! assert!(by_rating.parse([("rating", "PG"), ("length", "3.9")]).is_err());
//! # Ok::<(), tierstack_core::Error>(())
//! ```

mod builder;
mod params;
mod template;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use smallvec::SmallVec;

pub use builder::QueryBuilder;
pub use params::Params;
use template::Template;

use crate::{Entity, Error, Key, KeyWriter, Value};

/// Whether a query answers many rows or at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One row, or its absence. Two rows are an error: the filters don't tell rows apart.
    One,
    /// Any number of rows; none is the empty list, a value, not an absence.
    List,
}

/// The sort direction of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// What a query asks of the origin, in identifiers and values: there is no SQL in it.
#[derive(Debug)]
pub struct QueryDef {
    name: Box<str>,
    mode: Mode,
    params: Vec<Box<str>>,
    fixed: Vec<(Box<str>, Value)>,
    order_by: Vec<(Box<str>, Direction)>,
    limit: u32,
    template: Template,
    fingerprint: u64,
}

impl QueryDef {
    /// Its name, unique within the entity.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One row or many.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The columns that the bound values must equal, in their order.
    pub fn params(&self) -> impl ExactSizeIterator<Item = &str> {
        self.params.iter().map(AsRef::as_ref)
    }

    /// The columns with a fixed value.
    pub fn fixed(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.fixed.iter().map(|(column, value)| (&**column, value))
    }

    /// The sort order.
    pub fn order_by(&self) -> impl ExactSizeIterator<Item = (&str, Direction)> {
        self.order_by.iter().map(|(column, direction)| (&**column, *direction))
    }

    /// The most rows it answers.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// A hash of all that it asks: another definition under the same name has other keys.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Whether it looks rows up by one column of unique values, so that many lookups can be one statement.
    #[must_use]
    pub fn is_secondary_key(&self) -> bool {
        self.mode == Mode::One && self.params.len() == 1
    }
}

/// A declared query of `E` with parameters of types `P` (a tuple).
pub struct Query<E, P = ()> {
    def: Arc<QueryDef>,
    types: PhantomData<fn(P) -> E>,
}

impl<E: Entity> Query<E> {
    /// Declares a query that answers many rows.
    pub fn list(name: &str) -> QueryBuilder<E, ()> {
        QueryBuilder::new(name, Mode::List)
    }

    /// Declares a query that answers at most one row. With one parameter it is a secondary key ([`objects_by`]).
    ///
    /// [`objects_by`]: crate::Cache::objects_by
    pub fn one(name: &str) -> QueryBuilder<E, ()> {
        QueryBuilder::new(name, Mode::One)
    }
}

impl<E, P: Params> Query<E, P> {
    /// The query with these values.
    #[must_use]
    pub fn bind(&self, values: P) -> Bound<E> {
        Bound { def: Arc::clone(&self.def), values: values.into_values(), entity: PhantomData }
    }

    /// The query with values parsed from texts by name, as a path or query string gives them.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a name is missing, unknown or given twice, or a text is not of the
    /// parameter's type. No tier has been asked then.
    pub fn parse<'a>(&self, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Bound<E>, Error> {
        let mut found: Vec<Option<&str>> = vec![None; self.def.params.len()];
        for (name, text) in texts {
            let place = self.def.params.iter().position(|param| **param == *name);
            let slot = place.and_then(|place| found.get_mut(place)).ok_or_else(|| {
                Error::invalid(format!("query {:?} has no parameter {name:?}: leave it out", self.def.name))
            })?;
            if slot.replace(text).is_some() {
                return Err(Error::invalid(format!("parameter {name:?} is given twice: give it once")));
            }
        }
        let texts = self.def.params.iter().zip(found).map(|(name, text)| {
            text.ok_or_else(|| {
                Error::invalid(format!("query {:?} needs parameter {name:?}: add it", self.def.name))
            })
        });
        let texts: Vec<&str> = texts.collect::<Result<_, _>>()?;
        Ok(Bound { def: Arc::clone(&self.def), values: P::parse(&texts)?, entity: PhantomData })
    }

    /// What it asks of the origin.
    #[must_use]
    pub fn def(&self) -> &QueryDef {
        &self.def
    }
}

impl<E, P> Clone for Query<E, P> {
    fn clone(&self) -> Self {
        Query { def: Arc::clone(&self.def), types: PhantomData }
    }
}

impl<E, P> fmt::Debug for Query<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.def.fmt(f)
    }
}

/// A query with its values: the key of a list.
pub struct Bound<E> {
    def: Arc<QueryDef>,
    values: SmallVec<[Value; 2]>,
    entity: PhantomData<fn() -> E>,
}

impl<E> Bound<E> {
    /// What it asks of the origin.
    #[must_use]
    pub fn def(&self) -> &QueryDef {
        &self.def
    }

    /// The values of its parameters, in their order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

impl<E: 'static> Key for Bound<E> {
    const MAY_SHORTEN: bool = true;

    fn write(&self, out: &mut KeyWriter<'_>) {
        self.def.template.write(&self.values, out);
    }

    fn size_bytes(&self) -> usize {
        self.values.iter().map(Value::size_bytes).sum()
    }

    fn loads_alone(&self) -> bool {
        self.def.mode() == Mode::List
    }
}

impl<E> Clone for Bound<E> {
    fn clone(&self) -> Self {
        Bound { def: Arc::clone(&self.def), values: self.values.clone(), entity: PhantomData }
    }
}

impl<E> PartialEq for Bound<E> {
    fn eq(&self, other: &Self) -> bool {
        self.def.fingerprint == other.def.fingerprint && self.values == other.values
    }
}

impl<E> Eq for Bound<E> {}

impl<E> Hash for Bound<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.def.fingerprint.hash(state);
        self.values.hash(state);
    }
}

impl<E> fmt::Debug for Bound<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(&self.def.name).field(&self.values).finish()
    }
}
