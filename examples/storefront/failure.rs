//! What a client is told when there is nothing to answer. The cause goes to the log.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tierstack::http::axum::Problem;
use tierstack::{BoxError, Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct Failure {
    code: StatusCode,
    text: String,
}

impl Failure {
    fn new(code: StatusCode, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }

    /// The request is wrong, and its sender is told how.
    pub(crate) fn bad_request(text: impl ToString) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, text.to_string())
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, text)
    }

    /// Nothing is wrong but the moment.
    pub(crate) fn unavailable(text: impl Into<String>) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// A write that did not happen, or of which nobody knows.
    pub(crate) fn unsaved(cause: impl Into<BoxError>) -> Failure {
        log(&*cause.into());
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the database can't be written now, try again")
    }

    pub(crate) fn unscraped(cause: impl Into<BoxError>) -> Failure {
        log(&*cause.into());
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written as text")
    }

    pub(crate) fn unwritable(cause: serde_json::Error) -> Failure {
        log(&cause);
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the row can't be written as JSON")
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
        Problem::new(self.code, self.text).into_response()
    }
}
