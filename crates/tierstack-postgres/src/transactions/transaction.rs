//! A transaction, and what it touches.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use futures_util::FutureExt;
use tierstack_core::{Entity, Error, IntoKey, OpenTransaction, Touched};
use tokio_postgres::Client;

use super::puts::ReadRows;
use super::shared::Shared;
use crate::error::not_done;

/// A table, and the schema it is in.
pub(super) type Table = (Option<Cow<'static, str>>, Cow<'static, str>);

/// A transaction of Postgres, and what it touches in the caches of a namespace.
///
/// It derefs to the [`Client`], for statements: `execute`, `query`, `prepare` and the like. Its end is
/// [`commit`](Self::commit)'s, [`rollback`](Self::rollback)'s or `Drop`'s, not a statement's; savepoints are statements.
///
/// # Cancel safety
/// Dropping it rolls back, and touches nothing.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'a> {
    pub(super) client: &'a mut Client,
    pub(super) shared: Arc<Shared>,
    pub(super) touched: Touched,
    /// Entities of which anything is touched.
    pub(super) entities: HashSet<Table, foldhash::quality::RandomState>,
    /// Rows to give to L2.
    pub(super) puts: Vec<Box<dyn ReadRows>>,
    /// Whether nothing has ended it yet.
    pub(super) open: bool,
    /// Has the namespace tell an invalidation in place of a touch.
    _noted: OpenTransaction,
}

/// One message. The setting is there until the transaction ends, however it does, so it tells this one from any other. It is
/// no query: the isolation level may still be set.
const BEGIN: &str = "BEGIN; SET LOCAL tierstack.transaction = 'open'";

impl<'a> Transaction<'a> {
    pub(super) async fn begin(shared: Arc<Shared>, client: &'a mut Client) -> Result<Transaction<'a>, Error> {
        let touched = Touched::new(&shared.namespace);
        let entities = HashSet::default();
        let (puts, _noted) = (Vec::new(), shared.namespace.open_transaction());
        // Open before it is sent: if this future is dropped, it may have begun.
        let begun = Transaction { client, shared, touched, entities, puts, open: true, _noted };
        begun.client.batch_execute(BEGIN).await.map_err(|error| not_done(error, "begun"))?;
        Ok(begun)
    }

    /// Says which rows it writes: every tier of every node forgets them as it commits, and what is derived from rows of the
    /// entity. Name those that were inserted and deleted, too.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) for a key over the limit, whose row no tier holds; the others are
    /// touched.
    pub fn touch<E: Entity>(&mut self, pks: impl IntoIterator<Item: IntoKey<E::Pk>>) -> Result<(), Error> {
        let touched = self.touched.rows::<E>(pks).map(drop);
        if !self.touched.is_empty() {
            self.entities.insert(Self::entity::<E>());
        }
        touched
    }

    /// Says that it writes rows of an entity that can't be named, or too many: all are forgotten.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) if a name of the entity's schema is empty.
    pub fn touch_all<E: Entity>(&mut self) -> Result<(), Error> {
        self.touched.entity::<E>()?;
        self.entities.insert(Self::entity::<E>());
        Ok(())
    }

    /// Whether it has touched that row, or all of the entity.
    #[must_use]
    pub fn touches<E: Entity>(&self, pk: &E::Pk) -> bool {
        self.touched.touches::<E>(pk)
    }

    pub(super) fn entity<E: Entity>() -> Table {
        let schema = E::schema();
        (schema.in_schema, schema.table)
    }

    /// Rolls back. No tier is told of anything.
    ///
    /// # Errors
    /// [`Origin`](tierstack_core::ErrorKind::Origin) if the way to Postgres fails, which rolls it back all the same.
    ///
    /// # Cancel safety
    /// It is rolled back.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.open = false;
        let done = self.client.batch_execute("ROLLBACK").await;
        done.map_err(|error| not_done(error, "rolled back"))
    }
}

impl Deref for Transaction<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // Polled once, it is sent; nobody waits for the answer.
            let _ = self.client.batch_execute("ROLLBACK").now_or_never();
        }
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("touched", &self.touched).finish_non_exhaustive()
    }
}
