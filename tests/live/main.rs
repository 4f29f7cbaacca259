//! The same promises on a private Redis and Postgres, which the run starts itself and ends by pid.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod counts;
mod model;
mod rig;
