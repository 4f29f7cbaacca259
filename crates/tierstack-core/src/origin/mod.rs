//! Origin: one load per lookup, its rows matched to the keys.
//!
//! 1. A key without a row is absent, unless the loader brought a row or an error nobody asked for: then it is not known what
//!    the loader meant, and the key fails.
//! 2. A key with two rows, two errors or one of each fails. The rows of other keys are answered.
//! 3. Loads are bounded by a [`Bulkhead`]: some under way, some waiting for a place, within the load's time; further ones
//!    fail at once.
//! 4. A key of which the loader says that it [failed](crate::Loaded::failed) does so by itself. A load that fails, panics or
//!    is late fails all its keys; at its time, its future is dropped. No failure is stored, or taken for an absence. Each
//!    load of which a key failed is counted once.

mod bulkhead;
mod each;
mod layer;
mod matching;
mod options;
mod service;
mod sources;

pub use bulkhead::Bulkhead;
pub use each::{Each, EachLayer};
pub use layer::OriginLayer;
pub use options::OriginOptions;
pub use service::OriginService;
pub use sources::{Origin, origin_fn};
