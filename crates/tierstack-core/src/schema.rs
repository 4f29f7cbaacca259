//! What an entity is: table, key columns, columns, and the fingerprint by which its records are told from others.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, KeyFormat, RowKey};

/// A row type with a primary key.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tierstack_core::{Entity, Schema};
///
/// #[derive(Serialize, Deserialize)]
/// struct Film { film_id: i32, title: String, rating: String }
///
/// impl Entity for Film {
///     type Pk = i32;
///     fn schema() -> Schema {
///         Schema::table("film").pk(["film_id"]).columns(["film_id", "title"]).column_as("rating", "text")
///     }
///     fn pk(&self) -> i32 { self.film_id }
/// }
/// ```
///
/// A *projection* is an entity of the same table with fewer columns and a [`Schema::projection`] name: it has keys of its
/// own, and is dropped whenever any row of the table is invalidated.
pub trait Entity: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its primary key.
    type Pk: RowKey;

    /// Its declaration; called at build.
    fn schema() -> Schema;

    /// The row's primary key.
    fn pk(&self) -> Self::Pk;
}

/// A column, and the type it is read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Cow<'static, str>,
    /// The SQL type it is cast to when it is read, if not its own.
    pub cast: Option<Cow<'static, str>>,
}

/// The declaration of an entity. Every name in it is an identifier: quoted where it reaches SQL, escaped where it reaches
/// a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The table.
    pub table: Cow<'static, str>,
    /// The database schema it is in; `None` for the search path's.
    pub in_schema: Option<Cow<'static, str>>,
    /// The columns of the primary key, in the order of its fields.
    pub pk: Vec<Cow<'static, str>>,
    /// The columns of the row.
    pub columns: Vec<Column>,
    /// The name of the projection, if this is not the whole row.
    pub projection: Option<Cow<'static, str>>,
    /// Raised when the meaning of a column changes though its name doesn't. Of two releases that run side by side, the
    /// one with the higher version replaces the other's values, and the other reads past them.
    pub version: u16,
}

impl Schema {
    /// The entity of a table; its name is the entity's.
    #[must_use]
    pub fn table(name: impl Into<Cow<'static, str>>) -> Self {
        Schema {
            table: name.into(),
            in_schema: None,
            pk: Vec::new(),
            columns: Vec::new(),
            projection: None,
            version: 0,
        }
    }

    /// Sets the database schema that the table is in.
    #[must_use]
    pub fn in_schema(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.in_schema = Some(name.into());
        self
    }

    /// Sets the columns of the primary key, in the order of its fields.
    #[must_use]
    pub fn pk<N: Into<Cow<'static, str>>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.pk = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Adds columns of the row.
    #[must_use]
    pub fn columns<N: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.columns.extend(names.into_iter().map(|name| Column { name: name.into(), cast: None }));
        self
    }

    /// Adds a column that is read as another SQL type: an enum as `text`, a numeric as `float8`.
    #[must_use]
    pub fn column_as(
        mut self,
        name: impl Into<Cow<'static, str>>,
        cast: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.columns.push(Column { name: name.into(), cast: Some(cast.into()) });
        self
    }

    /// Names this projection of the table.
    #[must_use]
    pub fn projection(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.projection = Some(name.into());
        self
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: u16) -> Self {
        self.version = version;
        self
    }

    /// Checks it for an entity with key `K`.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change.
    pub fn check<K: RowKey>(&self) -> Result<(), Error> {
        let Schema { table, in_schema, pk, columns, projection, version: _ } = self;
        let bad = |text: String| Err(Error::invalid(format!("schema of {table:?}: {text}")));
        let names = [table].into_iter().chain(in_schema).chain(projection).chain(pk);
        let names =
            names.chain(columns.iter().flat_map(|column| [&column.name].into_iter().chain(&column.cast)));
        for name in names {
            if name.is_empty() || name.contains('\0') {
                return bad(format!("{name:?} is no identifier: it is empty or has a NUL"));
            }
        }
        if pk.len() != K::WIDTH {
            return bad(format!(
                "pk() names {} columns and the key type has {}: make them agree",
                pk.len(),
                K::WIDTH
            ));
        }
        if columns.is_empty() {
            return bad("it has no columns: name them with columns()".into());
        }
        for (what, names) in
            [("columns", columns.iter().map(|c| &c.name).collect::<Vec<_>>()), ("pk", pk.iter().collect())]
        {
            let mut seen = HashSet::new();
            if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
                return bad(format!("{twice:?} stands twice in {what}: name it once"));
            }
        }
        Ok(())
    }

    /// The name of the entity: the table's, after the database schema's if it is in one. Neither can hold a NUL.
    pub(crate) fn entity(&self) -> String {
        match &self.in_schema {
            None => self.table.to_string(),
            Some(outer) => format!("{outer}\0{}", self.table),
        }
    }

    /// The format of its keys in a namespace.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a name is empty.
    pub fn key_format(&self, namespace: &str, max_key_bytes: usize) -> Result<KeyFormat, Error> {
        let fields: Vec<&str> = self.pk.iter().map(AsRef::as_ref).collect();
        KeyFormat::new(namespace, &self.entity(), self.projection.as_deref(), &fields, max_key_bytes)
    }

    /// What a record's header says of it: the version in the upper 16 bits, below them a hash of all names. `of` tells
    /// rows from lists.
    #[must_use]
    pub fn fingerprint(&self, of: &str) -> u64 {
        let Schema { table, in_schema: _, pk, columns, projection, version } = self;
        // Debug of strings and lists of them is unambiguous, and doesn't change with the compiler.
        let text = format!("{of:?}{table:?}{pk:?}{columns:?}{projection:?}");
        versioned(*version, &text)
    }
}

/// The version in the upper 16 bits, by which the newer of two releases is told; below them a hash of `text`.
pub(crate) fn versioned(version: u16, text: &str) -> u64 {
    u64::from(version) << 48 | xxh3_64(text.as_bytes()) >> 16
}
