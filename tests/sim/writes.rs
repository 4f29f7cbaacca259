//! Writes: what they touch, and what every tier and node makes of it.

mod held;
mod open;
mod put;
mod tokens;
mod touched;
mod undelivered;
