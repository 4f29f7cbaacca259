//! `/films`: by id, by ids, by rating; who acts in them; their price.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tierstack::http::Lookups;
use tierstack::http::axum::Pk;

use crate::failure::Failure;
use crate::film::RATINGS;
use crate::reply;
use crate::shop::{Shop, named};

/// More ids in one address are refused.
const MOST_IDS: usize = 200;

/// `GET /films/7`
pub(crate) async fn one(
    State(shop): State<Arc<Shop>>,
    lookups: Lookups,
    Pk(film_id): Pk<i32>,
) -> Result<Response, Failure> {
    reply::row(&*named(&lookups, &shop.films, film_id).await?)
}

/// `GET /films?ids=3,1,2`, `GET /films?rating=PG`
pub(crate) async fn many(
    State(shop): State<Arc<Shop>>,
    lookups: Lookups,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(parameters) = parameters.map_err(Failure::bad_request)?;
    match &parameters[..] {
        // Who asked for an id is told that there is none; a film that left a list is just not in it.
        [(name, ids)] if name == "ids" => {
            reply::rows(&lookups.objects_by_pks(&shop.films, by_ids(&shop, ids)?).await?)
        }
        [(name, rating)] if name == "rating" => {
            if !RATINGS.contains(&&**rating) {
                let known = RATINGS.join(", ");
                return Err(Failure::bad_request(format!("{rating:?} is no rating: give one of {known}")));
            }
            let query = shop.films_by_rating.bind((rating.clone(),));
            let films = lookups.list(&shop.films, &query).await?;
            reply::row(&films.iter().map(|film| &**film).collect::<Vec<_>>())
        }
        _ => Err(Failure::bad_request("give either ids, as in ids=3,1,2, or rating, as in rating=PG")),
    }
}

fn by_ids(shop: &Shop, ids: &str) -> Result<Vec<i32>, Failure> {
    if ids.split(',').count() > MOST_IDS {
        return Err(Failure::bad_request(format!("ids has more than {MOST_IDS}: ask for fewer at once")));
    }
    let pks = ids.split(',').map(|id| shop.films.parse_pk(id));
    pks.collect::<Result<_, _>>().map_err(|error| Failure::bad_request(format!("ids: {error}")))
}

/// `GET /films/7/actors`
pub(crate) async fn actors(
    State(shop): State<Arc<Shop>>,
    lookups: Lookups,
    Pk(film_id): Pk<i32>,
) -> Result<Response, Failure> {
    let film = named(&lookups, &shop.films, film_id).await?;
    let cast = lookups.pks(&shop.cast, &shop.cast_by_film.bind((film.film_id,))).await?;
    let mut actors = lookups.objects_by_pks(&shop.actors, cast.iter().map(|(actor_id, _)| *actor_id)).await?;
    actors.retain(Option::is_some);
    reply::rows(&actors)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    rental_rate: f64,
}

/// `PUT /films/7/rate` with `{"rental_rate": 4.99}`
pub(crate) async fn set_rate(
    State(shop): State<Arc<Shop>>,
    Pk(pk): Pk<i32>,
    body: Result<Json<Rate>, JsonRejection>,
) -> Result<Json<Value>, Failure> {
    let Json(Rate { rental_rate }) = body.map_err(|rejection| Failure::bad_request(rejection.body_text()))?;
    // What numeric(4,2) holds. A rate that would be rounded is refused, too.
    let cents = rental_rate * 100.0;
    if !(0.0..10_000.0).contains(&cents) || (cents - cents.round()).abs() > 1e-6 {
        return Err(Failure::bad_request("rental_rate: give an amount from 0 to 99.99, in whole cents"));
    }
    if !shop.set_rate(pk, rental_rate).await? {
        return Err(Failure::not_found(format!("there is no film {pk}")));
    }
    Ok(Json(json!({ "film_id": pk, "rental_rate": rental_rate })))
}
