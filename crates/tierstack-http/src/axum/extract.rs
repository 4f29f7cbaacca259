use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use tierstack_core::RowKey;

use super::Problem;
use crate::Lookups;

/// A typed primary key in the path: `/films/{film_id}` with `Pk<i32>`, `/cast/{actor_id}/{film_id}` with `Pk<(i32, i32)>`.
///
/// A key of several fields takes one segment each, or one segment with commas (`/cast/1,7`). It is parsed strictly, as by
/// [`Cache::parse_pk`](tierstack_core::Cache::parse_pk). For two keys in one path, take the texts with axum's `Path`, and
/// parse them by that.
///
/// # Rejections
/// 400, with a sentence that names the text and what was expected. 500 if the route has another number of parameters than
/// the key has fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pk<K>(pub K);

impl<S: Send + Sync, K: RowKey> FromRequestParts<S> for Pk<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(rejected)?;
        let texts: Vec<&str> = params.iter().map(|(_, text)| text).collect();
        let key = match texts[..] {
            [text] => K::parse(text),
            _ if texts.len() != K::WIDTH => {
                let text =
                    format!("the route has {} parameters, and the key {} fields", texts.len(), K::WIDTH);
                return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text));
            }
            // A comma of the client's makes it one field too many.
            _ => K::parse(&texts.join(",")),
        };
        key.map(Pk).map_err(|error| Problem::bad_request(error.to_string()))
    }
}

fn rejected(rejection: RawPathParamsRejection) -> Problem {
    Problem::new(rejection.status(), rejection.body_text())
}

/// The lookups of the request; without a [`LookupsLayer`](crate::LookupsLayer) they are nobody's.
///
/// # Rejections
/// 400 if the client brings a write token that is none.
impl<S: Send + Sync> FromRequestParts<S> for Lookups {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let lookups = Lookups::of(&parts.extensions);
        lookups.seen()?;
        Ok(lookups)
    }
}
