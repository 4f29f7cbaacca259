//! What the small examples read through: a table of films in memory, which notes what it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tierstack::{Bound, Entity, Origin, Schema, Value, loader_fn, origin_fn};

/// A row of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// Its primary key.
    pub film_id: i32,
    /// What it is called.
    pub title: String,
    /// Who may see it.
    pub rating: String,
}

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "title", "rating"])
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

/// Six films, and what was asked of them.
#[derive(Clone)]
pub struct Shelf(Arc<Mutex<Table>>);

/// The films, and what was asked.
type Table = (BTreeMap<i32, Film>, Vec<String>);

impl Shelf {
    /// Films 1 to 6, odd ones PG and even ones R.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an example makes one, by its name")]
    pub fn new() -> Self {
        let rating = |film_id: i32| if film_id % 2 == 1 { "PG" } else { "R" };
        let film = |film_id| {
            (film_id, Film { film_id, title: format!("Film {film_id}"), rating: rating(film_id).into() })
        };
        Shelf(Arc::new(Mutex::new(((1..=6).map(film).collect(), Vec::new()))))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a film there, as an application's write would.
    pub fn write(&self, film: Film) {
        self.lock().0.insert(film.film_id, film);
    }

    /// Prints a step with what was asked since the last, and holds that to what it should be.
    ///
    /// # Errors
    /// If it was asked anything else.
    pub fn told(&self, step: &str, expected: &[&str]) -> Result<()> {
        let asked = std::mem::take(&mut self.lock().1);
        println!("{step:<62} {}", if asked.is_empty() { "-".to_owned() } else { asked.join(", ") });
        ensure!(
            asked == expected,
            "{step}: the table was asked {asked:?}, and should have been {expected:?}"
        );
        Ok(())
    }

    /// Rows by primary key, and primary keys by the first parameter of a query: a rating or a title. Key 13 fails.
    #[must_use]
    pub fn origin(&self) -> Origin<Film> {
        let (rows, index) = (self.clone(), self.clone());
        let by_key = origin_fn(move |keys: Vec<i32>| {
            let mut shelf = rows.lock();
            shelf.1.push(format!("films {keys:?}"));
            let found: Vec<(i32, Film)> =
                keys.iter().filter_map(|key| Some((*key, shelf.0.get(key)?.clone()))).collect();
            let failed = keys.contains(&13).then(|| std::io::Error::other("key 13 fails"));
            async move { failed.map_or(Ok(found), Err) }
        });
        by_key.with_queries(loader_fn(move |queries: Vec<Bound<Film>>| {
            let mut shelf = index.lock();
            let mut found = Vec::new();
            for query in queries {
                shelf.1.push(format!("{} {:?}", query.def().name(), query.values()));
                let is_meant = |film: &&Film| {
                    let texts = [Value::from(film.rating.as_str()), Value::from(film.title.as_str())];
                    query.values().iter().all(|value| texts.contains(value))
                };
                let pks: Vec<i32> = shelf.0.values().filter(is_meant).map(Entity::pk).collect();
                found.push((query, pks));
            }
            async move { Ok::<_, std::io::Error>(found) }
        }))
    }
}
