//! What went wrong, what to try, and Postgres's own error below it.

use deadpool_postgres::{PoolError, TimeoutType};
use tierstack_core::{BoxError, Error, ErrorKind};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

/// At most this much of the server's message goes into an error; the rest is in its source.
const MOST_CHARS: usize = 200;

/// No connection was had.
pub(crate) fn unconnected(error: PoolError, table: &str) -> Error {
    let (why, advice) = match &error {
        PoolError::Timeout(TimeoutType::Wait) => {
            ("no connection came free in time", "raise the size of the pool, or its wait timeout")
        }
        PoolError::Timeout(_) => {
            ("no connection was opened in time", "see whether the server is well, and the pool's timeouts")
        }
        PoolError::Backend(_) => (
            "no connection could be opened",
            "see the source, the pool's address and whether the server runs",
        ),
        PoolError::Closed => ("the pool is closed", "close it after the cache"),
        PoolError::NoRuntimeSpecified => {
            ("the pool has timeouts and no runtime", "set one with PoolBuilder::runtime")
        }
        PoolError::PostCreateHook(_) => ("a hook of the pool refused the connection", "see the source"),
    };
    Error::with_source(ErrorKind::Origin, format!("{table:?} was not loaded, {why}: {advice}"), error)
}

/// A statement failed.
pub(crate) fn failed(error: tokio_postgres::Error, table: &str) -> Error {
    let text = format!("{table:?} was not loaded, {}: {}", said(&error), advice(&error));
    Error::with_source(ErrorKind::Origin, text, error)
}

/// Whether a statement failed of what it says, so that another might not: its values, its names, its types.
pub(crate) fn is_of_statement(error: &Error) -> bool {
    let code = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    error.kind() == ErrorKind::Invalid
        || code.is_some_and(|code| {
            *code != SqlState::INSUFFICIENT_PRIVILEGE && matches!(code.code().get(..2), Some("22" | "42"))
        })
}

/// A transaction did not go as it was to.
pub(crate) fn not_done(error: tokio_postgres::Error, done: &str) -> Error {
    let advice = match error.code().map(|code| (code, code.code().get(..2))) {
        Some((&SqlState::IN_FAILED_SQL_TRANSACTION, _)) => {
            "a statement of it failed before, see that one's error"
        }
        Some((&SqlState::INSUFFICIENT_PRIVILEGE, _)) => {
            "grant the user execute on pg_walfile_name(), pg_current_wal_lsn() and pg_control_system()"
        }
        Some((_, Some("40"))) => "make it again",
        Some((_, Some("23"))) => "see the constraint",
        _ => "see the source, try again",
    };
    let text = format!("the transaction was not {done}, {}: {advice}", said(&error));
    Error::with_source(ErrorKind::Origin, text, error)
}

/// Postgres gives this user no stamp.
pub(crate) fn unstamped(error: tokio_postgres::Error) -> Error {
    let text = format!(
        "rows come without a stamp, {}: grant the pool's user execute on pg_current_snapshot(), pg_walfile_name(), \
         pg_current_wal_lsn() and pg_control_system(), in Postgres 13 or later",
        said(&error)
    );
    Error::with_source(ErrorKind::Origin, text, error)
}

fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => {
            let message: String = refused.message().chars().take(MOST_CHARS).collect();
            format!("{message} ({})", refused.code().code())
        }
        None => error.to_string(),
    }
}

fn advice(error: &tokio_postgres::Error) -> &'static str {
    let Some(code) = error.code() else {
        return if error.is_closed() {
            "the connection is gone, try again"
        } else {
            "see the source, try again"
        };
    };
    match (code, code.code().get(..2)) {
        (&SqlState::QUERY_CANCELED, _) => "raise statement_timeout, or add an index",
        (&SqlState::INSUFFICIENT_PRIVILEGE, _) => "grant select on it to the pool's user",
        (&SqlState::IN_FAILED_SQL_TRANSACTION, _) => {
            "a connection came back to the pool inside a transaction that had failed, end transactions before; try again"
        }
        (&SqlState::INVALID_TEXT_REPRESENTATION, _) => "check the value against the column's type",
        (_, Some("42")) => "make the schema and the query agree with the table",
        (_, Some("57" | "08" | "53")) => "the server is stopping or short of something, try again",
        _ => "see the source, try again",
    }
}

/// A row came that can't be read.
pub(crate) fn unreadable(error: BoxError, row: &Row, table: &str) -> Error {
    let column = column_of(&error, row).map_or(String::new(), |column| format!("column {column}, "));
    let text = format!(
        "a row of {table:?} can't be read, {column}{error}: make from_row() and the schema agree with the table"
    );
    Error::with_source(ErrorKind::Origin, text, error)
}

/// The name and type of the column that couldn't be read. The client says only its place, and that only as text.
fn column_of(error: &BoxError, row: &Row) -> Option<String> {
    let text = error.downcast_ref::<tokio_postgres::Error>()?.to_string();
    let place: usize = text.strip_prefix("error deserializing column ")?.parse().ok()?;
    let column = row.columns().get(place)?;
    Some(format!("{:?} of type {}", column.name(), column.type_()))
}

/// A value can't be compared with a column.
pub(crate) fn incomparable(table: &str, column: &str, column_type: &str, value_type: &str) -> Error {
    let text = format!(
        "column {column:?} of {table:?} is {column_type} and the value is {value_type}: declare the parameter in the column's type"
    );
    Error::new(ErrorKind::Invalid, text)
}
