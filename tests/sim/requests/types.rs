//! Requests of several shapes.
#![deny(clippy::pedantic)]

use tierstack::{CacheKey, Key, KeyWriter, RequestWriter, Written};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, CacheKey)]
pub(super) struct FindFilms {
    pub(super) rating: Option<String>,
    #[cache_key(rename = "languages")]
    pub(super) language_ids: Vec<i64>,
    pub(super) page: Page,
    pub(super) order: Order,
    #[cache_key(skip)]
    pub(super) trace_id: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, CacheKey)]
pub(super) struct Page {
    pub(super) number: u8,
    pub(super) all: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, CacheKey)]
pub(super) enum Order {
    #[default]
    Newest,
    #[cache_key(rename = "oldest first")]
    Oldest {},
    By(String),
    ByTwo(String, String),
    Range {
        from: Option<i32>,
        to: Option<i32>,
    },
}

#[derive(Clone, Debug, PartialEq, CacheKey)]
pub(super) enum Filter {
    Any,
    Is(String),
    Not(Box<Filter>),
    All(Vec<Filter>),
    Either(Box<Filter>, Box<Filter>),
}

/// Written by hand, without the names of its variants: its values are told apart by nothing but their own texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Untagged {
    Integer(i64),
    Text(String),
    Truth(bool),
    Uuid(Uuid),
    Nothing(Option<Box<Untagged>>),
}

impl CacheKey for Untagged {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        match self {
            Untagged::Integer(value) => value.write_key(out),
            Untagged::Text(value) => value.write_key(out),
            Untagged::Truth(value) => value.write_key(out),
            Untagged::Uuid(value) => value.write_key(out),
            Untagged::Nothing(value) => value.write_key(out),
        }
    }
}

/// Written by hand, with as little as can be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nameless;

impl CacheKey for Nameless {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        out.variant("").end()
    }
}

/// A request as the key of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked(pub(super) FindFilms);

impl Key for Asked {
    const MAY_SHORTEN: bool = true;

    fn write(&self, out: &mut KeyWriter<'_>) {
        out.request(&self.0);
    }

    fn size_bytes(&self) -> usize {
        self.0.key_size_bytes()
    }
}
