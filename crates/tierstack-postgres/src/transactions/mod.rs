//! Transactions whose writes every tier of every node learns of.
//!
//! ```no_run
//! # use serde::{Deserialize, Serialize};
//! # use tierstack_core::{BoxError, Cache, Entity, Namespace, Schema};
//! # use tierstack_postgres::{FromRow, tokio_postgres::{Client, Row}};
//! # #[derive(Serialize, Deserialize)] struct Film { film_id: i32 }
//! # impl Entity for Film {
//! #     type Pk = i32;
//! #     fn schema() -> Schema { Schema::table("film").pk(["film_id"]).columns(["film_id"]) }
//! #     fn pk(&self) -> i32 { self.film_id }
//! # }
//! # impl FromRow for Film {
//! #     fn from_row(row: &Row) -> Result<Self, BoxError> { Ok(Film { film_id: row.try_get(0)? }) }
//! # }
//! # async fn example(shop: Namespace, films: Cache<Film>, mut client: Client) -> Result<(), BoxError> {
//! use tierstack_postgres::PgTransactions;
//!
//! let mut tx = shop.transaction(&mut client).await?;
//! tx.execute("UPDATE film SET rental_rate = $1 WHERE film_id = $2", &[&2.99, &7]).await?;
//! tx.touch::<Film>([7])?;
//! let film = tx.get(&films, 7).await?; // touched, and so read on this connection, and kept nowhere
//! tx.commit().await?; // from here on, no node answers what stood there before
//! # Ok(()) }
//! ```
//!
//! Settings, counts, and the pool that a lost outcome is asked on, are those of [`Transactions`]:
//!
//! ```no_run
//! # use tierstack_core::{BoxError, Namespace};
//! # use tierstack_postgres::{deadpool_postgres::Pool, tokio_postgres::Client};
//! use tierstack_core::WithoutL2;
//! use tierstack_postgres::{TransactionSettings, Transactions};
//!
//! # async fn example(shop: Namespace, pool: Pool, mut client: Client) -> Result<(), BoxError> {
//! let mut settings = TransactionSettings::default();
//! settings.without_l2 = WithoutL2::Write; // and not Refuse, the default
//! let transactions = Transactions::new(&shop, settings)?.resolve_with(pool);
//!
//! let tx = transactions.begin(&mut client).await?;
//! # tx.rollback().await?; Ok(()) }
//! ```
//!
//! # Modes
//!
//! | | [`Strict`](Mode::Strict) | [`Fast`](Mode::Fast) |
//! |---|---|---|
//! | before COMMIT | asks Postgres for its id; marks in L2 what it touched | asks Postgres for its id |
//! | while COMMIT takes its time | renews the marks, each third of a floor's life | |
//! | after | tells L2 that it has ended | marks in L2 what it touched, and tells it so |
//! | round trips beside BEGIN and COMMIT | Postgres 1, L2 2 | Postgres 1, L2 1 |
//! | once the write is visible in Postgres | L2 answers nothing older | L2 may, until `commit` returns |
//! | once `commit` has returned | no tier of this node answers anything older, nor L2; L1 of other nodes, as soon as they hear of it | the same |
//! | the process dies after COMMIT was sent | L2 answers nothing older, if the commit is visible within a floor's life | L2 may, until the entry's life ends |
//! | L2 is down before COMMIT | rolled back, or as `Fast`: see [`without_l2`](TransactionSettings::without_l2) | commits |
//! | L2 is down after COMMIT | the marks stand for a floor's life, and it is told later | it is told later |
//!
//! 1. A round trip to L2 is one request for up to [`max_batch`](tierstack_core::WriteSettings::max_batch) records, those
//!    that lists rest on among them.
//! 2. A transaction that touches nothing asks for its id, and no L2. One that wrote nothing has no id, and tells no L2.
//! 3. Of one that failed or was rolled back no tier is told. Marks that it left hinder no load that begins after its end.
//! 4. COMMIT of a transaction in which a statement has failed is a rollback to Postgres: here it is an error, always.
//! 5. If the answer to COMMIT is lost, [`commit`](Transaction::commit) fails with [`Outcome::Unknown`]. In the
//!    background, the marks are renewed and `pg_xact_status` is asked on another connection until it answers;
//!    [`Namespace::shutdown`](tierstack_core::Namespace::shutdown) waits for that, with one last question.
//!
//! 6. What [`put`](Transaction::put) names is read inside the transaction, once it is marked, and given to L2 after COMMIT:
//!    two statements more in one transaction, a round trip to L2, and no load by whoever asks next.
//! 7. [`Written::token`] travels to other nodes, in a header say: a lookup with it sees this write on each of them.
//!
//! # Caveats
//! * What isn't touched isn't forgotten: name every row that is written, by triggers and cascades as well.
//! * An invalidation is no touch: before COMMIT, it lets others cache what the transaction replaces. One that the task calls
//!   which began the transaction, of caches of this very [`Namespace`](tierstack_core::Namespace), takes effect and is an
//!   error: see [`Cache::invalidate`](tierstack_core::Cache::invalidate).
//! * The isolation level is the connection's; `SET TRANSACTION ISOLATION LEVEL …` as the first statement sets another.
//! * Savepoints are statements (`SAVEPOINT`, `ROLLBACK TO`): their rows bear ids of their own, but snapshots know those by
//!   the transaction's, which is the one marked. What was touched before a `ROLLBACK TO` stays touched.
//! * Two-phase commit isn't served. A transaction that was prepared, or ended by any other statement of its own, makes
//!   [`commit`](Transaction::commit) fail with [`Outcome::EndedBefore`], and what it touched is invalidated then. Call
//!   [`Cache::invalidate`](tierstack_core::Cache::invalidate) after `COMMIT PREPARED`.
//! * `pg_control_system()` and `pg_walfile_name()` must be the user's to call, as they are everybody's by default; if not, a
//!   transaction can't commit here. Postgres 13 is the oldest that has all of them.
//! * Don't take the last connection of the pool that the caches load from, and then ask a cache inside the transaction.

mod commit;
mod keeper;
mod outcome;
mod puts;
mod reads;
mod settings;
mod shared;
mod transaction;

pub use outcome::{CommitError, Outcome, Written};
pub use settings::{Mode, TransactionSettings};
pub use shared::{PgTransactions, TransactionStats, Transactions};
pub use transaction::Transaction;
