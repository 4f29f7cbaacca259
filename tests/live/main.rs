//! The same promises on a private Redis and Postgres, which the run starts itself and ends by pid.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod bulkhead;
mod cancellation;
mod counts;
mod failures;
mod fleet;
mod merging;
mod model;
mod rig;
mod stampede;
mod storm;
mod tasks;
mod transactions;
