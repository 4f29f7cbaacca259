//! The live proof.

pub mod checker;
pub mod driver;
pub mod entity;
pub mod monotonic;
pub mod record;
pub mod worker;
