//! Rows by primary key: one statement per load.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use deadpool_postgres::Pool;
use tierstack_core::{BoxFuture, Error, Loaded, Loader, System};
use tokio_postgres::types::Kind;
use tokio_postgres::{Client, Statement};

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
        let connection = Connection::open(&self.pool, &self.select.table).await?;
        let reply = connection.probed(&self.probe, self.select.ask(&connection, keys)).await;
        // Whoever waits for a connection need not wait until the rows are read.
        connection.close();
        let (reply, seen) = reply?;
        Ok(Loaded::rows(self.select.rows(&reply, keys)?).stamped(seen.stamp).shared(seen.shared))
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
    table: String,
    sql: Sql,
    entity: PhantomData<fn() -> E>,
}

impl<E: PgEntity> Select<E> {
    pub(crate) fn new() -> Self {
        let schema = E::schema();
        let sql = sql::rows(&schema, E::Pk::filter);
        Select { table: schema.table.into_owned(), sql, entity: PhantomData }
    }

    /// Reads rows inside a transaction, uncommitted ones of its own among them.
    pub(crate) async fn read_inside(
        &self,
        client: &Client,
        keys: &[E::Pk],
    ) -> Result<Vec<(E::Pk, E)>, Error> {
        let reply = self.ask(&Connection::inside(client, &self.table), keys).await?;
        self.rows(&reply, keys)
    }

    async fn ask(&self, connection: &Connection<'_>, keys: &[E::Pk]) -> Result<Reply, Error> {
        connection.query(&self.sql, &E::Pk::params(keys)).await
    }

    fn rows(&self, reply: &Reply, keys: &[E::Pk]) -> Result<Vec<(E::Pk, E)>, Error> {
        let rows = reply.rows.iter().map(|row| {
            let entity = E::from_row(row).map_err(|error| unreadable(error, row, &self.table))?;
            Ok((entity.pk(), entity))
        });
        let mut rows: Vec<(E::Pk, E)> = rows.collect::<Result<_, Error>>()?;
        if finds_other_case(&reply.statement) {
            let asked: HashSet<&E::Pk, foldhash::quality::RandomState> = keys.iter().collect();
            rows.retain(|(pk, _)| asked.contains(pk));
        }
        Ok(rows)
    }
}

/// Whether "A" finds the row of "a", which is another key.
fn finds_other_case(statement: &Statement) -> bool {
    statement.params().iter().any(|param| matches!(param.kind(), Kind::Array(member) if ignores_case(member)))
}
