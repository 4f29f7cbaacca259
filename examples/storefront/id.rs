//! The id in a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::failure::Failure;

/// What stands in the path, whatever it is: the cache that it is for reads a key from it.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(text) = Path::from_request_parts(parts, state).await.map_err(Failure::bad_request)?;
        Ok(Id(text))
    }
}
