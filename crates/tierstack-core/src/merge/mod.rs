//! Merge: concurrent lookups become one.
//!
//! 1. A lookup that is alone goes at once. While one is under way, others gather, and go as one: when it ends, when they
//!    fill a batch, or when [`gather_for`](crate::Settings::gather_for) has passed.
//! 2. At most [`loads_in_flight`](crate::Settings::loads_in_flight) are under way.
//! 3. None ever joins one that has begun: a right to fill was granted before its load began.
//! 4. Each is asked in a task of its own, and every lookup waits until its own deadline.

mod layer;
mod merger;
mod service;

pub use layer::MergeLayer;
pub use merger::Merger;
pub use service::MergeService;
