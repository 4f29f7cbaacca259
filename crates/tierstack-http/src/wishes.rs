use http::HeaderMap;
use tierstack_core::Terms;

use crate::cache_control;

/// Which wishes of a client an application grants: by default none, as each makes its origin work.
///
/// A client says them in `Cache-Control` (RFC 9111, section 5.2.1):
///
/// | it says | it wants | granted by |
/// |---|---|---|
/// | `no-store` | an answer of the origin, past all tiers, which is kept briefly at most | [`bypass`](Self::bypass) |
/// | `no-cache`, `max-age=0` | an answer of the origin, which the tiers take | [`refresh`](Self::refresh) |
///
/// What isn't granted is not seen at all: the client is answered like any other.
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

    /// Grants `no-store`: the origin is asked, and no tier takes what it answers for longer than briefly.
    pub fn bypass(mut self) -> Self {
        self.bypass = true;
        self
    }

    /// The terms that a request's headers ask for, as far as they are granted; `None` if that is nothing.
    #[must_use]
    pub fn terms(self, headers: &HeaderMap) -> Option<Terms> {
        let mut terms = Terms::default();
        if self.bypass && cache_control::has_any(headers, &["no-store"]) {
            (terms.read_l1, terms.read_l2, terms.use_l2) = (false, false, false);
            return Some(terms);
        }
        let asks =
            cache_control::has_any(headers, &["no-cache"]) || cache_control::is_zero(headers, &["max-age"]);
        (self.refresh && asks).then(|| {
            (terms.read_l1, terms.read_l2) = (false, false);
            terms
        })
    }
}
