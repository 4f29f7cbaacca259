//! A rental of a copy of a film.

use serde::{Deserialize, Serialize};
use tierstack::postgres::FromRow;
use tierstack::postgres::tokio_postgres::Row;
use tierstack::{BoxError, Entity, Schema};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rental {
    pub(crate) rental_id: i32,
    pub(crate) customer_id: i32,
    pub(crate) inventory_id: i32,
    /// As the database writes it; nothing is calculated with it here.
    pub(crate) rental_date: String,
    /// `None` while the copy is with the customer.
    pub(crate) return_date: Option<String>,
}

impl Entity for Rental {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("rental")
            .pk(["rental_id"])
            .columns(["rental_id", "customer_id", "inventory_id"])
            .column_as("rental_date", "text")
            .column_as("return_date", "text")
    }

    fn pk(&self) -> i32 {
        self.rental_id
    }
}

impl FromRow for Rental {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Rental {
            rental_id: row.try_get("rental_id")?,
            customer_id: row.try_get("customer_id")?,
            inventory_id: row.try_get("inventory_id")?,
            rental_date: row.try_get("rental_date")?,
            return_date: row.try_get("return_date")?,
        })
    }
}
