#![doc = include_str!("../../../README.md")]

pub use tierstack_core::*;
