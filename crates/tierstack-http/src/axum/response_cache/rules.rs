//! Which requests are for the cache, what their keys are, and which responses may be kept. Pure.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::extract::OriginalUri;
use axum::http::header::{
    CONTENT_RANGE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    SET_COOKIE, UPGRADE, VARY,
};
use axum::http::{HeaderMap, HeaderName, Method, Request, Uri, request, response};
use http_body::Body as _;

use crate::kept::{AnyBody, Limit, Options, Replay, Rules, Text, text_of};
use crate::{WRITE_TOKEN, cache_control};

pub(crate) struct HttpRules {
    pub(super) name: Box<str>,
    pub(super) options: Options,
    /// `None`: the whole of it.
    pub(super) query: Option<Vec<String>>,
    pub(super) any_host: bool,
}

/// Ask for a part of a response, or for one under a condition, or for another protocol.
const PARTIAL: [HeaderName; 7] =
    [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, UPGRADE];

/// Those of RFC 9110, section 15.1, that say something of what was asked for, whole.
const KEPT: [u16; 8] = [200, 203, 204, 300, 301, 308, 404, 410];

/// What says that a response is not for others, or that it must not be answered once it is older than it says: how long it
/// is kept here is not its to say.
const NOT_KEPT: [&str; 5] = ["no-store", "private", "no-cache", "must-revalidate", "proxy-revalidate"];

impl HttpRules {
    /// Whether a response to it may be kept, or come from a tier.
    pub(super) fn is_for(&self, request: &Request<Body>) -> bool {
        request.method() == Method::GET
            && request.body().is_end_stream()
            && !PARTIAL.iter().any(|name| request.headers().contains_key(name))
            && self.options.may_share(request.headers())
    }

    pub(super) fn text(&self, parts: &request::Parts) -> Text {
        // A router that is nested sees what is left of the path only.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let host = if self.any_host { Vec::new() } else { host(uri, &parts.headers).into_iter().collect() };
        let headers = std::iter::once(host).chain(text_of(&parts.headers, &self.options.headers));
        (uri.path().to_owned(), self.query(uri.query()), headers.collect())
    }

    /// The parameters of a query that count.
    fn query(&self, query: Option<&str>) -> Vec<String> {
        let Some(chosen) = &self.query else { return query.map(str::to_owned).into_iter().collect() };
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| {
            let name = decoded(pair.split_once('=').map_or(pair, |(name, _)| name));
            chosen.iter().position(|chosen| name == chosen.as_bytes()).map(|place| (place, pair))
        });
        let mut pairs: Vec<(usize, &str)> = pairs.collect();
        // Those of one name stay in their order, which may mean something.
        pairs.sort_by_key(|(place, _)| *place);
        pairs.into_iter().map(|(_, pair)| pair.to_owned()).collect()
    }
}

/// The host that was asked: of the address in HTTP/2, of a header in HTTP/1.1.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let of_uri = uri.authority().map(|authority| authority.as_str());
    let host = of_uri.or_else(|| headers.get(HOST)?.to_str().ok());
    host.map(str::to_ascii_lowercase)
}

/// A name as a form decodes it: `+` is a space, and `%41` a letter.
fn decoded(name: &str) -> Cow<'_, [u8]> {
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name.as_bytes());
    }
    let bytes = name.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let (byte, step) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or_default(), 3),
            (b'+', _, _) => (b' ', 1),
            (byte, _, _) => (*byte, 1),
        };
        out.push(byte);
        at += step;
    }
    Cow::Owned(out)
}

impl Rules for HttpRules {
    type Body = Body;

    fn limit(&self) -> Limit {
        Limit::Bytes(self.options.max_body_bytes)
    }

    fn allows_head(&self, head: &response::Parts) -> bool {
        let headers = &head.headers;
        KEPT.contains(&head.status.as_u16())
            && !cache_control::has_any(headers, &NOT_KEPT)
            && !cache_control::is_zero(headers, &["max-age", "s-maxage"])
            && ![SET_COOKIE, WRITE_TOKEN, CONTENT_RANGE].iter().any(|name| headers.contains_key(name))
            && self.allows_vary(headers)
    }

    fn allows_whole(&self, _: &Bytes, trailers: Option<&HeaderMap>) -> bool {
        trailers.is_none()
    }
}

impl HttpRules {
    /// Whether all that the response says to depend on is part of the key.
    fn allows_vary(&self, headers: &HeaderMap) -> bool {
        headers.get_all(VARY).into_iter().all(|value| {
            let mut names =
                value.to_str().unwrap_or("*").split(',').map(str::trim).filter(|name| !name.is_empty());
            names.all(|name| {
                let is_host = !self.any_host && name.eq_ignore_ascii_case("host");
                is_host
                    || self.options.headers.iter().any(|chosen| name.eq_ignore_ascii_case(chosen.as_str()))
            })
        })
    }
}

impl AnyBody for Body {
    fn replayed(body: Replay<Self>) -> Self {
        Body::new(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(query: Option<&[&str]>) -> HttpRules {
        let query = query.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        HttpRules { name: "pages".into(), options: Options::default(), query, any_host: false }
    }

    #[test]
    fn chosen_parameters_are_sorted_by_their_names() {
        let chosen = rules(Some(&["page", "a b"]));
        for (query, text) in [
            ("page=2", vec!["page=2"]),
            ("x=1&page=2&y", vec!["page=2"]),
            ("a+b=1&page=2", vec!["page=2", "a+b=1"]),
            ("page=2&a%20b=1", vec!["page=2", "a%20b=1"]),
            // Of one name, the order counts.
            ("page=2&page=1", vec!["page=2", "page=1"]),
            // However it is written, a handler sees it.
            ("%70age=2", vec!["%70age=2"]),
            ("p%61g%65=2", vec!["p%61g%65=2"]),
            ("page", vec!["page"]),
            ("Page=2&page%=1&&=", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(chosen.query(Some(query)), text, "{query}");
        }
        assert_eq!(rules(None).query(Some("b=1&a=2")), ["b=1&a=2"]);
        assert_ne!(rules(None).query(Some("")), rules(None).query(None));
    }
}
