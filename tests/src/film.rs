//! The entity most tests use.

use serde::{Deserialize, Serialize};
use tierstack_core::{BoxError, Entity, Schema};
use tierstack_postgres::FromRow;
use tierstack_postgres::tokio_postgres::Row;

/// A row of `film`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// Primary key.
    pub film_id: i32,
    /// Unique: a secondary key.
    pub title: String,
    /// Lists are asked by it.
    pub rating: String,
    /// Raised by every write of the row.
    pub version: i64,
}

/// A row with that key in its first version.
#[must_use]
pub fn film(film_id: i32) -> Film {
    Film { film_id, title: format!("Film {film_id}"), rating: "PG".into(), version: 0 }
}

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "title", "rating", "version"])
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
            rating: row.try_get("rating")?,
            version: row.try_get("version")?,
        })
    }
}

/// The projection of a film to its title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilmTitle {
    /// Primary key.
    pub film_id: i32,
    /// The title.
    pub title: String,
}

impl Entity for FilmTitle {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "title"]).projection("titles")
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}
