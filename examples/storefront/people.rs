//! `/actors` and `/customers`.

use std::sync::Arc;

use axum::extract::State;

use crate::failure::Failure;
use crate::id::Id;
use crate::reply::Reply;
use crate::rows::Rows;
use crate::shop::Shop;

/// `GET /actors/1`
pub(crate) async fn actor(State(shop): State<Arc<Shop>>, Id(actor_id): Id) -> Result<Reply, Failure> {
    let (actor, status) = shop.named(&shop.actors, &actor_id).await?;
    Reply::row(&*actor, status)
}

/// `GET /customers/1`
pub(crate) async fn customer(State(shop): State<Arc<Shop>>, Id(customer_id): Id) -> Result<Reply, Failure> {
    let (customer, status) = shop.named(&shop.customers, &customer_id).await?;
    Reply::row(&*customer, status)
}

/// `GET /customers/1/rentals`
pub(crate) async fn rentals(State(shop): State<Arc<Shop>>, Id(customer_id): Id) -> Result<Reply, Failure> {
    let (customer, customer_status) = shop.named(&shop.customers, &customer_id).await?;
    let query = shop.rentals_by_customer.bind((customer.customer_id,));
    let (pks, list) = shop.pks(&shop.rentals, query).await?;
    let Rows { mut rows, status } = shop.rows(&shop.rentals, &pks).await?;
    rows.retain(Option::is_some);
    Reply::rows(&rows, customer_status.and(list).and(status))
}
