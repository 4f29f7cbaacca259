//! HTTP beside tierstack: says in a response's header how the caches answered it, and carries the token of a write to where
//! it must be seen.
//!
//! [`CacheStatus`] is the value of the `Cache-Status` header (RFC 9211), made from the answers of one or more lookups.
//!
//! ```
//! use http::HeaderMap;
//! use tierstack_core::{Answers, Clock, Error, Lookup};
//! use tierstack_http::CacheStatus;
//!
//! # async fn example<E: tierstack_core::Entity<Pk = i32>>(films: tierstack_core::Cache<E>) -> Result<(), Error> {
//! let answers = films.lookup(Lookup::batch([3, 1, 2])).await?;
//! let status = CacheStatus::of(&answers, Clock::system().coarse());
//! // tierstack; hit; ttl=297; detail="L1=2 L2=1 origin=0"
//! let mut headers = HeaderMap::new();
//! headers.extend([status.header()]);
//! # Ok(()) }
//! ```
//!
//! [`write_token_header`] and [`write_token_of`] take a [`WriteToken`](tierstack_core::WriteToken) through a client,
//! [`WriteCookie`] through a browser. A [`LookupsLayer`] does all of that for the requests of a service, and grants the
//! [`Wishes`] of clients that an application lets them have.
//!
//! Features, none of them on by default:
//!
//! * `axum`: [`axum`], with typed primary keys, problems (RFC 9457), health, and a cache of responses;
//! * `tonic`: [`tonic`], with a cache of responses to unary calls.

#[cfg(feature = "axum")]
pub mod axum;
mod cache_control;
mod cache_status;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod kept;
mod lookups;
mod lookups_layer;
mod structured;
#[cfg(feature = "tonic")]
pub mod tonic;
mod wishes;
mod write_cookie;
mod write_token;

pub use cache_status::CacheStatus;
pub use lookups::Lookups;
pub use lookups_layer::{LookupsLayer, LookupsService};
pub use wishes::Wishes;
pub use write_cookie::WriteCookie;
pub use write_token::{WRITE_TOKEN, write_token_header, write_token_of};
