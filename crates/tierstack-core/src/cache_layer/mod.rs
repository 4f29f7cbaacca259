//! Drop-in: makes of a service the same type of service, cached.
//!
//! A `Service<Req, Response = Res>` stays one, for any request that implements [`CacheKey`](crate::CacheKey) and any response
//! that serde can write and read. It is the stack of the handle, with a request for a key and the service for an origin.
//!
//! 1. A response is found by the request's text alone. What it depends on and the text doesn't say (who asks, in which
//!    language, what they may see) must become part of the request, or one caller is told what another was.
//! 2. Each request is looked up and loaded by itself: one call of the service for each response that no tier holds, however
//!    many ask for it at once.
//! 3. The cached service is always ready, and holds nothing of the service below while it answers from a tier. For a load, a
//!    clone of that is driven ready and called. So what limits it is felt by those who load, as time or as an error.
//! 4. Errors are of type [`Error`](crate::Error); [`downcast_ref`](crate::Error::downcast_ref) finds what the service failed
//!    with. No error is kept, and no panic gets through.
//! 5. What [`keep_if`](CacheLayerBuilder::keep_if) refuses is answered, to all who wait for it, and kept nowhere.
//! 6. What the services of one layer and of its clones share: entries, limits, counters. They should be over services that
//!    respond alike.
//! 7. An invalidation names requests, or [all of them](CacheLayer::invalidate_all).
//!
//! L1 holds the request's text and the response, not the request. A hit in L1 clones the response: let it be cheap to clone,
//! such as an `Arc` (serde's feature `rc`) or `Bytes`. A response that only the caller holds is given out without a clone.
//!
//! # Example
//! Between what bounds all calls and what bounds those that load:
//!
//! ```
//! use std::time::Duration;
//! use tierstack_core::{CacheKey, L1, MemoryTier, Namespace};
//! # use tierstack_derive::CacheKey;
//! use tower::limit::ConcurrencyLimitLayer;
//! use tower::timeout::TimeoutLayer;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone, CacheKey)]
//! # #[cache_key(crate = "tierstack_core")]
//! struct FindFilms { rating: String, page: u32 }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
//! let shop = Namespace::builder("shop").l2(MemoryTier::new(10_000)).build()?;
//! let cached = shop.cache_layer::<FindFilms, Vec<String>>("find_films").l1(L1::capacity(10_000)).build()?;
//! let mut find_films = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(2)))
//!     .layer(cached.clone())
//!     .layer(ConcurrencyLimitLayer::new(4))
//!     .service(service_fn(|request: FindFilms| async move {
//!         Ok::<_, std::io::Error>(vec![format!("{} film of page {}", request.rating, request.page)])
//!     }));
//!
//! let request = FindFilms { rating: "PG".into(), page: 1 };
//! for _ in 0..3 {
//!     let films = find_films.ready().await?.call(request.clone()).await?;
//!     assert_eq!(films, ["PG film of page 1"]);
//! }
//! assert_eq!(cached.stats().loads, 1);
//! cached.invalidate([&request]).await?;
//! find_films.ready().await?.call(request).await?;
//! assert_eq!(cached.stats().loads, 2);
//! # Ok(()) }
//! ```
//!
//! One call on other terms than the rest, here at the origin whatever the tiers hold:
//!
//! ```
//! # use tierstack_core::{CacheKey, L1, Level, Namespace, Terms};
//! # use tower::{Layer, service_fn};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tierstack_core::Error> {
//! let shop = Namespace::builder("shop").build()?;
//! let squares = shop.cache_layer::<u64, u64>("square").version(2).l1(L1::capacity(100)).build()?;
//! let squares = squares.layer(service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n * n) }));
//! let mut terms = Terms::default();
//! (terms.read_l1, terms.read_l2) = (false, false);
//! let answer = squares.lookup(12, terms).await?.expect("it may load");
//! assert_eq!((*answer.entry.into_present().unwrap(), answer.source), (144, Level::Origin));
//! # Ok(()) }
//! ```

mod builder;
mod future;
mod key;
mod layer;
mod loader;
mod service;

pub use builder::CacheLayerBuilder;
pub use future::ResponseFuture;
pub use layer::CacheLayer;
pub use service::CacheService;
