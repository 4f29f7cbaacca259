use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use tierstack_core::{Error, WriteToken};

use crate::WRITE_TOKEN;

/// The cookie that a [`WriteToken`] travels in, for clients that are browsers (RFC 6265): one that no script can read, that
/// other sites' requests bring only where a link leads here, and that ends soon.
///
/// `tierstack-write-token=…; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax`
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct WriteCookie {
    path: HeaderValue,
    max_age: Duration,
    is_secure: bool,
}

impl Default for WriteCookie {
    fn default() -> Self {
        WriteCookie { path: HeaderValue::from_static("/"), max_age: Self::MAX_AGE, is_secure: true }
    }
}

impl WriteCookie {
    /// For how long a client sees its write for certain, if nothing else is said: by then, every node has heard of it.
    const MAX_AGE: Duration = Duration::from_secs(60);
    /// A longer one makes a client's lookups costlier, and shows it nothing that others don't see.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// The cookie with its defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets for how long the client brings it, in whole seconds, a day at most. Default: 1 minute.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age.min(Self::LONGEST);
        self
    }

    /// Sets the path below which the client brings it. Default: `/`.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) for what is no path: it begins with `/`, and has no `;` nor anything
    /// that isn't printable ASCII.
    pub fn path(mut self, path: &str) -> Result<Self, Error> {
        let is_path =
            path.starts_with('/') && path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';');
        self.path = HeaderValue::from_str(path).ok().filter(|_| is_path).ok_or_else(|| {
            let text = "the path of the cookie is none: begin it with a slash, without semicolons";
            Error::new(tierstack_core::ErrorKind::Invalid, text)
        })?;
        Ok(self)
    }

    /// Lets the client bring it over plain HTTP, too. Default: over HTTPS only, and to the machine itself.
    pub fn over_http(mut self) -> Self {
        self.is_secure = false;
        self
    }

    /// The header of a response to a write.
    #[must_use]
    pub fn header(&self, token: &WriteToken) -> (HeaderName, HeaderValue) {
        let path = self.path.to_str().unwrap_or("/");
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{WRITE_TOKEN}={token}; Path={path}; Max-Age={}; HttpOnly{secure}; SameSite=Lax",
            self.max_age.as_secs()
        );
        let value = HeaderValue::try_from(text);
        (SET_COOKIE, value.expect("a token's text and a checked path are printable ASCII"))
    }

    /// The write that a request's cookies bring; nothing for a cookie that can't be read, such as another release's: its
    /// sender knows nothing of it.
    #[must_use]
    pub fn token_of(headers: &HeaderMap) -> WriteToken {
        tokens(headers)
            .filter_map(|text| text.parse().ok())
            .fold(WriteToken::default(), |all, token| all.and(&token))
    }
}

/// The texts of the cookies that bring a token. More than a few are somebody's attempt.
pub(crate) fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let cookies =
        values.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies
        .filter(|(name, _)| *name == WRITE_TOKEN.as_str())
        .map(|(_, value)| value.trim_matches('"'))
        .take(4)
}
