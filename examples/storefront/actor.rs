//! An actor.

use serde::{Deserialize, Serialize};
use tierstack::postgres::FromRow;
use tierstack::postgres::tokio_postgres::Row;
use tierstack::{BoxError, Entity, Schema};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Actor {
    pub(crate) actor_id: i32,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
}

impl Entity for Actor {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("actor").pk(["actor_id"]).columns(["actor_id", "first_name", "last_name"])
    }

    fn pk(&self) -> i32 {
        self.actor_id
    }
}

impl FromRow for Actor {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Actor {
            actor_id: row.try_get("actor_id")?,
            first_name: row.try_get("first_name")?,
            last_name: row.try_get("last_name")?,
        })
    }
}
