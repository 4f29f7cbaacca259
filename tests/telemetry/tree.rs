//! Which span is part of which, and linked to which; what is recorded of whom; what is counted of several nodes; and that
//! the table of names is true.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[path = "tree/counted.rs"]
mod counted;
#[path = "tree/names.rs"]
mod names;
#[path = "tree/rig.rs"]
mod rig;
#[path = "tree/sampling.rs"]
mod sampling;
#[path = "tree/shape.rs"]
mod shape;
