//! Requests as keys: what a cache around somebody else's service looks answers up by.
//!
//! | value | text |
//! |---|---|
//! | integers, durations (in nanoseconds) | `7`, `-7` |
//! | texts, characters | `~` and the bytes, escaped |
//! | uuid, bool | `!u` and 32 hex digits; `!b0`, `!b1` |
//! | `None`, `Some(None)` | `!n`, `!nn`, and so on; any other `Some` is its value's text |
//! | struct | `(field=value,field=value)` |
//! | tuple, tuple struct, array, list, set | `(value,value)`; a tuple struct of one field is that field's text |
//! | map | `(key=value,key=value)` |
//! | variant | `Name`, `Name(value,value)`, `Name(field=value)` |
//! | unit, unit struct, empty list | `()` |
//!
//! 1. *Injective* for each type: a value's text has a separator only between brackets, brackets come in pairs, and no text
//!    is empty. So where one value ends and the next begins can be read from the text, whatever is nested in what. Names and
//!    texts are escaped as in any key, so none of `( ) , =` occurs in them.
//! 2. *Of one type*: a text doesn't say what type it is of. Requests of two types need two entities.
//! 3. *Plain*: printable ASCII without a character that means something to Redis patterns or hash tags, and without `:`
//!    and `#`, which the outer format writes. It may be shortened like a query's key.
//! 4. *Stable*: a golden file holds it; changing it empties every cache of requests.

mod values;
mod writer;

pub use writer::{RequestGroup, RequestWriter, Written};

use super::KeyWriter;

/// What makes a request differ from another: two requests with one text share one answer.
///
/// Derive it (feature `derive` of `tierstack`):
///
/// ```
/// use tierstack_core::CacheKey;
/// # use tierstack_derive::CacheKey;
///
/// #[derive(Clone, CacheKey)]
/// # #[cache_key(crate = "tierstack_core")]
/// struct FindFilms {
///     rating: Option<String>,
///     language_ids: Vec<i32>,
///     page: u32,
/// }
///
/// let request = FindFilms { rating: Some("PG 13".into()), language_ids: vec![1, 2], page: 0 };
/// assert_eq!(request.key_text(), "(rating=~PG%2013,language_ids=(1,2),page=0)");
/// ```
///
/// Types that it is implemented for: integers, `bool`, `char`, texts, [`Uuid`](uuid::Uuid), `Duration`, `Option`, `Vec`,
/// arrays, slices in a `Box` or `Arc`, `Box`, `Arc`, tuples up to 4, `BTreeMap` and `BTreeSet`. Not for floating point
/// numbers (`NaN` and `-0.0` have no canonical text), nor for maps and sets without an order.
///
/// For a type of somebody else's, wrap it and write something that says all of it:
///
/// ```
/// use tierstack_core::{CacheKey, RequestWriter, Written};
///
/// /// An amount of money, exact to the cent.
/// struct Price(f64);
///
/// impl CacheKey for Price {
///     fn write_key(&self, out: RequestWriter<'_>) -> Written {
///         ((self.0 * 100.0).round() as i64).write_key(out)
///     }
/// }
///
/// assert_eq!(Price(4.99).key_text(), "499");
/// assert_eq!(Price(-0.0).key_text(), Price(0.0).key_text());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't stand in a cache key",
    label = "has no text by which its values are told apart",
    note = "a type of your own: add `#[derive(CacheKey)]` to it",
    note = "a floating point number: `NaN` and `-0.0` have no canonical text, write whole units, such as cents",
    note = "a `HashMap` or `HashSet`: it has no order, take a `BTreeMap` or `BTreeSet`",
    note = "a value that makes no difference to the answer: put `#[cache_key(skip)]` on its field"
)]
pub trait CacheKey: Sized + Send + Sync + 'static {
    /// Writes it, as one value.
    ///
    /// Equal requests write the same on every machine and in every release, different ones something different.
    fn write_key(&self, out: RequestWriter<'_>) -> Written;

    /// Size of its variable parts, in bytes: each text counts with its length before escaping, each item of a list, set or
    /// map with one more. A layer refuses a request above the settings' limit before it writes or asks anything.
    fn key_size_bytes(&self) -> usize {
        let mut size = 0;
        self.write_key(RequestWriter::measuring(&mut size));
        size
    }

    /// Its text.
    fn key_text(&self) -> String {
        let mut out = Vec::new();
        self.write_key(RequestWriter::to(&mut out));
        String::from_utf8(out).expect("a writer writes nothing but ASCII")
    }
}

impl KeyWriter<'_> {
    /// Writes the text of a request, without a name.
    pub fn request(&mut self, request: &impl CacheKey) {
        request.write_key(RequestWriter::to(self.out));
    }
}
