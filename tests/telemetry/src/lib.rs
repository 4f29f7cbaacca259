//! What the tests of telemetry share: an application's SDK in memory, an origin that records spans of its own, and a tier
//! and an origin that say what they are.

mod memory;
mod named;
mod span;

pub use memory::Memory;
pub use named::{NamedTier, Rows};
pub use span::{Seen, Spans, Sums};
