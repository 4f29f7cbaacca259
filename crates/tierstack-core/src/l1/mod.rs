//! L1: decoded rows in this process's memory.
//!
//! 1. A hit reads moka, three atomics and a coarse clock; it takes no lock and allocates nothing.
//! 2. moka bounds memory, and nothing else: whether an entry may answer is [`judge`](crate::judge)d by its own times.
//! 3. What is found below is published under a [`Reservation`](crate::Reservation) that was taken before asking below: an invalidation in
//!    between makes it void. Publishing and invalidating take one of 1,024 stripes.
//! 4. An entry ends with L1's own life if that is earlier than what L2 says; a brief one soon after its load began.
//! 5. While the node may not hear of other nodes' invalidations, only brief entries answer. That is judged at each hit, by
//!    the time: a runtime that stands still can't keep old rows answering. What is found below meanwhile is brief.

mod layer;
mod service;

pub use layer::{L1, L1Layer};
pub use service::{L1Service, ResponseFuture};
