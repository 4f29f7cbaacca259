//! A connection that is checked out for one load, or on which a transaction is open.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::{Object, Pool};
use tierstack_core::Error;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use crate::bind::{Fit, Param};
use crate::error::{failed, incomparable, unconnected};
use crate::probe::{Probe, Seen};
use crate::sql::Sql;

pub(crate) struct Connection<'a> {
    held: Held<'a>,
    /// Whether an error was the connection's last.
    broken: AtomicBool,
    /// Whose load it is, for errors.
    table: &'a str,
}

/// Whose connection it is.
#[expect(clippy::large_enum_variant, reason = "it is on the stack, and of loads it is the large one")]
enum Held<'a> {
    /// The pool's, which keeps its prepared statements.
    Pooled(Object),
    /// A transaction's: it sees its own rows, and ends with the first statement that fails.
    Open(&'a Client),
}

/// The rows of a statement, and the statement, which knows its columns when there is no row.
pub(crate) struct Reply {
    pub(crate) statement: Statement,
    pub(crate) rows: Vec<Row>,
}

impl<'a> Connection<'a> {
    /// # Errors
    /// [`Origin`](tierstack_core::ErrorKind::Origin) if the pool gives no connection.
    pub(crate) async fn open(pool: &Pool, table: &'a str) -> Result<Connection<'a>, Error> {
        let client = pool.get().await.map_err(|error| unconnected(error, table))?;
        Ok(Connection { held: Held::Pooled(client), broken: AtomicBool::new(false), table })
    }

    /// One on which a transaction is open. It prepares each statement anew.
    pub(crate) fn inside(client: &'a Client, table: &'a str) -> Connection<'a> {
        Connection { held: Held::Open(client), broken: AtomicBool::new(false), table }
    }

    /// Runs a statement, which is prepared once per connection.
    ///
    /// # Errors
    /// [`Origin`](tierstack_core::ErrorKind::Origin) if Postgres or the way to it fails;
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) if a parameter can't be compared with its column.
    ///
    /// # Cancel safety
    /// The statement goes on in Postgres, and the connection is busy until it ends.
    pub(crate) async fn query(&self, sql: &Sql, params: &[Param<'_>]) -> Result<Reply, Error> {
        let statement = self.prepare(sql).await?;
        if statement.params().iter().zip(params).all(|(column, param)| param.fit(column) == Fit::Fits) {
            match self.run(&statement, params).await {
                Err(error) if self.is_kept() && may_be_stale(&error) => {}
                done => return self.reply(statement, done),
            }
        }
        // Prepared before the table was altered, perhaps: its idea of the columns' types may be an old one. Nothing may
        // be concluded from it, least of all that a value is beyond a column's range and so has no row.
        if let Held::Pooled(client) = &self.held {
            drop(client.statement_cache.remove(&sql.text, NO_TYPES));
        }
        let statement = self.prepare(sql).await?;
        for (place, (column, param)) in statement.params().iter().zip(params).enumerate() {
            if param.fit(column) == Fit::Wrong {
                let name = sql.columns.get(place).map_or("", String::as_str);
                return Err(incomparable(self.table, name, column.name(), param.type_name()));
            }
        }
        let done = self.run(&statement, params).await;
        self.reply(statement, done)
    }

    /// Runs `read` on this connection, and says of which moment its rows are. See [`Probe`].
    ///
    /// # Errors
    /// Those of `read`; [`Origin`](tierstack_core::ErrorKind::Origin) if Postgres or the way to it fails.
    ///
    /// # Cancel safety
    /// That of `read`.
    pub(crate) async fn probed<T>(
        &self,
        probe: &Probe,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Seen), Error> {
        match &self.held {
            Held::Pooled(client) => probe.around(client, read, |error| self.failed(error)).await,
            Held::Open(_) => Ok((read.await?, Seen::private())),
        }
    }

    /// Gives the connection back, unless it is of no use to the next load: the pool looks whether a connection is closed,
    /// and one that Postgres is closing may not know it yet.
    pub(crate) fn close(self) {
        if let (true, Held::Pooled(client)) = (self.broken.into_inner(), self.held) {
            drop(Object::take(client));
        }
    }

    async fn prepare(&self, sql: &Sql) -> Result<Statement, Error> {
        let prepared = match &self.held {
            Held::Pooled(client) => client.prepare_cached(&sql.text).await,
            Held::Open(client) => client.prepare(&sql.text).await,
        };
        prepared.map_err(|error| self.failed(error))
    }

    async fn run(
        &self,
        statement: &Statement,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(Param::as_sql).collect();
        let client: &Client = match &self.held {
            Held::Pooled(client) => client,
            Held::Open(client) => client,
        };
        client.query(statement, &params).await
    }

    /// Whether its statements were prepared before, perhaps.
    fn is_kept(&self) -> bool {
        matches!(self.held, Held::Pooled(_))
    }

    fn reply(
        &self,
        statement: Statement,
        done: Result<Vec<Row>, tokio_postgres::Error>,
    ) -> Result<Reply, Error> {
        let rows = done.map_err(|error| self.failed(error))?;
        Ok(Reply { statement, rows })
    }

    fn failed(&self, error: tokio_postgres::Error) -> Error {
        if is_last(&error) {
            self.broken.store(true, Ordering::Relaxed);
        }
        failed(error, self.table)
    }
}

/// Whether the connection ends with this error, or is left inside a transaction that has failed and that nobody ends.
fn is_last(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|refused| {
        matches!(refused.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
            || *refused.code() == SqlState::IN_FAILED_SQL_TRANSACTION
    })
}

/// Every parameter's type is Postgres's to tell.
const NO_TYPES: &[Type] = &[];

/// Whether a statement that is prepared anew may succeed where this one failed. By code, as messages are translated:
/// "cached plan must not change result type" is 0A000, an operator that is gone with the column's old type is 42883.
fn may_be_stale(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        let known = [
            &SqlState::FEATURE_NOT_SUPPORTED,
            &SqlState::INVALID_SQL_STATEMENT_NAME,
            // "cache lookup failed for type": it was dropped and created again.
            &SqlState::INTERNAL_ERROR,
        ];
        known.contains(&code) || code.code().starts_with("42")
    })
}
