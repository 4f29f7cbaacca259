use http::{HeaderMap, HeaderName, HeaderValue};
use tierstack_core::{Error, WriteToken};

/// The header that [`WriteToken`]s travel in, both ways.
pub const WRITE_TOKEN: HeaderName = HeaderName::from_static("tierstack-write-token");

/// Most tokens that one request may bring.
const MOST_TOKENS: usize = 16;

/// The write that a request must see: all of those that its headers bring, and nothing if they bring none.
///
/// A client sends back what the response to its write brought, to whatever node it asks next:
///
/// ```
/// use http::HeaderMap;
/// use tierstack_core::{Cache, Entity, Error, Write};
/// use tierstack_http::{write_token_header, write_token_of};
///
/// # async fn example<E: Entity<Pk = i32>>(films: Cache<E>, write: Write) -> Result<(), Error> {
/// // The response to the write:
/// let mut response = HeaderMap::new();
/// response.extend([write_token_header(&write.commit().await?)]);
///
/// // The client's next request, on another node:
/// let request = response;
/// let film = films.seen(&write_token_of(&request)?).get(7).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Invalid`](tierstack_core::ErrorKind::Invalid) for more than 16 tokens and for any text that is none, however long: the
/// client didn't pass on what it was given. Its request is answered as a bad one, or without what it asked for.
pub fn write_token_of(headers: &HeaderMap) -> Result<WriteToken, Error> {
    let mut all = WriteToken::default();
    for (at, value) in headers.get_all(&WRITE_TOKEN).iter().enumerate() {
        if at >= MOST_TOKENS {
            let text =
                format!("a request brings more than {MOST_TOKENS} write tokens: send the last ones only");
            return Err(Error::new(tierstack_core::ErrorKind::Invalid, text));
        }
        // A text that is not ASCII is no token, and neither is an empty one.
        all = all.and(&value.to_str().unwrap_or_default().parse()?);
    }
    Ok(all)
}

/// The header of a response to a write. A token fits into every header.
#[must_use]
pub fn write_token_header(token: &WriteToken) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::try_from(token.to_string());
    (WRITE_TOKEN, value.expect("a token's text is hex digits, dots and dashes"))
}
