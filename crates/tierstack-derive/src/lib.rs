//! `#[derive(CacheKey)]`, re-exported by the `tierstack` crate as `tierstack::CacheKey` with the feature `derive`.

mod attributes;
mod bounds;
mod expand;
mod shape;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a request a key: two requests share an answer if all their fields are equal, but for those that are skipped.
///
/// The text names fields and variants as the code does, fields in the order of their declaration. The order and every name
/// are part of the key: to change one is to begin with an empty cache.
///
/// ```
/// use std::time::Duration;
/// use tierstack::CacheKey;
///
/// #[derive(CacheKey)]
/// struct FindFilms {
///     rating: Rating,
///     #[cache_key(rename = "language")]
///     language_id: LanguageId,
///     page: Option<u32>,
///     #[cache_key(skip)]
///     timeout: Duration,
/// }
///
/// #[derive(CacheKey)]
/// struct LanguageId(i32);
///
/// #[derive(CacheKey)]
/// enum Rating {
///     Any,
///     Exactly(String),
///     Between { youngest: u8, oldest: u8 },
/// }
///
/// let mut request =
///     FindFilms { rating: Rating::Any, language_id: LanguageId(1), page: None, timeout: Duration::from_secs(1) };
/// assert_eq!(request.key_text(), "(rating=Any,language=1,page=!n)");
/// request.timeout = Duration::from_secs(2);
/// assert_eq!(request.key_text(), "(rating=Any,language=1,page=!n)");
/// request.rating = Rating::Exactly("PG-13".into());
/// assert_eq!(request.key_text(), "(rating=Exactly(~PG-13),language=1,page=!n)");
/// request.rating = Rating::Between { youngest: 6, oldest: 12 };
/// assert_eq!(request.key_text(), "(rating=Between(youngest=6,oldest=12),language=1,page=!n)");
/// ```
///
/// # Attributes
///
/// | on | attribute | for |
/// |---|---|---|
/// | a field | `#[cache_key(skip)]` | what makes no difference to the answer: a trace id, a timeout. A request of another tenant or user is another request: never skip those |
/// | a field or variant | `#[cache_key(rename = "name")]` | keeping the key when the code gets a new name |
/// | the type | `#[cache_key(crate = "path")]` | a re-export of `tierstack`, or `tierstack_core` alone. Default: `::tierstack` |
///
/// A tuple struct with one field that isn't skipped is written as that field.
///
/// # Generics
/// Each type parameter that a field is made of must be a `CacheKey`; any other only `Send + Sync + 'static`. Lifetimes are
/// refused: a request is kept while its answer is loaded, which may outlast its caller.
#[proc_macro_derive(CacheKey, attributes(cache_key))]
pub fn derive_cache_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::cache_key(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
