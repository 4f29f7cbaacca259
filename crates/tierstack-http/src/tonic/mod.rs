//! For [tonic](https://docs.rs/tonic): a cache of responses to unary calls, and what calls have in place of HTTP's headers.
//!
//! *Lookups.* A [`LookupsLayer`](crate::LookupsLayer) on the server gives each call its lookups, tells `cache-status` and
//! carries write tokens, all as metadata: [`Lookups::of(request.extensions())`](crate::Lookups::of).
//!
//! *Responses* of the methods that are chosen are kept, by a [`GrpcCacheLayer`]:
//!
//! 1. *The key* is the method, the bytes of the request's message, and the values of [chosen](GrpcCacheBuilder::metadata)
//!    metadata. Protocol buffers have no canonical form: two messages that mean the same may have other bytes (maps, unknown
//!    fields, another language's encoder). That costs a hit, and is never answered wrongly.
//! 2. *Only chosen methods*, which must be unary, and whose answer depends on nothing else. All other calls go past it, and
//!    are not looked at, streams among them. Of chosen ones, so do those with more than one message, one that is
//!    compressed, or one of more than [`max_message_bytes`](GrpcCacheBuilder::max_message_bytes).
//! 3. *Nobody who says who he is*: calls with `authorization` or `cookie` in their metadata go past it, unless
//!    [this makes no difference](GrpcCacheBuilder::ignore_credentials); and so do calls with a write token.
//! 4. *Kept is* one uncompressed message with status OK, with its metadata, unless that has `cache-control: no-store`,
//!    `private` or `no-cache`. Everything else goes to the caller who asked, as it is; others ask themselves.
//! 5. *Responses* that it handled bear `cache-status` (RFC 9211), those from a tier `age`.
//! 6. *A client's wishes*, as `cache-control` in its metadata, are granted if the application says so.
//!
//! ```
//! use tierstack_core::{MemoryTier, Namespace};
//! use tierstack_http::tonic::GrpcCacheLayer;
//!
//! # fn main() -> Result<(), tierstack_core::Error> {
//! let shop = Namespace::builder("shop").l2(MemoryTier::new(10_000)).build()?;
//! let cached = GrpcCacheLayer::builder(&shop, "grpc").method("/shop.Films/GetFilm").build()?;
//! // Server::builder().layer(cached.clone()).add_service(FilmsServer::new(films))
//! # let _ = cached;
//! # Ok(()) }
//! ```

mod builder;
mod layer;
mod rules;
mod service;
mod status;

pub use builder::GrpcCacheBuilder;
pub use layer::GrpcCacheLayer;
pub use service::GrpcCacheService;
pub use status::status_of;
