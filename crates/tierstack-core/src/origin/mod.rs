//! Origin: one load per lookup, its rows matched to the keys.
//!
//! 1. A key without a row is absent, unless the loader brought a row nobody asked for: then it is not known what the
//!    loader meant, and the key fails.
//! 2. A key with two rows fails. The rows of other keys are answered.
//! 3. Loads are bounded by a [`Bulkhead`]: some under way, some waiting for a place, within the load's time; further ones
//!    fail at once.
//! 4. A load that fails, panics or is late fails all its keys, and is neither stored nor taken for an absence. At its
//!    time, its future is dropped.

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
