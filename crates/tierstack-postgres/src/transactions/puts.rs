//! Rows that a transaction gives to L2: read inside it, once it is marked, and kept until it has committed.

use tierstack_core::{BoxFuture, Cache, Error, ErrorKind, IntoKey, Marked, Put, Stamp, Xid};
use tokio_postgres::Client;

use super::outcome::CommitError;
use super::reads::MOST_KEYS;
use super::transaction::Transaction;
use crate::PgEntity;
use crate::error::not_done;
use crate::rows::Select;
use crate::snapshot::{OWN_SNAPSHOT, own_stamp};

/// Rows as the transaction will have left them, and what they rest on.
pub(super) struct Read {
    /// Under which they were read; it claims the right to fill them.
    pub(super) marked: Marked,
    pub(super) stamp: Stamp,
    pub(super) puts: Vec<Put>,
}

/// Reads rows of one entity.
pub(super) trait ReadRows: Send + Sync {
    fn read<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Vec<Put>, Error>>;
}

struct Rows<E: PgEntity> {
    cache: Cache<E>,
    pks: Vec<E::Pk>,
}

impl<E: PgEntity> ReadRows for Rows<E> {
    fn read<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<Vec<Put>, Error>> {
        Box::pin(async move {
            let select = Select::<E>::new();
            let mut puts = Vec::with_capacity(self.pks.len());
            for part in self.pks.chunks(MOST_KEYS) {
                let rows = select.read_inside(client, part).await?;
                // One that L2 can't hold is left out.
                puts.extend(rows.into_iter().filter_map(|(_, row)| Put::of(&self.cache, row).ok()));
            }
            Ok(puts)
        })
    }
}

impl Transaction<'_> {
    /// Writes rows through: once the transaction has committed, L2 holds them as it left them, and whoever asks next is
    /// answered without a load. They are read on this connection just before COMMIT, with all that Postgres itself put into
    /// them.
    ///
    /// L2 takes a row only if no other write came near it. A transaction that isn't strict, that was downgraded, or whose
    /// isolation level isn't READ COMMITTED puts none; nor is a row put that it has deleted. Then the row is loaded, as
    /// without this.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a row that was not [touched](Self::touch) by its key before.
    pub fn put<E, I>(&mut self, cache: &Cache<E>, pks: I) -> Result<(), Error>
    where
        E: PgEntity,
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let pks: Vec<E::Pk> = pks.into_iter().map(IntoKey::into_key).collect();
        if !pks.iter().all(|pk| self.touched.touches::<E>(pk)) {
            let text = "a row is put that the transaction has not touched: touch it by its key first";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        if !pks.is_empty() {
            self.puts.push(Box::new(Rows { cache: cache.clone(), pks }));
        }
        Ok(())
    }

    /// Reads what is to be put; `None` if it can't be.
    pub(super) async fn read(&self, marked: &Marked, xid: Xid) -> Result<Option<Read>, CommitError> {
        // A statement that fails here has failed the transaction, which must not be taken for one that commits.
        let rolled_back = |error| CommitError::rolled_back(not_done(error, "committed"));
        // Before the rows, and after the right to fill them was claimed, as of any load.
        let row = self.client.query_typed_one(OWN_SNAPSHOT, &[]).await.map_err(rolled_back)?;
        let Some(stamp) = own_stamp(&row, xid.id).map_err(rolled_back)? else { return Ok(None) };
        let mut puts = Vec::new();
        for rows in &self.puts {
            puts.extend(rows.read(self.client).await.map_err(CommitError::rolled_back)?);
        }
        Ok(Some(Read { marked: marked.clone(), stamp, puts }))
    }
}
