//! A response as the tiers hold it.

use bytes::Bytes;
use http::header::{
    AGE, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, response};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AnyBody, Replay};

/// What a load came to.
#[derive(Serialize, Deserialize)]
pub(crate) enum Kept {
    /// A response for all who ask.
    Whole(Box<Whole>),
    /// One that is not to be kept, nor to be shared. It was left to the caller whose request it answers.
    Passed,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Whole {
    status: u16,
    #[serde(with = "headers")]
    headers: HeaderMap,
    body: Bytes,
    #[serde(with = "headers")]
    trailers: HeaderMap,
    has_trailers: bool,
    /// When it was loaded, by the wall clock of the node that did; only its `Age` is told by it.
    loaded_ms: u64,
}

impl Kept {
    pub(super) fn new(head: response::Parts, body: Bytes, trailers: Option<HeaderMap>, now_ms: u64) -> Self {
        let mut headers = head.headers;
        strip_connection(&mut headers);
        Kept::Whole(Box::new(Whole {
            status: head.status.as_u16(),
            headers,
            body,
            has_trailers: trailers.is_some(),
            trailers: trailers.unwrap_or_default(),
            loaded_ms: now_ms,
        }))
    }

    /// About how much memory it takes.
    pub(crate) fn size_bytes(&self) -> u32 {
        let size = match self {
            Kept::Passed => 0,
            Kept::Whole(whole) => {
                let of = |headers: &HeaderMap| {
                    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum::<usize>()
                };
                whole.body.len() + of(&whole.headers) + of(&whole.trailers) + 256
            }
        };
        u32::try_from(size).unwrap_or(u32::MAX)
    }
}

impl Whole {
    /// The response, of this age if a tier had it.
    pub(super) fn response<B: AnyBody>(&self, kept_until_ms: Option<u64>) -> Response<B> {
        let trailers = self.has_trailers.then(|| self.trailers.clone());
        let mut response = Response::new(B::replayed(Replay::whole(self.body.clone(), trailers)));
        // It was one when it was written; bytes of L2 are checked.
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers.clone();
        if let Some(now_ms) = kept_until_ms {
            // RFC 9111, section 4.2.3: how old it was when it came here, and how long it has been.
            let before = self.headers.get(AGE).and_then(|age| age.to_str().ok()?.parse::<u64>().ok());
            let resident = now_ms.saturating_sub(self.loaded_ms) / 1_000;
            let age = before.unwrap_or(0).saturating_add(resident);
            response.headers_mut().insert(AGE, HeaderValue::from(age));
        }
        response
    }
}

/// Takes out what is of the connection and not of the response (RFC 9111, section 3.1).
fn strip_connection(headers: &mut HeaderMap) {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    let named =
        values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let named: Vec<HeaderName> = named.collect();
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    named.into_iter().chain(always).for_each(|name| {
        headers.remove(name);
    });
}

/// Headers as a list of names and values, in their order.
mod headers {
    use super::*;

    pub(super) fn serialize<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
        let one = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()))
        };
        serializer.collect_seq(headers.iter().map(one))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
        use serde::de::Error;
        let mut headers = HeaderMap::new();
        for (name, value) in Vec::<(String, Bytes)>::deserialize(deserializer)? {
            let name = HeaderName::try_from(name).map_err(D::Error::custom)?;
            let value = HeaderValue::from_maybe_shared(value).map_err(D::Error::custom)?;
            if headers.try_append(name, value).is_err() {
                return Err(D::Error::custom("more headers than there can be"));
            }
        }
        Ok(headers)
    }
}
