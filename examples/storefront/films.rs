//! `/films`: by id, by ids, by rating; who acts in them; their price.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tierstack::http::CacheStatus;

use crate::failure::Failure;
use crate::film::RATINGS;
use crate::id::Id;
use crate::reply::Reply;
use crate::rows::Rows;
use crate::shop::Shop;

/// More ids in one address are refused.
const MOST_IDS: usize = 200;

/// `GET /films/7`
pub(crate) async fn one(State(shop): State<Arc<Shop>>, Id(film_id): Id) -> Result<Reply, Failure> {
    let (film, status) = shop.named(&shop.films, &film_id).await?;
    Reply::row(&*film, status)
}

/// `GET /films?ids=3,1,2`, `GET /films?rating=PG`
pub(crate) async fn many(
    State(shop): State<Arc<Shop>>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Reply, Failure> {
    let Query(parameters) = parameters.map_err(Failure::bad_request)?;
    let (pks, list, keeps_holes) = match &parameters[..] {
        [(name, ids)] if name == "ids" => (by_ids(&shop, ids)?, CacheStatus::default(), true),
        [(name, rating)] if name == "rating" => {
            let (pks, list) = by_rating(&shop, rating).await?;
            (pks, list, false)
        }
        _ => {
            return Err(Failure::bad_request("give either ids, as in ids=3,1,2, or rating, as in rating=PG"));
        }
    };
    let Rows { mut rows, status } = shop.rows(&shop.films, &pks).await?;
    // Who asked for an id is told that there is none; a film that left a list is just not in it.
    rows.retain(|film| keeps_holes || film.is_some());
    Reply::rows(&rows, list.and(status))
}

fn by_ids(shop: &Shop, ids: &str) -> Result<Vec<i32>, Failure> {
    if ids.split(',').count() > MOST_IDS {
        return Err(Failure::bad_request(format!("ids has more than {MOST_IDS}: ask for fewer at once")));
    }
    let pks = ids.split(',').map(|id| shop.films.parse_pk(id));
    pks.collect::<Result<_, _>>().map_err(|error| Failure::bad_request(format!("ids: {error}")))
}

async fn by_rating(shop: &Shop, rating: &str) -> Result<(Vec<i32>, CacheStatus), Failure> {
    if !RATINGS.contains(&rating) {
        let known = RATINGS.join(", ");
        return Err(Failure::bad_request(format!("{rating:?} is no rating: give one of {known}")));
    }
    shop.pks(&shop.films, shop.films_by_rating.bind((rating.to_owned(),))).await
}

/// `GET /films/7/actors`
pub(crate) async fn actors(State(shop): State<Arc<Shop>>, Id(film_id): Id) -> Result<Reply, Failure> {
    let (film, film_status) = shop.named(&shop.films, &film_id).await?;
    let (cast, list) = shop.pks(&shop.cast, shop.cast_by_film.bind((film.film_id,))).await?;
    let actor_ids: Vec<i32> = cast.iter().map(|(actor_id, _)| *actor_id).collect();
    let Rows { mut rows, status } = shop.rows(&shop.actors, &actor_ids).await?;
    rows.retain(Option::is_some);
    Reply::rows(&rows, film_status.and(list).and(status))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    rental_rate: f64,
}

/// `PUT /films/7/rate` with `{"rental_rate": 4.99}`
pub(crate) async fn set_rate(
    State(shop): State<Arc<Shop>>,
    Id(film_id): Id,
    body: Result<Json<Rate>, JsonRejection>,
) -> Result<Json<Value>, Failure> {
    let pk = shop.films.parse_pk(&film_id).map_err(Failure::bad_request)?;
    let Json(Rate { rental_rate }) = body.map_err(|rejection| Failure::bad_request(rejection.body_text()))?;
    // What numeric(4,2) holds. A rate that would be rounded is refused, too.
    let cents = rental_rate * 100.0;
    if !(0.0..10_000.0).contains(&cents) || (cents - cents.round()).abs() > 1e-6 {
        return Err(Failure::bad_request("rental_rate: give an amount from 0 to 99.99, in whole cents"));
    }
    if !shop.set_rate(pk, rental_rate).await? {
        return Err(Failure::not_found(format!("there is no film {film_id}")));
    }
    Ok(Json(json!({ "film_id": pk, "rental_rate": rental_rate })))
}
