//! The layers by hand: what tower's users compose, and what the layers promise each other.

mod composed;
mod conformance;
mod contract;
mod fleet;
mod reservations;
