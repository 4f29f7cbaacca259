//! Loads rows, and answers queries, from Postgres: the origin of a cache of tierstack.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use tierstack_core::{BoxError, Entity, L1, Namespace, Query, Schema};
//! use tierstack_postgres::deadpool_postgres::{Manager, Pool, Runtime};
//! use tierstack_postgres::tokio_postgres::{NoTls, Row};
//! use tierstack_postgres::{FromRow, PgOrigin};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Film { film_id: i32, title: String, rating: String }
//!
//! impl Entity for Film {
//!     type Pk = i32;
//!     fn schema() -> Schema {
//!         Schema::table("film").pk(["film_id"]).columns(["film_id", "title"]).column_as("rating", "text")
//!     }
//!     fn pk(&self) -> i32 { self.film_id }
//! }
//!
//! impl FromRow for Film {
//!     fn from_row(row: &Row) -> Result<Self, BoxError> {
//!         Ok(Film {
//!             film_id: row.try_get("film_id")?,
//!             title: row.try_get("title")?,
//!             rating: row.try_get("rating")?,
//!         })
//!     }
//! }
//!
//! # async fn example() -> Result<(), BoxError> {
//! let manager = Manager::new("postgres://shop@db/shop".parse()?, NoTls);
//! let pool = Pool::builder(manager).max_size(16).runtime(Runtime::Tokio1).build()?;
//! let shop = Namespace::builder("shop").build()?;
//! let films = shop.cache::<Film>().l1(L1::capacity(100_000)).origin(PgOrigin::new(pool)).build()?;
//!
//! films.objects_by_pks([3, 1, 2]).await?;
//! let by_title = Query::<Film>::one("by_title").param::<String>("title").build()?;
//! films.objects_by(&by_title, ["ZORRO ARK", "ACADEMY DINOSAUR"]).await?;
//! # Ok(()) }
//! ```
//!
//! 1. A batch of keys is one statement, `SELECT … WHERE "film_id" = ANY($1::int4[])`; so is a batch of values of one
//!    secondary key (`one()` with one parameter). Every other query is a statement of its own, a few of them under way at a
//!    time. A load holds one connection.
//! 2. Nothing but the names of the [`Schema`](tierstack_core::Schema) and of the query reaches SQL as text, each quoted;
//!    data are parameters. A cast is a name, too, and so it is the type's own: `float8`, `int4`, `_text`, and not
//!    `double precision`, `integer`, `text[]`.
//! 3. Rows are matched by the entity's own key, in any order. Two rows of a query that finds one are that query's error.
//! 4. A value that no column of the type can hold (an integer beyond its range, a text with a NUL) has no row and costs
//!    the others nothing. Anything else that Postgres doesn't take is an error, and none is ever taken for an absence.
//! 5. What is wrong with one key or one query is its own failure, and costs those none that are loaded with it: a row that
//!    can't be read, as long as the columns of its key stand side by side and can; a parameter of another type; a column that
//!    is gone. Only if a statement for many is refused, all of those fail.
//! 6. Statements are prepared once per connection, and once more when the table was altered.
//! 7. Every load is stamped: two small statements go ahead of its own, in the same round trip, and say which snapshot it
//!    reads with, of which system and timeline. So a load that has not seen a transaction can't fill what that has marked.
//! 8. What a load reads on a standby, or inside a transaction that was open when the pool gave the connection, is
//!    answered and kept nowhere: a standby may lag behind a write whose invalidation is long over, and a transaction sees
//!    its own rows before anybody else may.
//!
//! # Errors
//! Of a load: [`Origin`](tierstack_core::ErrorKind::Origin) for all that the pool, Postgres and [`FromRow`] refuse, with
//! their error as its source: `error.downcast_ref::<tokio_postgres::Error>()` has the SQLSTATE.
//! [`Invalid`](tierstack_core::ErrorKind::Invalid) for a parameter whose type can't be compared with its column's: text
//! with an `int4`, an integer with a `numeric`.
//!
//! # Cancel safety
//! A load may be dropped at any time, as a deadline does. Its connection goes back to the pool in order, and nobody gets
//! rows that weren't his. But Postgres works on: the next load on that connection waits for the statement to end. Give the
//! pool's user a `statement_timeout` a little above the cache's `load_timeout`.
//!
//! # Caveats
//! * A user whom Postgres refuses a function of the stamp gets rows without one: [`PgOrigin::why_unstamped`] says so. All
//!   of them are everybody's unless somebody revoked that. Postgres 13 is the oldest that has them.
//! * Between a load's statements, a pooler may change connections, as PgBouncer does by transaction. One that sends them to
//!   several servers, some of them standbys, isn't seen through: give each server a pool of its own.
//! * A pooler that hands each transaction to another connection must know prepared statements: PgBouncer does from 1.21 on,
//!   where `max_prepared_statements` isn't 0, as it was by default before 1.24. Through another, loads fail with 26000; and
//!   as a name is the process's own, one process may run what another has prepared under it.
//! * A label that an enum lacks fails its whole statement, and so all keys, or all values of a secondary key, that are loaded
//!   with it: parse it before it is asked for.
//! * An index serves a secondary key, or a list, if there is one: declare `unique` what `one()` takes for unique.
//! * A text column with a nondeterministic collation is no primary key: what differs to Rust and is equal to Postgres is
//!   a row that nobody asked for. Secondary keys may have any collation.

mod bind;
mod connection;
mod error;
mod from_row;
mod index;
mod key;
mod origin;
mod probe;
mod rows;
mod snapshot;
mod sql;
mod statements;
pub mod transactions;

pub use deadpool_postgres;
pub use from_row::{FromRow, PgEntity};
pub use key::PgKey;
pub use origin::PgOrigin;
pub use tokio_postgres;
pub use transactions::{Mode, PgTransactions, TransactionSettings, Transactions};
