//! An answer: JSON, and how the caches came by it.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tierstack::http::CacheStatus;

use crate::failure::Failure;

pub(crate) struct Reply {
    body: Vec<u8>,
    status: CacheStatus,
}

impl Reply {
    /// # Errors
    /// When the row can't be written as JSON.
    pub(crate) fn row(row: &impl Serialize, status: CacheStatus) -> Result<Reply, Failure> {
        Ok(Reply { body: serde_json::to_vec(row).map_err(Failure::unwritable)?, status })
    }

    /// # Errors
    /// As [`row`](Self::row).
    pub(crate) fn rows<E: Serialize>(rows: &[Option<Arc<E>>], status: CacheStatus) -> Result<Reply, Failure> {
        Reply::row(&rows.iter().map(Option::as_deref).collect::<Vec<_>>(), status)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], [self.status.header()], self.body).into_response()
    }
}
