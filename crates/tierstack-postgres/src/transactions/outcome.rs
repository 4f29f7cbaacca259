//! What a commit came to.

use std::fmt;

use tierstack_core::{Error, ErrorKind, WriteToken, Xid};
use tokio_postgres::error::{Severity, SqlState};

/// A transaction that has committed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Written {
    /// Its id; `None` if it wrote nothing.
    pub xid: Option<Xid>,
    /// Makes a lookup on any node see it.
    pub token: WriteToken,
    /// It was to be strict, and committed as a fast one, as L2 could not be reached before.
    pub downgraded: bool,
    /// L2 could not be told after COMMIT. That is kept, and sent again; until then, the marks of a strict one stand, and
    /// after a fast one L2 may answer what it held before.
    pub undelivered: Option<Error>,
}

/// A transaction that has not committed, or perhaps has.
#[derive(Clone, Debug)]
pub struct CommitError {
    outcome: Outcome,
    error: Error,
}

/// What is known of a transaction whose commit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing was written.
    RolledBack,
    /// COMMIT was sent, and its answer lost: ask Postgres for `pg_xact_status` of this id, or look at what it wrote.
    Unknown(Xid),
    /// It had ended before: a statement of its own committed it, prepared it, or rolled it back.
    EndedBefore,
}

impl CommitError {
    pub(super) fn rolled_back(error: Error) -> Self {
        CommitError { outcome: Outcome::RolledBack, error }
    }

    pub(super) fn unknown(xid: Xid, cause: Error) -> Self {
        let text = format!(
            "the answer to COMMIT of transaction {} was lost, it may have committed: look before it is made again",
            xid.id
        );
        CommitError {
            outcome: Outcome::Unknown(xid),
            error: Error::with_source(ErrorKind::Origin, text, cause),
        }
    }

    pub(super) fn ended_before() -> Self {
        let text = "the transaction was ended by a statement of its own (COMMIT, ROLLBACK or PREPARE TRANSACTION), what it \
                    touched was invalidated now: leave its end to commit(), and invalidate after COMMIT PREPARED";
        CommitError { outcome: Outcome::EndedBefore, error: Error::new(ErrorKind::Invalid, text) }
    }

    /// What is known of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What went wrong; `error.downcast_ref::<tokio_postgres::Error>()` has the SQLSTATE of what Postgres refused.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        Error::with_source(error.error.kind(), error.to_string(), error)
    }
}

/// Whether a failed COMMIT is known to have rolled back. Postgres says so by an error that the session outlives. One that
/// ends the session may come after the commit (it ends those that wait for a standby), and one of class 08 or 58, or 40003,
/// from a pooler that has lost its server.
pub(super) fn is_rolled_back(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|refused| {
        let code = refused.code();
        let class = code.code().get(..2).unwrap_or_default();
        matches!(refused.parsed_severity(), Some(Severity::Error))
            && *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
            && !["08", "58"].contains(&class)
    })
}
