//! Who acts in which film. The row is no more than its key, so a list of keys is all that is ever read.

use serde::{Deserialize, Serialize};
use tierstack::postgres::FromRow;
use tierstack::postgres::tokio_postgres::Row;
use tierstack::{BoxError, Entity, Schema};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FilmActor {
    pub(crate) actor_id: i32,
    pub(crate) film_id: i32,
}

impl Entity for FilmActor {
    type Pk = (i32, i32);

    fn schema() -> Schema {
        Schema::table("film_actor").pk(["actor_id", "film_id"]).columns(["actor_id", "film_id"])
    }

    fn pk(&self) -> (i32, i32) {
        (self.actor_id, self.film_id)
    }
}

impl FromRow for FilmActor {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(FilmActor { actor_id: row.try_get("actor_id")?, film_id: row.try_get("film_id")? })
    }
}
