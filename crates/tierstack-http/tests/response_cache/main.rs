//! The cache of responses: what is kept, for whom, and that nothing is lost of what isn't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod bodies;
mod handlers;
mod pages;
mod requests;
mod responses;
