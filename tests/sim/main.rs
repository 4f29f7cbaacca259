//! Behaviour in simulated time, one file each: no socket, no second.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod bad_input;
mod consistency;
mod entities;
mod envelope;
mod flights;
mod freshness;
mod health;
mod hearing;
mod keys;
mod layers;
mod manager;
mod model;
mod requests;
mod services;
mod shop;
mod storm;
mod waiting;
mod writes;
