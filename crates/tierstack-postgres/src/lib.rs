//! Postgres as an origin.

mod bind;
mod error;
mod from_row;
mod index;
mod key;
mod origin;
mod rows;
mod session;
mod sql;
mod statements;

pub use deadpool_postgres;
pub use from_row::{FromRow, PgEntity};
pub use key::PgKey;
pub use origin::PgOrigin;
pub use tokio_postgres;
