use tierstack_core::{BoxError, Entity};
use tokio_postgres::Row;

use crate::PgKey;

/// Reads an entity from a row of Postgres.
///
/// The row has the columns of the [`Schema`](tierstack_core::Schema), under their names, cast as it says. Read them by
/// name with [`Row::try_get`]: an error says then which column it was, and the order doesn't matter.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from a row of Postgres",
    note = "implement `tierstack_postgres::FromRow` for it"
)]
pub trait FromRow: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When a column is missing, null, or of a type that the field can't be read from. The row's key fails with it
    /// ([`Origin`](tierstack_core::ErrorKind::Origin)): such a row is never taken for an absent one. If the columns of the key
    /// don't stand side by side in the schema, or can't be read either, it isn't known whose row it is, and the load fails.
    fn from_row(row: &Row) -> Result<Self, BoxError>;
}

/// An entity that can be loaded from Postgres: its key is a [`PgKey`], and it reads itself [`FromRow`].
pub trait PgEntity: Entity<Pk: PgKey> + FromRow {}

impl<E: Entity<Pk: PgKey> + FromRow> PgEntity for E {}
