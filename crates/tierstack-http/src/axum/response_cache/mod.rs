//! A cache of responses: whole answers of GET handlers, kept in the tiers.
//!
//! It is the drop-in of the core round a router or a route: single flight, L1, L2, staleness and invalidation are as for
//! everything else. It is the application's own cache, which the application invalidates, and not one of HTTP's: how long a
//! response lives is said by [`Freshness`](tierstack_core::Freshness), not by its `max-age` or `s-maxage`. But for that, it
//! does less than HTTP allows, and never what HTTP forbids (sections are of RFC 9111):
//!
//! 1. *The key* (section 2) is the whole path, also of a nested router; the host; the query, or the parameters that are
//!    [chosen](ResponseCacheBuilder::query), sorted; and the values of [chosen](ResponseCacheBuilder::header) headers.
//! 2. *Only GET.* HEAD and every other method go past it (section 2), and so do requests with a body, a range or a condition
//!    (`If-None-Match` and its like, section 4.3), an upgrade, and those whose key is over `max_key_bytes`.
//! 3. *Nobody who says who he is* (section 3.5): requests with `Authorization` or `Cookie` go past it, unless the
//!    application says that [this makes no difference](ResponseCacheBuilder::ignore_credentials). Requests with a write
//!    token go past it in any case: a response doesn't say which writes it has seen.
//! 4. *Kept is* a response with status 200, 203, 204, 300, 301, 308, 404 or 410, unless it has `Cache-Control: no-store`,
//!    `private`, `no-cache`, `must-revalidate`, `proxy-revalidate` or an age of 0 (section 5.2.2), `Set-Cookie`, a write token,
//!    or a `Vary` that is `*` or names what is not in the key (section 4.1); or a body of more than
//!    [`max_body_bytes`](ResponseCacheBuilder::max_body_bytes), or with trailers.
//! 5. *What is not kept is not shared*: it goes to the caller whose request it answers, as it is, of any length. Others, who
//!    waited for the same, ask the handler themselves. Handlers that stream should say `no-store`: till then, their first
//!    bytes wait for the rest, up to the bound, and no longer than `load_timeout`.
//! 6. *A response from a tier* bears `Age` (section 5.1), and every one that it handled, but a problem of its own,
//!    `Cache-Status` (RFC 9211). Headers of the connection are not kept (section 3.1), nor are extensions.
//! 7. *A client's wishes*, for a bypass, a refresh, or only what is kept (section 5.2.1), are granted if the application
//!    [says so](ResponseCacheBuilder::grant). They are advice: without that, a client's `no-store` makes no difference.
//! 8. *A stale response* is answered while a new one is made behind it, with the request of who asked: also if the new one
//!    fails, or is not to be kept, until the stale one's life ends.
//!
//! The handler runs in a task of its own, within `load_timeout`, and goes on if its client leaves. One that panics is a
//! 500, one that is too slow a 504, and one too many (`loads_waiting`) a 503, all as [`Problem`](super::Problem)s.
//!
//! A write is followed by an [invalidation](ResponseCacheLayer::invalidate), also where a client made it by `POST` to the
//! same path (section 4.4): the cache can't tell which others it concerns.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tierstack_core::{MemoryTier, Namespace};
//! use tierstack_http::axum::ResponseCacheLayer;
//!
//! # fn main() -> Result<(), tierstack_core::Error> {
//! let shop = Namespace::builder("shop").l2(MemoryTier::new(10_000)).build()?;
//! let pages = ResponseCacheLayer::builder(&shop, "pages").query(["page"]).build()?;
//! let app: Router = Router::new().route("/films", get(async || "many films")).layer(pages.clone());
//! # let _ = app;
//! # Ok(()) }
//! ```

mod builder;
mod layer;
mod rules;
mod service;

pub use builder::ResponseCacheBuilder;
pub use layer::ResponseCacheLayer;
pub use service::ResponseCacheService;
