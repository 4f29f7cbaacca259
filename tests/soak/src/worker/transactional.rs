//! Transactions of the library, strict or fast.

use tierstack_core::{BoxFuture, Namespace};
use tierstack_postgres::deadpool_postgres::Pool;
use tierstack_postgres::transactions::{Mode, Outcome as Fate, TransactionSettings, Transactions};

use super::plain::{TIMEOUT, statements};
use crate::entity::Item;
use crate::record::Outcome;
use crate::write::{Done, Write, Writer};

/// Writes, and has the tiers told.
pub(crate) struct Transactional {
    pool: Pool,
    transactions: Transactions,
    is_strict: bool,
}

impl Transactional {
    pub(crate) fn new(namespace: &Namespace, pool: Pool, mode: Mode) -> anyhow::Result<Self> {
        let mut settings = TransactionSettings::default();
        settings.mode = mode;
        let transactions = Transactions::new(namespace, settings)?.resolve_with(pool.clone());
        Ok(Transactional { pool, transactions, is_strict: mode == Mode::Strict })
    }

    async fn send(&self, write: &Write) -> Done {
        let not_told = |outcome| Done { outcome, told: false };
        // Nothing is written before COMMIT.
        let rolled_back = not_told(Outcome::RolledBack);
        let Ok(mut client) = self.pool.get().await else { return rolled_back };
        let Ok(mut transaction) = self.transactions.begin(&mut client).await else { return rolled_back };
        if transaction.batch_execute(&statements(write)).await.is_err()
            || transaction.touch::<Item>([write.pk.cast_signed()]).is_err()
        {
            return rolled_back;
        }
        if write.rolled_back {
            // One that can't be rolled back is by Postgres, as its connection ends.
            let _ = transaction.rollback().await;
            return rolled_back;
        }
        match transaction.commit().await {
            // One that wrote nothing tells nobody.
            Ok(written) if written.xid.is_none() => rolled_back,
            Ok(written) => Done { outcome: Outcome::Committed, told: written.undelivered.is_none() },
            Err(error) if error.outcome() == Fate::RolledBack => rolled_back,
            Err(_) => not_told(Outcome::Unknown),
        }
    }
}

impl Writer for Transactional {
    fn is_strict(&self) -> bool {
        self.is_strict
    }

    fn write<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let done = tokio::time::timeout(TIMEOUT, self.send(write)).await;
            done.unwrap_or(Done { outcome: Outcome::Unknown, told: false })
        })
    }
}
