//! A film.

use serde::{Deserialize, Serialize};
use tierstack::postgres::FromRow;
use tierstack::postgres::tokio_postgres::Row;
use tierstack::{BoxError, Entity, Schema};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Film {
    pub(crate) film_id: i32,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) release_year: Option<i32>,
    pub(crate) length: Option<i16>,
    pub(crate) rating: Option<String>,
    pub(crate) rental_rate: f64,
}

/// What the enum of the database knows.
pub(crate) const RATINGS: [&str; 5] = ["G", "PG", "PG-13", "R", "NC-17"];

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film")
            .pk(["film_id"])
            .columns(["film_id", "title", "description", "release_year", "length"])
            // An enum and a numeric, as types that every client reads.
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
            description: row.try_get("description")?,
            release_year: row.try_get("release_year")?,
            length: row.try_get("length")?,
            rating: row.try_get("rating")?,
            rental_rate: row.try_get("rental_rate")?,
        })
    }
}
