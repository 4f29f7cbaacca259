//! How a row is written: the modes of a writer.

use tierstack_core::BoxFuture;
use tierstack_postgres::deadpool_postgres::{Object, Pool};
use tierstack_postgres::tokio_postgres::error::Severity;

use crate::entity::slug;
use crate::record::Outcome;

/// What becomes of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Update { shelf: u8, parity: u8 },
    Insert { shelf: u8, parity: u8 },
    Delete,
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) op: u64,
    pub(crate) pk: u32,
    pub(crate) change: Change,
    /// It is taken back before anybody sees it.
    pub(crate) rolled_back: bool,
}

impl Write {
    fn sql(&self) -> String {
        let pk = self.pk;
        let change = match self.change {
            Change::Update { shelf, parity } => {
                let slug = slug(pk, parity);
                format!("UPDATE item SET shelf = {shelf}, slug = '{slug}' WHERE item_id = {pk}")
            }
            Change::Insert { shelf, parity } => {
                let slug = slug(pk, parity);
                format!("INSERT INTO item VALUES ({pk}, '{slug}', {shelf}, 0, 0)")
            }
            Change::Delete => format!("DELETE FROM item WHERE item_id = {pk}"),
        };
        let said = format!("SET LOCAL soak.op = '{}'; {change}", self.op);
        // Statements sent together are one transaction.
        if self.rolled_back { format!("BEGIN; {said}; ROLLBACK") } else { said }
    }
}

/// A way to write.
pub(crate) trait Writer: Send + Sync {
    /// Whether it names its keys to the tiers before it commits.
    fn is_strict(&self) -> bool {
        false
    }

    /// Writes, and says how that ended.
    fn write<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Outcome>;
}

/// A plain connection, as `psql` has. Whoever calls it invalidates.
pub(crate) struct Plain(pub(crate) Pool);

impl Writer for Plain {
    fn write<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            // Without a connection, nothing was sent.
            let Ok(client) = self.0.get().await else { return Outcome::RolledBack };
            let Err(error) = client.batch_execute(&write.sql()).await else {
                return if write.rolled_back { Outcome::RolledBack } else { Outcome::Committed };
            };
            let refused = error.as_db_error().and_then(|error| error.parsed_severity());
            let refused = refused == Some(Severity::Error);
            if write.rolled_back || !refused {
                // It is in a failed transaction, or of no use.
                drop(Object::take(client));
            }
            if refused || write.rolled_back { Outcome::RolledBack } else { Outcome::Unknown }
        })
    }
}
