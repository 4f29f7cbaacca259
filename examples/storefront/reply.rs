//! An answer: a row or several, as JSON.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::failure::Failure;

/// # Errors
/// When the row can't be written as JSON.
pub(crate) fn row(row: &impl Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_vec(row).map_err(Failure::unwritable)?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// # Errors
/// As [`row`].
pub(crate) fn rows<E: Serialize>(rows: &[Option<Arc<E>>]) -> Result<Response, Failure> {
    row(&rows.iter().map(Option::as_deref).collect::<Vec<_>>())
}
