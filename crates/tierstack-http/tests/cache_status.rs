//! The value of `Cache-Status` for every kind of answer, and that each keeps to the grammar.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use tierstack_core::{
    Age, Answer, Answers, Entry, Error, ErrorKind, Keep, Level, Lookup, Meta, Moment, Outcome, Token,
};
use tierstack_http::CacheStatus;

const NOW: Moment = Moment::from_nanos(1_000_000_000_000);

/// An answer that is fresh for that long from `NOW`.
fn from(source: Level, fresh_ms: i64) -> Outcome<u8> {
    kept(source, fresh_ms, Keep::Life)
}

fn kept(source: Level, fresh_ms: i64, keep: Keep) -> Outcome<u8> {
    let fresh_until = NOW.plus_ms(fresh_ms);
    let meta = Meta {
        token: Token::from_bytes([1; 16]),
        fresh_until,
        stale_until: fresh_until.plus_ms(60_000),
        cost_us: 0,
    };
    let age = if fresh_ms > 0 { Age::Fresh } else { Age::Stale };
    Ok(Some(Answer {
        entry: Entry::Present(Arc::new(7)),
        meta,
        source,
        age,
        keep,
        followed: false,
        published: false,
    }))
}

fn absent(source: Level, fresh_ms: i64) -> Outcome<u8> {
    from(source, fresh_ms).map(|answer| answer.map(|answer| Answer { entry: Entry::Absent, ..answer }))
}

fn failed(kind: ErrorKind) -> Outcome<u8> {
    Err(Error::new(kind, "it failed"))
}

fn status(outcomes: &[Outcome<u8>]) -> CacheStatus {
    let rows: SmallVec<[_; 1]> = (0..).zip(outcomes.iter().cloned()).collect::<SmallVec<[(i32, _); 1]>>();
    CacheStatus::of(&Answers::new(rows), NOW)
}

#[test]
fn each_kind_of_answer_has_its_value() {
    use Level::{L1, L2, Origin};
    let cases: &[(&[Outcome<u8>], &str)] = &[
        (&[from(L1, 30_000)], "tierstack; hit; ttl=30; detail=L1"),
        (&[from(L2, 300_000)], "tierstack; hit; ttl=300; detail=L2"),
        (&[from(Origin, 300_000)], "tierstack; fwd=miss; ttl=300; stored; detail=origin"),
        // An absence is an answer.
        (&[absent(L1, 9_000)], "tierstack; hit; ttl=9; detail=L1"),
        (&[absent(Origin, 9_000)], "tierstack; fwd=miss; ttl=9; stored; detail=origin"),
        // Seconds are rounded down, so that no entry is fresher than it is said to be.
        (&[from(L1, 1_999)], "tierstack; hit; ttl=1; detail=L1"),
        (&[from(L1, 999)], "tierstack; hit; ttl=0; detail=L1"),
        (&[from(L1, -1)], "tierstack; hit; ttl=-1; detail=L1"),
        (&[from(L2, -59_500)], "tierstack; hit; ttl=-60; detail=L2"),
        // Loaded without a right, or for one caller only.
        (&[kept(Origin, 300_000, Keep::BriefSince(NOW))], "tierstack; fwd=miss; ttl=0; detail=origin"),
        (&[kept(Origin, 300_000, Keep::Nothing)], "tierstack; fwd=miss; ttl=0; detail=origin"),
        // No answer.
        (&[Ok(None)], "tierstack; detail=unknown"),
        (&[failed(ErrorKind::Origin)], "tierstack; fwd=miss; detail=failed"),
        (&[failed(ErrorKind::Timeout)], "tierstack; fwd=miss; detail=failed"),
        (&[failed(ErrorKind::Invalid)], "tierstack; detail=unknown"),
        (&[failed(ErrorKind::Overloaded)], "tierstack; detail=unknown"),
        // Batches: the least fresh of them, and how many came from where.
        (
            &[from(L1, 300_000), from(L2, 200_000), from(L1, 250_000)],
            r#"tierstack; hit; ttl=200; detail="L1=2 L2=1 origin=0""#,
        ),
        (&[from(L1, 300_000), from(L1, -2_000)], r#"tierstack; hit; ttl=-2; detail="L1=2 L2=0 origin=0""#),
        (
            &[from(L1, 300_000), from(Origin, 200_000)],
            r#"tierstack; fwd=partial; ttl=200; stored; detail="L1=1 L2=0 origin=1""#,
        ),
        (
            &[from(Origin, 300_000), kept(Origin, 300_000, Keep::Nothing)],
            r#"tierstack; fwd=miss; ttl=0; detail="L1=0 L2=0 origin=2""#,
        ),
        (
            &[from(L1, 300_000), failed(ErrorKind::Origin), Ok(None)],
            r#"tierstack; fwd=partial; ttl=300; detail="L1=1 L2=0 origin=0 unknown=1 failed=1""#,
        ),
        (&[from(L2, 5_000), Ok(None)], r#"tierstack; ttl=5; detail="L1=0 L2=1 origin=0 unknown=1""#),
        (&[], r#"tierstack; hit; detail="L1=0 L2=0 origin=0""#),
    ];
    for (outcomes, expected) in cases {
        let status = status(outcomes);
        assert_eq!(status.to_string(), *expected);
        assert_eq!(status.is_hit(), expected.contains("; hit"), "{expected}");
        assert_grammar(expected);
    }
}

#[test]
fn the_terms_say_why_the_tiers_did_not_answer() {
    let ask = || Lookup::one(7);
    let (loaded, hit) = ([from(Level::Origin, 5_000)], [from(Level::L1, 5_000)]);
    for (lookup, outcomes, reason) in [
        (ask(), &loaded, Some("fwd=miss")),
        (ask().refresh(), &loaded, Some("fwd=request")),
        (ask().skip_l1().skip_l2(), &loaded, Some("fwd=bypass")),
        // The other tier was asked, and lacked it.
        (ask().skip_l1(), &loaded, Some("fwd=miss")),
        (ask().skip_l2(), &loaded, Some("fwd=miss")),
        (ask().skip_l2(), &hit, None),
    ] {
        let text = status(outcomes).asked_with(lookup.terms).to_string();
        match reason {
            Some(reason) => assert!(text.contains(reason), "{text}"),
            None => assert!(!text.contains("fwd") && text.contains("hit"), "{text}"),
        }
        assert_grammar(&text);
    }
}

#[test]
fn statuses_of_several_lookups_are_one() {
    let film = status(&[from(Level::L1, 100_000)]);
    let actors = status(&[from(Level::L2, 50_000), from(Level::Origin, 70_000)]);
    let text = r#"shop; fwd=partial; ttl=50; stored; detail="L1=1 L2=1 origin=1""#;
    assert_eq!(film.clone().and(actors.clone()).named("shop").to_string(), text);
    assert_eq!(film.clone().and(actors.named("shop")).to_string(), text);
    assert_eq!(film.clone().and(CacheStatus::default()), film);
}

#[test]
fn it_is_a_header_whatever_the_name() {
    for name in ["shop", "a b", "say \"hi\"; hit", "a\r\nSet-Cookie: b", "Läden", "", "1", "\0"] {
        let status = status(&[from(Level::L1, 5_000)]).named(name);
        let (header, value) = status.header();
        assert_eq!(header.as_str(), "cache-status");
        assert_eq!(value, HeaderValue::from(status));
        let text = value.to_str().unwrap();
        assert!(text.ends_with("; hit; ttl=5; detail=L1"), "{text}");
        assert_grammar(text);
    }
    let mut headers = HeaderMap::new();
    for name in ["inner", "outer"] {
        let (header, value) = CacheStatus::default().named(name).header();
        headers.append(header, value);
    }
    assert_eq!(headers.get_all("cache-status").iter().count(), 2);
}

/// Reads one member of the list, by the ABNF of RFC 8941, section 3, and the types of RFC 9211, section 2.
fn assert_grammar(text: &str) {
    let rest = item(text).expect(text);
    let mut seen = Vec::new();
    let mut rest = rest;
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start_matches(' ');
        let end = after.find(['=', ';']).unwrap_or(after.len());
        let (key, after) = after.split_at(end);
        assert!(!seen.contains(&key), "{key} twice: {text}");
        seen.push(key);
        let (value, after) = match after.strip_prefix('=') {
            Some(value) => {
                let after = item(value).expect(text);
                (Some(&value[..value.len() - after.len()]), after)
            }
            None => (None, after),
        };
        let is_right = match (key, value) {
            ("hit" | "stored", value) => value.is_none(),
            ("fwd", Some(value)) => ["bypass", "miss", "partial", "request"].contains(&value),
            ("ttl", Some(value)) => value.parse::<i64>().is_ok(),
            ("detail", Some(value)) => value.parse::<i64>().is_err(),
            _ => false,
        };
        assert!(is_right, "{key}={value:?}: {text}");
        rest = after;
    }
    assert_eq!(rest, "", "{text}");
    // RFC 9211, 2.2: "hit" and "fwd" are exclusive.
    assert!(!(seen.contains(&"hit") && seen.contains(&"fwd")), "{text}");
}

/// What follows a bare item: an integer, a string or a token.
fn item(text: &str) -> Option<&str> {
    if let Some(mut rest) = text.strip_prefix('"') {
        loop {
            let next = rest.chars().next()?;
            rest = match next {
                '"' => return Some(&rest[1..]),
                '\\' if rest[1..].starts_with(['"', '\\']) => &rest[2..],
                '\\' => return None,
                ' '..='~' => &rest[1..],
                _ => return None,
            };
        }
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=15).contains(&count) {
        return Some(&digits[count..]);
    }
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '*';
    let is_next = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
    let token = text.starts_with(is_first).then(|| text.find(|c| !is_next(c)).unwrap_or(text.len()))?;
    Some(&text[token..])
}
