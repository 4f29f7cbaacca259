//! A plain connection, as `psql` has.

use std::time::Duration;

use tierstack_core::BoxFuture;
use tierstack_postgres::deadpool_postgres::{Object, Pool};
use tierstack_postgres::tokio_postgres::error::Severity;

use crate::entity::slug;
use crate::record::Outcome;
use crate::write::{Change, Done, Write, Writer};

/// A write that takes longer is of unknown outcome.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Writes, and leaves the invalidation to its caller.
pub(crate) struct Plain(pub(crate) Pool);

impl Writer for Plain {
    fn write<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let outcome = tokio::time::timeout(TIMEOUT, self.send(write)).await;
            Done { outcome: outcome.unwrap_or(Outcome::Unknown), told: false }
        })
    }
}

impl Plain {
    async fn send(&self, write: &Write) -> Outcome {
        // Without a connection, nothing was sent.
        let Ok(client) = self.0.get().await else { return Outcome::RolledBack };
        // Statements sent together are one transaction.
        let sql = statements(write);
        let sql = if write.rolled_back { format!("BEGIN; {sql}; ROLLBACK") } else { sql };
        let Err(error) = client.batch_execute(&sql).await else {
            return if write.rolled_back { Outcome::RolledBack } else { Outcome::Committed };
        };
        let refused = error.as_db_error().and_then(|error| error.parsed_severity());
        let refused = refused == Some(Severity::Error);
        if write.rolled_back || !refused {
            // It is in a failed transaction, or of no use.
            drop(Object::take(client));
        }
        if refused || write.rolled_back { Outcome::RolledBack } else { Outcome::Unknown }
    }
}

/// The statements of a write, within its transaction.
pub(crate) fn statements(write: &Write) -> String {
    let pk = write.pk;
    let change = match write.change {
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
    format!("SET LOCAL soak.op = '{}'; {change}", write.op)
}
