use tierstack_core::{Error, ErrorKind};
use tonic::{Code, Status};

/// What a caller is told of an error: its text, which names no row and no server, and not its cause.
///
/// | error | code |
/// |---|---|
/// | [`Invalid`](ErrorKind::Invalid) | `INVALID_ARGUMENT` |
/// | [`NotFound`](ErrorKind::NotFound) | `NOT_FOUND` |
/// | [`Loader`](ErrorKind::Loader) | `INTERNAL` |
/// | [`Timeout`](ErrorKind::Timeout) | `DEADLINE_EXCEEDED` |
/// | [`Overloaded`](ErrorKind::Overloaded) | `RESOURCE_EXHAUSTED` |
/// | any other | `UNAVAILABLE` |
#[must_use]
pub fn status_of(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Loader => Code::Internal,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Overloaded => Code::ResourceExhausted,
        _ => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}
