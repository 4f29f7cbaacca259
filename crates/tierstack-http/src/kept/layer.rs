//! What both layers are made of.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use tierstack_core::{CacheLayer, Error, ErrorKind, Freshness, L1, Namespace, Settings};

use super::{Call, Kept, Rules};
use crate::{WRITE_TOKEN, Wishes, write_cookie};

/// What a layer that keeps responses can be told, whichever protocol they are of.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) ignores_credentials: bool,
    pub(crate) wishes: Wishes,
    pub(crate) max_body_bytes: usize,
    pub(crate) l1_bytes: Option<u64>,
    pub(crate) freshness: Freshness,
    pub(crate) settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            headers: Vec::new(),
            ignores_credentials: false,
            wishes: Wishes::none(),
            max_body_bytes: 256 << 10,
            l1_bytes: Some(64 << 20),
            freshness: Freshness::default(),
            settings: Settings::default(),
        }
    }
}

/// Names, by which a client says who it is.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

impl Options {
    /// Whether the sender of a request may be answered with what others got: nobody who says who he is, unless that makes no
    /// difference, and nobody who must see his own write.
    pub(crate) fn may_share(&self, request: &HeaderMap) -> bool {
        let is_anybody =
            self.ignores_credentials || !CREDENTIALS.iter().any(|name| request.contains_key(name));
        let has_written = request.contains_key(WRITE_TOKEN) || write_cookie::tokens(request).next().is_some();
        is_anybody && !has_written
    }
}

/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for what can't be, with what to change.
pub(crate) fn check(options: &Options) -> Result<(), Error> {
    let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
    if let Some(name) = options.headers.iter().find(|name| CREDENTIALS.contains(name)) {
        return invalid(format!(
            "{name} can't be part of a key, which stands in L2 for others to read: have the layer below what checks it, and \
             choose a header that is no secret"
        ));
    }
    // What stands round the body in a record is small.
    if options.max_body_bytes == 0 || options.max_body_bytes > options.settings.max_payload_bytes {
        return invalid(format!(
            "max_body_bytes is {}: set it to 1 or more, and at most max_payload_bytes ({}), above which L2 takes nothing",
            options.max_body_bytes, options.settings.max_payload_bytes
        ));
    }
    Ok(())
}

/// The layer of the core, and the rules.
pub(crate) struct Make<R: Rules> {
    pub(crate) cached: CacheLayer<Call<R::Body>, Kept>,
    pub(crate) rules: Arc<R>,
}

impl<R: Rules> Make<R> {
    /// # Errors
    /// Those of the core's builder.
    pub(crate) fn new(namespace: &Namespace, name: &str, options: Options, rules: R) -> Result<Self, Error> {
        let mut cached = namespace
            .cache_layer::<Call<R::Body>, Kept>(name)
            .keep_if(|_, kept| matches!(kept, Kept::Whole(_)))
            .freshness(options.freshness)
            .settings(options.settings);
        if let Some(bytes) = options.l1_bytes {
            cached = cached.l1(L1::weighed(bytes, Kept::size_bytes));
        }
        Ok(Make { cached: cached.build()?, rules: Arc::new(rules) })
    }
}

impl<R: Rules> Clone for Make<R> {
    fn clone(&self) -> Self {
        Make { cached: self.cached.clone(), rules: Arc::clone(&self.rules) }
    }
}
