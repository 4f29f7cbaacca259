//! What the tests share: entities, and an origin in memory that counts, fails and stalls as it is told.

mod bus;
pub mod crowd;
mod film;
mod gate;
pub mod model;
mod repository;
mod rolls;
mod scripted;
mod watched_tier;

pub use bus::steady;
pub use film::{Film, FilmTitle, film};
pub use gate::Gate;
pub use repository::Repository;
pub use rolls::Rolls;
pub use scripted::{End, Ended, Load, Mark, QUERIES, Scripted, Step};
pub use watched_tier::WatchedTier;
