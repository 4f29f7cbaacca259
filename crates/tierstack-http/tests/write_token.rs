//! Tokens of writes in headers.

use http::{HeaderMap, HeaderValue};
use tierstack_core::{ErrorKind, WriteToken, Xid};
use tierstack_http::{WRITE_TOKEN, write_token_header, write_token_of};

fn token(id: u64) -> WriteToken {
    WriteToken::of([Xid { system: 7, timeline: 1, id }])
}

#[test]
fn what_a_response_brought_comes_back_with_a_request() {
    let mut headers = HeaderMap::new();
    assert_eq!(write_token_of(&headers).unwrap(), WriteToken::default(), "no header, no write");
    headers.extend([write_token_header(&token(5))]);
    assert_eq!(write_token_of(&headers).unwrap(), token(5));
    let (name, value) = write_token_header(&WriteToken::must_load());
    headers.append(name, value);
    assert_eq!(write_token_of(&headers).unwrap(), token(5).and(&WriteToken::must_load()), "of both writes");
}

#[test]
fn anything_else_is_refused() {
    for hostile in [&b""[..], b"1s.", b"\xff\xfe", b"1s.7-1-5, 1s.7-1-6", &[b'1'; 60_000]] {
        let mut headers = HeaderMap::new();
        headers.append(WRITE_TOKEN, HeaderValue::from_bytes(hostile).unwrap());
        let error = write_token_of(&headers).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().len() < 120, "{error}");
    }
    let mut many = HeaderMap::new();
    for id in 1..=17 {
        assert!(write_token_of(&many).is_ok());
        many.append(WRITE_TOKEN, write_token_header(&token(id)).1);
    }
    assert_eq!(write_token_of(&many).unwrap_err().kind(), ErrorKind::Invalid);
}
