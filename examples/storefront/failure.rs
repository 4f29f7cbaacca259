//! What a client is told when there is nothing to answer. The cause goes to the log.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tierstack::http::CacheStatus;
use tierstack::{BoxError, Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct Failure {
    code: StatusCode,
    text: String,
    /// Boxed, as an error is moved more often than it is made.
    status: Option<Box<CacheStatus>>,
}

impl Failure {
    fn new(code: StatusCode, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into(), status: None }
    }

    /// The request is wrong, and its sender is told how.
    pub(crate) fn bad_request(text: impl ToString) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, text.to_string())
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, text)
    }

    /// A write that did not happen, or of which nobody knows.
    pub(crate) fn unsaved(cause: impl Into<BoxError>) -> Failure {
        log(&*cause.into());
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the database can't be written now, try again")
    }

    pub(crate) fn unwritable(cause: serde_json::Error) -> Failure {
        log(&cause);
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the row can't be written as JSON")
    }

    /// Adds how the caches came to it.
    pub(crate) fn with(self, status: CacheStatus) -> Failure {
        Failure { status: Some(Box::new(status)), ..self }
    }
}

/// A failed lookup or invalidation. What a client asked wrongly was refused before, so an invalid argument is our fault.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        log(&error);
        let (code, text) = match error.kind() {
            ErrorKind::Origin | ErrorKind::Timeout | ErrorKind::Overloaded | ErrorKind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "the database can't be read now, try again")
            }
            ErrorKind::Undelivered => (
                StatusCode::SERVICE_UNAVAILABLE,
                "it is saved, and other nodes may answer the old row for a while, until they are told",
            ),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "the shop is at fault, its log says why"),
        };
        Failure::new(code, text)
    }
}

fn log(mut error: &dyn std::error::Error) {
    let mut text = error.to_string();
    while let Some(cause) = error.source() {
        text = format!("{text}: {cause}");
        error = cause;
    }
    eprintln!("error: {text}");
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let header = self.status.map(|status| [status.header()]);
        (self.code, header, Json(json!({ "error": self.text }))).into_response()
    }
}
