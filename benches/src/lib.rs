//! Measures a thing and its floor side by side, in slices that alternate, and keeps the ratios.
//!
//! Absolute times of a shared machine mean nothing; the ratio of two slices that ran one after the other does. Each pair
//! runs as floor, ours, ours, floor, so that a drift of the machine's speed falls on both.

mod film;
mod pair;
mod record;

pub use film::{Film, film, films, films_of};
pub use pair::{Pair, threads};
pub use record::{Row, read_rows};
