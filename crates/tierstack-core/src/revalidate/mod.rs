//! Revalidate: a stale answer at once, and one bounded refresh behind it.
//!
//! 1. Tiers return what the terms accept, marked fresh or stale; this layer alone reads the mark.
//! 2. A refresh is the same lookup that accepts fresh entries only, in a task of its own. A key has one at a time.
//! 3. At most `refreshes_in_flight` keys are refreshed at once. Above that a stale answer stays as it is, and the next
//!    lookup tries again.
//! 4. After a refresh that failed, or that another node is doing, the key is left alone for `refresh_retry_after`.
//! 5. A namespace that is shut down starts none.

mod layer;
mod refreshes;
mod service;

pub use layer::RevalidateLayer;
pub use refreshes::Refreshes;
pub use service::{ResponseFuture, RevalidateService};
