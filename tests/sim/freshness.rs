//! How long an entry answers, and what happens behind a stale one.

mod lives;
mod options;
mod refreshes;
