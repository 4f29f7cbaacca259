use http::HeaderMap;
use tierstack_core::Terms;

use crate::cache_control;

/// Which wishes of a client an application grants: by default none, as each makes its origin work.
///
/// A client says them in `Cache-Control` (RFC 9111, section 5.2.1):
///
/// | it says | it wants | granted by |
/// |---|---|---|
/// | `no-store` | an answer of the origin, past all tiers; L1 keeps rows briefly, at most | [`bypass`](Self::bypass) |
/// | `no-cache`, `max-age=0` | an answer of the origin, which the tiers take | [`refresh`](Self::refresh) |
/// | `only-if-cached` | a response that a tier holds, or a 504 | [`only_if_cached`](Self::only_if_cached) |
///
/// What isn't granted is not seen at all: the client is answered like any other, and what it is answered is kept. To a cache
/// they are advice.
///
/// ```
/// use http::HeaderMap;
/// use tierstack_http::Wishes;
///
/// let mut request = HeaderMap::new();
/// request.insert("cache-control", "no-cache".parse()?);
/// assert!(Wishes::none().terms(&request).is_none());
/// let terms = Wishes::none().refresh().terms(&request).unwrap();
/// assert!(!terms.read_l1 && !terms.read_l2 && terms.use_l2);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Wishes {
    refresh: bool,
    bypass: bool,
    only_if_cached: bool,
}

impl Wishes {
    /// Grants none.
    pub fn none() -> Self {
        Self::default()
    }

    /// Grants `no-cache` and `max-age=0`: the origin is asked, and the tiers take what it answers.
    pub fn refresh(mut self) -> Self {
        self.refresh = true;
        self
    }

    /// Grants `no-store`: the origin is asked, and no tier takes what it answers, but L1, briefly, rows. In a cache of responses
    /// such a request goes past it, with neither its limits nor its `load_timeout`.
    pub fn bypass(mut self) -> Self {
        self.bypass = true;
        self
    }

    /// Grants `only-if-cached`: a response that no tier holds is a 504, or `DEADLINE_EXCEEDED`, and the origin isn't asked. For
    /// caches of responses, and for requests that are for them: others go past, whatever they wish. The rows of
    /// [`Lookups`](crate::Lookups) are no responses, and are loaded all the same.
    pub fn only_if_cached(mut self) -> Self {
        self.only_if_cached = true;
        self
    }

    /// The terms that a request's headers ask for, as far as they are granted; `None` if that is nothing.
    #[must_use]
    pub fn terms(self, headers: &HeaderMap) -> Option<Terms> {
        let has = |name| cache_control::has_any(headers, &[name]);
        let bypasses = self.bypass && has("no-store");
        let is_new =
            bypasses || (self.refresh && (has("no-cache") || cache_control::is_zero(headers, &["max-age"])));
        let is_kept = self.only_if_cached && has("only-if-cached");
        (is_new || is_kept).then(|| {
            let mut terms = Terms::default();
            (terms.read_l1, terms.read_l2) = (!is_new, !is_new);
            (terms.use_l2, terms.load) = (!bypasses, !is_kept);
            terms
        })
    }
}
