//! A call: a request, the key of its response, and where a response goes that nobody else may have.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, request};
use tierstack_core::{CacheKey, RequestWriter, Written};

use super::{AnyBody, Replay};

/// What makes a response differ from another: what is asked, in one text and several, and the values of headers.
pub(crate) type Text = (String, Vec<String>, Vec<Vec<String>>);

/// The values of those headers, in the order of the names; bytes that are no ASCII are letters of Latin-1.
pub(crate) fn text_of(headers: &HeaderMap, names: &[HeaderName]) -> Vec<Vec<String>> {
    let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    let values = |name| headers.get_all(name).into_iter().map(|value| latin(value.as_bytes())).collect();
    names.iter().map(values).collect()
}

/// A request that a response may be kept of.
pub(crate) struct Call<B> {
    text: Arc<Text>,
    parts: Arc<request::Parts>,
    body: Bytes,
    slot: Arc<Mutex<Option<Response<B>>>>,
}

impl<B> Call<B> {
    pub(crate) fn new(text: Text, parts: request::Parts, body: Bytes) -> Self {
        Call { text: Arc::new(text), parts: Arc::new(parts), body, slot: Arc::default() }
    }

    /// Leaves a response to the caller, and to nobody else.
    pub(super) fn leave(&self, response: Response<B>) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
    }

    /// What was left to this caller.
    pub(super) fn take(&self) -> Option<Response<B>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<B: AnyBody> Call<B> {
    /// The request, as it came.
    pub(super) fn request(&self) -> Request<B> {
        let body = B::replayed(Replay::whole(self.body.clone(), None));
        Request::from_parts((*self.parts).clone(), body)
    }
}

impl<B> Clone for Call<B> {
    fn clone(&self) -> Self {
        Call {
            text: Arc::clone(&self.text),
            parts: Arc::clone(&self.parts),
            body: self.body.clone(),
            slot: Arc::clone(&self.slot),
        }
    }
}

impl<B: Send + 'static> CacheKey for Call<B> {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        self.text.write_key(out)
    }
}
