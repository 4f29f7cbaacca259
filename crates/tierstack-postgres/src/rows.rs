//! Rows by primary key: one statement per load.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use deadpool_postgres::Pool;
use tierstack_core::{BoxFuture, Error, Loaded, Loader};
use tokio_postgres::Statement;
use tokio_postgres::types::Kind;

use crate::PgEntity;
use crate::bind::ignores_case;
use crate::connection::Connection;
use crate::error::unreadable;
use crate::key::PgRowKey;
use crate::probe::Probe;
use crate::sql::{self, Sql};

pub(crate) struct Rows<E> {
    pool: Pool,
    probe: Arc<Probe>,
    table: String,
    sql: Sql,
    entity: PhantomData<fn() -> E>,
}

impl<E: PgEntity> Rows<E> {
    pub(crate) fn new(pool: Pool, probe: Arc<Probe>) -> Self {
        let schema = E::schema();
        let sql = sql::rows(&schema, E::Pk::filter);
        Rows { pool, probe, table: schema.table.into_owned(), sql, entity: PhantomData }
    }

    async fn read(&self, keys: &[E::Pk]) -> Result<Loaded<E::Pk, E>, Error> {
        if keys.is_empty() {
            return Ok(Loaded::rows(Vec::new()));
        }
        let connection = Connection::open(&self.pool, &self.table).await?;
        let params = E::Pk::params(keys);
        let reply = connection.probed(&self.probe, connection.query(&self.sql, &params)).await;
        // Whoever waits for a connection need not wait until the rows are read.
        connection.close();
        let (reply, seen) = reply?;
        let rows = reply.rows.iter().map(|row| {
            let entity = E::from_row(row).map_err(|error| unreadable(error, row, &self.table))?;
            Ok((entity.pk(), entity))
        });
        let mut rows: Vec<(E::Pk, E)> = rows.collect::<Result<_, Error>>()?;
        if finds_other_case(&reply.statement) {
            let asked: HashSet<&E::Pk, foldhash::quality::RandomState> = keys.iter().collect();
            rows.retain(|(pk, _)| asked.contains(pk));
        }
        Ok(Loaded { rows, stamp: seen.stamp, shared: seen.shared })
    }
}

impl<E: PgEntity> Loader<E::Pk, E> for Rows<E> {
    fn load<'a>(&'a self, keys: &'a [E::Pk]) -> BoxFuture<'a, Result<Loaded<E::Pk, E>, Error>> {
        Box::pin(self.read(keys))
    }
}

/// Whether "A" finds the row of "a", which is another key.
fn finds_other_case(statement: &Statement) -> bool {
    statement.params().iter().any(|param| matches!(param.kind(), Kind::Array(member) if ignores_case(member)))
}
