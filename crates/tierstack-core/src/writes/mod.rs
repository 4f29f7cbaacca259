//! The write side: what a write touches, and how every tier and node learns of it.

mod delivery;
mod mark;
mod settings;
mod stats;
mod touched;

pub(crate) use delivery::{Writes, deliver};
pub use mark::{Mark, Marked};
pub use settings::WriteSettings;
pub use stats::WriteStats;
pub use touched::Touched;
