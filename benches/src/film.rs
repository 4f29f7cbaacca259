//! The row that benches cache: some 160 bytes as MessagePack.

use serde::{Deserialize, Serialize};
use tierstack_core::{Cache, Entity, L1, Namespace, Schema, origin_fn};

/// A row of `film`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// Primary key.
    pub film_id: i32,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Its rating.
    pub rating: String,
    /// What a rental costs.
    pub rental_rate: f64,
}

/// The row with that key.
#[must_use]
pub fn film(film_id: i32) -> Film {
    Film {
        film_id,
        title: format!("Academy Dinosaur {film_id}"),
        description: "An epic drama of a feminist and a mad scientist who must battle a teacher".into(),
        rating: "PG".into(),
        rental_rate: 0.99,
    }
}

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film")
            .pk(["film_id"])
            .columns(["film_id", "title", "description"])
            .column_as("rating", "text")
            .column_as("rental_rate", "float8")
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

/// A cache with L1 over an origin that has every row.
///
/// # Panics
/// If the settings are wrong, which they aren't.
#[must_use]
pub fn films(capacity: u64) -> Cache<Film> {
    films_of(&Namespace::builder("shop").build().expect("the name is plain"), capacity)
}

/// The same in a namespace.
///
/// # Panics
/// If it has such a cache already.
#[must_use]
pub fn films_of(shop: &Namespace, capacity: u64) -> Cache<Film> {
    let origin = origin_fn(|keys: Vec<i32>| async move {
        Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, film(key))).collect())
    });
    shop.cache().l1(L1::capacity(capacity)).origin(origin).build().expect("the settings are the default ones")
}
