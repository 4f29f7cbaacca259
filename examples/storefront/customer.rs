//! A customer.

use serde::{Deserialize, Serialize};
use tierstack::postgres::FromRow;
use tierstack::postgres::tokio_postgres::Row;
use tierstack::{BoxError, Entity, Schema};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) customer_id: i32,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: Option<String>,
    pub(crate) activebool: bool,
}

impl Entity for Customer {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("customer").pk(["customer_id"]).columns([
            "customer_id",
            "first_name",
            "last_name",
            "email",
            "activebool",
        ])
    }

    fn pk(&self) -> i32 {
        self.customer_id
    }
}

impl FromRow for Customer {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Customer {
            customer_id: row.try_get("customer_id")?,
            first_name: row.try_get("first_name")?,
            last_name: row.try_get("last_name")?,
            email: row.try_get("email")?,
            activebool: row.try_get("activebool")?,
        })
    }
}
