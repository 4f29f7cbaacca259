//! `/stats`: what the caches counted since they were built.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tierstack::{Answered, Cache, Entity, Filled};

use crate::shop::Shop;

/// `GET /stats`
pub(crate) async fn all(State(shop): State<Arc<Shop>>) -> Json<Value> {
    Json(json!({
        "film": of(&shop.films),
        "actor": of(&shop.actors),
        "film_actor": of(&shop.cast),
        "customer": of(&shop.customers),
        "rental": of(&shop.rentals),
    }))
}

fn of<E: Entity>(cache: &Cache<E>) -> Value {
    let stats = cache.stats();
    let answered =
        |Answered { fresh, stale, absent }| json!({ "fresh": fresh, "stale": stale, "absent": absent });
    let fills: serde_json::Map<String, Value> = Filled::ALL
        .iter()
        .zip(stats.fills)
        .map(|(filled, count)| (format!("{filled:?}").to_lowercase(), count.into()))
        .collect();
    json!({
        "keys": stats.keys(),
        "l1": answered(stats.l1),
        "l2": answered(stats.l2),
        "origin": answered(stats.origin),
        "errors": stats.errors,
        "loads": stats.loads,
        "failed_loads": stats.failed_loads,
        "l2_requests": stats.l2_requests,
        "l2_failures": stats.l2_failures,
        "bypasses": stats.bypasses,
        "waits": stats.waits,
        "fills": fills,
        "refreshes": stats.refreshes,
        "invalidations": stats.invalidations,
        "l1_rows": cache.l1_len(),
    })
}
