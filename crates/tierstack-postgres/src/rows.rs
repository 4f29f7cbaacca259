//! Rows by primary key: one statement per load.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use deadpool_postgres::Pool;
use tierstack_core::{BoxFuture, Error, Loaded, Loader, Schema, System};
use tokio_postgres::types::Kind;
use tokio_postgres::{Client, Row, Statement};

use crate::PgEntity;
use crate::bind::ignores_case;
use crate::connection::{Connection, Reply};
use crate::error::unreadable;
use crate::key::PgRowKey;
use crate::probe::Probe;
use crate::sql::{self, Sql};

pub(crate) struct Rows<E> {
    pool: Pool,
    probe: Arc<Probe>,
    select: Select<E>,
}

impl<E: PgEntity> Rows<E> {
    pub(crate) fn new(pool: Pool, probe: Arc<Probe>) -> Self {
        Rows { pool, probe, select: Select::new() }
    }

    async fn read(&self, keys: &[E::Pk]) -> Result<Loaded<E::Pk, E>, Error> {
        if keys.is_empty() {
            return Ok(Loaded::rows(Vec::new()));
        }
        let connection = Connection::open(&self.pool, self.select.table()).await?;
        let reply = connection.probed(&self.probe, self.select.ask(&connection, keys)).await;
        // Whoever waits for a connection need not wait until the rows are read.
        connection.close();
        let (reply, seen) = reply?;
        Ok(self.select.rows(&reply, keys)?.stamped(seen.stamp).shared(seen.shared))
    }
}

impl<E: PgEntity> Loader<E::Pk, E> for Rows<E> {
    fn load<'a>(&'a self, keys: &'a [E::Pk]) -> BoxFuture<'a, Result<Loaded<E::Pk, E>, Error>> {
        Box::pin(self.read(keys))
    }

    fn system(&self) -> Option<System> {
        Some(System::new("postgresql", "SELECT", "COMMIT"))
    }
}

/// The statement that reads rows of an entity by their keys.
pub(crate) struct Select<E> {
    schema: Schema,
    sql: Sql,
    entity: PhantomData<fn() -> E>,
}

impl<E: PgEntity> Select<E> {
    pub(crate) fn new() -> Self {
        let schema = E::schema();
        let sql = sql::rows(&schema, E::Pk::filter);
        Select { schema, sql, entity: PhantomData }
    }

    fn table(&self) -> &str {
        &self.schema.table
    }

    /// Reads rows inside a transaction, uncommitted ones of its own among them.
    pub(crate) async fn read_inside(
        &self,
        client: &Client,
        keys: &[E::Pk],
    ) -> Result<Vec<(E::Pk, E)>, Error> {
        let reply = self.ask(&Connection::inside(client, self.table()), keys).await?;
        let Loaded { rows, mut failed, .. } = self.rows(&reply, keys)?;
        failed.pop().map_or(Ok(rows), |(_, error)| Err(error))
    }

    async fn ask(&self, connection: &Connection<'_>, keys: &[E::Pk]) -> Result<Reply, Error> {
        connection.query(&self.sql, &E::Pk::params(keys)).await
    }

    fn rows(&self, reply: &Reply, keys: &[E::Pk]) -> Result<Loaded<E::Pk, E>, Error> {
        let mut loaded = Loaded::rows(Vec::with_capacity(reply.rows.len()));
        for row in &reply.rows {
            match E::from_row(row).map_err(|error| unreadable(error, row, self.table())) {
                Ok(entity) => loaded.rows.push((entity.pk(), entity)),
                // Of a row that doesn't say whose it is, it isn't known which key must not be taken for absent.
                Err(error) => loaded.failed.push((self.pk(row).ok_or_else(|| error.clone())?, error)),
            }
        }
        if finds_other_case(&reply.statement) {
            let asked: HashSet<&E::Pk, foldhash::quality::RandomState> = keys.iter().collect();
            loaded.rows.retain(|(pk, _)| asked.contains(pk));
            loaded.failed.retain(|(pk, _)| asked.contains(pk));
        }
        Ok(loaded)
    }

    /// The key of a row that can't be read as a whole, if its columns stand side by side, and hold one.
    fn pk(&self, row: &Row) -> Option<E::Pk> {
        let pk = &self.schema.pk;
        let first =
            row.columns().iter().position(|column| pk.first().is_some_and(|name| name == column.name()))?;
        let there = row.columns().get(first..first + pk.len())?;
        let is_whole = there.iter().zip(pk).all(|(column, name)| column.name() == name);
        is_whole.then(|| E::Pk::read_row(row, first).ok()).flatten()
    }
}

/// Whether "A" finds the row of "a", which is another key.
fn finds_other_case(statement: &Statement) -> bool {
    statement.params().iter().any(|param| matches!(param.kind(), Kind::Array(member) if ignores_case(member)))
}
