//! For [axum](https://docs.rs/axum): the lookups of a request as an argument of its handler, typed primary keys, problems, health, and a
//! cache of responses.
//!
//! A cache is no argument of its own: [`State`](::axum::extract::State) has it, as a [`Cache`](tierstack_core::Cache) is
//! cloned by counting a reference up.
//!
//! ```
//! use axum::extract::State;
//! use axum::routing::get;
//! use axum::{Json, Router};
//! # use serde::{Deserialize, Serialize};
//! use tierstack_core::{Cache, Namespace, L1, MemoryTier, origin_fn};
//! # use tierstack_core::{Entity, Schema};
//! use tierstack_http::axum::{Pk, Problem, health_routes};
//! use tierstack_http::{Lookups, LookupsLayer};
//!
//! # #[derive(Clone, Serialize, Deserialize)] struct Film { film_id: i32 }
//! # impl Entity for Film {
//! #     type Pk = i32;
//! #     fn schema() -> Schema { Schema::table("film").pk(["film_id"]).columns(["film_id"]) }
//! #     fn pk(&self) -> i32 { self.film_id }
//! # }
//! // GET /films/7: 200 with `cache-status: tierstack; hit; …`; GET /films/x: 400, and a sentence that says why.
//! async fn film(State(films): State<Cache<Film>>, lookups: Lookups, Pk(film_id): Pk<i32>) -> Result<Json<Film>, Problem> {
//!     let film = lookups.get(&films, film_id).await?;
//!     film.map(|film| Json((*film).clone())).ok_or_else(|| Problem::not_found("there is no such film"))
//! }
//!
//! # fn main() -> Result<(), tierstack_core::Error> {
//! let shop = Namespace::builder("shop").l2(MemoryTier::new(10_000)).build()?;
//! let films = shop.cache::<Film>().l1(L1::capacity(100_000)).origin(origin_fn(|keys: Vec<i32>| async move {
//!     Ok::<_, std::io::Error>(keys.into_iter().map(|film_id| (film_id, Film { film_id })).collect())
//! })).build()?;
//! let app: Router = Router::new()
//!     .route("/films/{film_id}", get(film))
//!     .layer(LookupsLayer::new())
//!     .merge(health_routes(shop))
//!     .with_state(films);
//! # let _ = app;
//! # Ok(()) }
//! ```

mod extract;
mod health;
mod problem;
pub mod response_cache;

pub use extract::Pk;
pub use health::health_routes;
pub use problem::Problem;
pub use response_cache::ResponseCacheLayer;
