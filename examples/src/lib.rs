//! The examples are targets of their own.

pub mod shelf;
