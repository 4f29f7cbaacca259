use std::borrow::Cow;
use std::fmt::{self, Display};

use http::{HeaderName, HeaderValue};
use tierstack_core::{Answer, Answers, ErrorKind, Keep, Level, Moment, Outcome, Terms};

use crate::structured;

/// How the caches answered a request: one member of the `Cache-Status` header.
///
/// The header is [RFC 9211]'s; its value is written as a structured field, by [RFC 8941]. A response that was made from
/// one lookup, of one key or many, has `CacheStatus::of(&answers, now)`; one that was made from several has their statuses
/// joined by [`and`](Self::and).
///
/// 1. *`hit`*: the caches had an answer for each key, a row or its absence. A stale answer, which is renewed behind it or
///    couldn't be, is a hit with a negative `ttl`. So is a request for no keys.
/// 2. *`fwd`*: at least one key was asked of the origin, or failed on the way there. `fwd=miss` if that is true of all of
///    them; `fwd=partial` if the caches had others. [`asked_with`](Self::asked_with) tells of a lookup whose terms kept
///    the tiers from answering: `fwd=request`, or `fwd=bypass` if it went round L2 altogether. `fwd=stale` never occurs:
///    an answer doesn't say what was there before it was loaded.
/// 3. *Neither* stands there if nothing is known of a key and nothing was forwarded for it: the lookup excluded the
///    origin, or a limit refused the key.
/// 4. *`ttl`*: for how many seconds the least fresh of the answers stays fresh, rounded down; an answer that the caches
///    didn't keep counts as 0. A copy in L1 has a life of its own, so the `ttl` of a hit there is never longer than that,
///    though L2 holds the row for longer. It is left out if there is no answer at all.
/// 5. *`stored`*: all that the origin answered was kept for its life. After a load without a right, while a write is under
///    way or L2 is gone, it is left out.
/// 6. *`collapsed`*: all that was asked of the origin was asked for another caller, who had asked before.
/// 7. *`detail`*: the tier of a single key's answer (`L1`, `L2`, `origin`; `unknown`, `failed`), or how many keys each
///    answered: `"L1=2 L2=1 origin=0"`.
///
/// The header tells a client which rows somebody asked for lately, and when. Where that is a secret, send it to those who
/// may know only (RFC 9211, section 6).
///
/// ```
/// # use tierstack_core::Moment;
/// # use tierstack_http::CacheStatus;
/// # let now = Moment::from_nanos(1);
/// # let (film, actors) = (CacheStatus::default(), CacheStatus::default());
/// let (name, value) = film.and(actors).named("shop").header();
/// assert_eq!(name, "cache-status");
/// assert_eq!(value, r#"shop; hit; detail="L1=0 L2=0 origin=0""#);
/// ```
///
/// [RFC 9211]: https://www.rfc-editor.org/rfc/rfc9211
/// [RFC 8941]: https://www.rfc-editor.org/rfc/rfc8941
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it does nothing until it is written into a header"]
pub struct CacheStatus {
    /// `None` for the library's.
    name: Option<Cow<'static, str>>,
    l1: usize,
    l2: usize,
    origin: usize,
    /// Keys that the origin or the way to it failed.
    failed: usize,
    /// Keys of which nothing is known, and which nobody asked the origin for.
    unknown: usize,
    /// Keys among `origin` that the caches did not keep for their life.
    unkept: usize,
    /// Keys asked of the origin for another caller, who asked before.
    collapsed: usize,
    ttl_s: Option<i64>,
    terms: Option<Terms>,
}

const HEADER: HeaderName = HeaderName::from_static("cache-status");
const DEFAULT_NAME: &str = "tierstack";

impl CacheStatus {
    /// The status of a response made from those answers, as of `now` on the clock of the cache.
    pub fn of<K, V>(answers: &Answers<K, V>, now: Moment) -> Self {
        answers
            .iter()
            .fold(CacheStatus::default(), |sum, (_, outcome)| sum.and(CacheStatus::of_outcome(outcome, now)))
    }

    /// The status of a response made from the answer for one key.
    pub fn of_outcome<V>(outcome: &Outcome<V>, now: Moment) -> Self {
        let mut status = CacheStatus::default();
        match outcome {
            Ok(Some(answer)) => status.count(answer, now),
            Ok(None) => status.unknown = 1,
            Err(error) => match error.kind() {
                ErrorKind::Invalid | ErrorKind::Overloaded => status.unknown = 1,
                _ => status.failed = 1,
            },
        }
        status
    }

    /// Of a response that no cache had to do with, though one stood in the way.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(crate) fn bypassed() -> Self {
        let mut terms = Terms::default();
        (terms.read_l1, terms.use_l2) = (false, false);
        CacheStatus { origin: 1, unkept: 1, terms: Some(terms), ..CacheStatus::default() }
    }

    fn count<V>(&mut self, answer: &Answer<V>, now: Moment) {
        match answer.source {
            Level::L1 => self.l1 = 1,
            Level::L2 => self.l2 = 1,
            Level::Origin => self.origin = 1,
        }
        self.collapsed = usize::from(answer.source == Level::Origin && answer.followed);
        let fresh_s = answer.meta.fresh_until.ms_since(now).div_euclid(1_000);
        let is_kept = answer.source != Level::Origin || answer.keep == Keep::Life;
        self.unkept = usize::from(!is_kept);
        self.ttl_s = Some(if is_kept { fresh_s } else { fresh_s.min(0) });
    }

    /// The status of a response made from what both tell of. The name is this one's, unless only the other has one.
    pub fn and(self, other: CacheStatus) -> Self {
        CacheStatus {
            name: self.name.or(other.name),
            l1: self.l1 + other.l1,
            l2: self.l2 + other.l2,
            origin: self.origin + other.origin,
            failed: self.failed + other.failed,
            unknown: self.unknown + other.unknown,
            unkept: self.unkept + other.unkept,
            collapsed: self.collapsed + other.collapsed,
            ttl_s: self.ttl_s.into_iter().chain(other.ttl_s).min(),
            terms: self.terms.or(other.terms),
        }
    }

    /// Sets the name of the cache. Default: `tierstack`.
    ///
    /// Any text will do: one that is no token is written as a string, with what is not printable ASCII percent-encoded.
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Tells on which terms was asked, so that the tiers aren't said to lack what they were not asked for.
    pub fn asked_with(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }

    /// Whether the caches had an answer for every key.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.forwarded() == 0 && self.unknown == 0
    }

    /// The header: put it into the response beside those of other caches, with
    /// [`HeaderMap::append`](http::HeaderMap::append).
    #[must_use]
    pub fn header(&self) -> (HeaderName, HeaderValue) {
        (HEADER, self.into())
    }

    fn forwarded(&self) -> usize {
        self.origin + self.failed
    }

    /// Why the origin was asked, in the words of RFC 9211, section 2.2.
    fn reason(&self) -> Option<&'static str> {
        if self.forwarded() == 0 {
            return None;
        }
        Some(match self.terms {
            Some(Terms { read_l1: false, use_l2: false, .. }) => "bypass",
            Some(Terms { read_l1: false, read_l2: false, .. }) => "request",
            _ if self.l1 + self.l2 > 0 => "partial",
            _ => "miss",
        })
    }

    fn write_detail(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers = [("L1", self.l1), ("L2", self.l2), ("origin", self.origin)];
        let others = [("unknown", self.unknown), ("failed", self.failed)];
        let all = tiers.into_iter().chain(others);
        let mut counted = all.clone().filter(|(_, keys)| *keys > 0);
        if let (Some((tier, 1)), None) = (counted.next(), counted.next()) {
            return structured::name(f, tier);
        }
        let shown = tiers.into_iter().chain(others.into_iter().filter(|(_, keys)| *keys > 0));
        let shown: Vec<String> = shown.map(|(tier, keys)| format!("{tier}={keys}")).collect();
        structured::string(f, &shown.join(" "))
    }
}

/// The header's value.
impl Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        structured::name(f, self.name.as_deref().unwrap_or(DEFAULT_NAME))?;
        if self.is_hit() {
            f.write_str("; hit")?;
        }
        if let Some(reason) = self.reason() {
            write!(f, "; fwd={reason}")?;
        }
        if self.forwarded() > 0 && self.collapsed == self.forwarded() {
            f.write_str("; collapsed")?;
        }
        if let Some(ttl_s) = self.ttl_s {
            write!(f, "; ttl={ttl_s}")?;
        }
        if self.origin > 0 && self.unkept == 0 {
            f.write_str("; stored")?;
        }
        f.write_str("; detail=")?;
        self.write_detail(f)
    }
}

impl From<&CacheStatus> for HeaderValue {
    fn from(status: &CacheStatus) -> Self {
        HeaderValue::try_from(status.to_string()).expect("structured fields are printable ASCII")
    }
}

impl From<CacheStatus> for HeaderValue {
    fn from(status: CacheStatus) -> Self {
        HeaderValue::from(&status)
    }
}
