//! What must compile, without a warning for a user who asks for all of them.
#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(dead_code, reason = "what is skipped is read by nobody here")]

mod generics;
mod names;
mod paths;
mod shapes;
