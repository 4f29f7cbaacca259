//! The key of a response: the text of the request, and the request itself for the load.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{CacheKey, Error, Key, KeyWriter};

/// A request as a key. Keys of one text are equal, whatever request they bear.
pub(super) struct RequestKey<Req> {
    text: Arc<str>,
    /// What is loaded with; a store keeps the key without it.
    request: Option<Arc<Req>>,
}

impl<Req: CacheKey> RequestKey<Req> {
    /// The key of a request, which it doesn't bear yet.
    pub(super) fn of(request: &Req, max_key_bytes: usize) -> Result<Self, Error> {
        let size = request.key_size_bytes();
        if size > max_key_bytes {
            return Err(Error::invalid(format!(
                "a request of {size} bytes: at most max_key_bytes = {max_key_bytes} are taken, ask the service itself"
            )));
        }
        Ok(RequestKey { text: request.key_text().into(), request: None })
    }

    /// The key with that text.
    pub(super) fn read(text: &str) -> Self {
        RequestKey { text: text.into(), request: None }
    }

    /// The same key, for a lookup that may load.
    pub(super) fn bearing(self, request: Req) -> Self {
        RequestKey { request: Some(Arc::new(request)), ..self }
    }
}

impl<Req> RequestKey<Req> {
    /// The request to load with.
    pub(super) fn request(&self) -> &Req {
        self.request.as_deref().expect("only keys made by a call are looked up, and those bear its request")
    }
}

impl<Req: Send + Sync + 'static> Key for RequestKey<Req> {
    const MAY_SHORTEN: bool = true;

    fn write(&self, out: &mut KeyWriter<'_>) {
        out.literal(&self.text);
    }

    // Its size was looked at before its text was written: `size_bytes` has nothing left to refuse.

    fn kept(&self) -> Self {
        RequestKey { text: Arc::clone(&self.text), request: None }
    }
}

impl<Req> Clone for RequestKey<Req> {
    fn clone(&self) -> Self {
        RequestKey { text: Arc::clone(&self.text), request: self.request.clone() }
    }
}

impl<Req> PartialEq for RequestKey<Req> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<Req> Eq for RequestKey<Req> {}

impl<Req> Hash for RequestKey<Req> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<Req> fmt::Debug for RequestKey<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestKey").field(&self.text).finish()
    }
}
