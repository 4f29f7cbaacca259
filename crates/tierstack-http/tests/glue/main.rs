//! What handlers are given, and what clients are told: the lookups of a request, typed keys, problems, health.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod films;
mod handlers;
mod lookups;
