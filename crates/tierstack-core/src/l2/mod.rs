//! L2: the shared tier, and the protocol that keeps it from holding a stale row.
//!
//! A lookup's way through it:
//!
//! 1. One `read` of all keys. A record that verifies and satisfies the terms answers.
//! 2. One `lease` of the others. Nothing is loaded before its right was granted.
//! 3. One lookup of the inner service for those with a right, and those that no one may fill now.
//! 4. One `fill` of what was loaded under a right; what failed gives its right up. The answer waits for the fill, as
//!    only a filled entry may live in L1 for its whole life.
//! 5. Keys that another node is loading are polled for a bounded time: one that nobody is loading any more is leased at
//!    once, the rest is leased once more at the end, and then loaded in any case.
//!
//! A read that fails or is late makes the lookup go round L2 for the rest of it. Reads and leases take a part of the
//! lookup's time at most, so that some is left for the origin.
//!
//! Keys part at each step: what is known is told, what is loaded doesn't wait for what is waited for. Asked in parts, as
//! single flight does, the service answers each as soon as it is known; else all at the end.
//!
//! A *derived* entry (a list, a projection) also bears the token of the record it rests on, read with the lease before
//! the load; it answers only while that record bears the same token, and the entry has seen its marks.

mod encode;
mod layer;
mod lease;
mod load;
mod lookup;
mod options;
mod requests;
mod service;

pub use layer::L2Layer;
pub use options::L2Options;
pub(crate) use requests::TierSync;
pub use service::L2Service;
