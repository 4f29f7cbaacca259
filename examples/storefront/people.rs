//! `/actors` and `/customers`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tierstack::http::Lookups;
use tierstack::http::axum::Pk;

use crate::failure::Failure;
use crate::reply;
use crate::shop::{Shop, named};

/// `GET /actors/1`
pub(crate) async fn actor(
    State(shop): State<Arc<Shop>>,
    lookups: Lookups,
    Pk(actor_id): Pk<i32>,
) -> Result<Response, Failure> {
    reply::row(&*named(&lookups, &shop.actors, actor_id).await?)
}

/// `GET /customers/1`
pub(crate) async fn customer(
    State(shop): State<Arc<Shop>>,
    lookups: Lookups,
    Pk(customer_id): Pk<i32>,
) -> Result<Response, Failure> {
    reply::row(&*named(&lookups, &shop.customers, customer_id).await?)
}

/// `GET /customers/1/rentals`
pub(crate) async fn rentals(
    State(shop): State<Arc<Shop>>,
    lookups: Lookups,
    Pk(customer_id): Pk<i32>,
) -> Result<Response, Failure> {
    let customer = named(&lookups, &shop.customers, customer_id).await?;
    let query = shop.rentals_by_customer.bind((customer.customer_id,));
    let rentals = lookups.list(&shop.rentals, &query).await?;
    reply::row(&rentals.iter().map(|rental| &**rental).collect::<Vec<_>>())
}
