//! Behaviour in simulated time, one file each: no socket, no second.

mod consistency;
mod model;
