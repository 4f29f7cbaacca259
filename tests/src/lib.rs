//! What the tests share: entities, and an origin in memory that counts, fails and stalls as it is told.

mod film;
pub mod model;
mod repository;

pub use film::{Film, FilmTitle, film};
pub use repository::Repository;
