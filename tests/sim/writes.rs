//! Writes: what they touch, and what every tier and node makes of it.

mod touched;
mod undelivered;
