//! Declares a query, and checks it once.

use std::marker::PhantomData;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Direction, Mode, Params, Query, QueryDef, Template};
use crate::{Error, KeyPart, Value};

/// The most rows of a list, unless the query says less.
const DEFAULT_LIMIT: u32 = 10_000;
/// The most rows that a query may ask for.
const LARGEST_LIMIT: u32 = 100_000;

/// A query being declared.
#[derive(Debug)]
#[must_use = "a query exists once build() has checked it"]
pub struct QueryBuilder<E, P> {
    name: Box<str>,
    mode: Mode,
    params: Vec<Box<str>>,
    fixed: Vec<(Box<str>, Value)>,
    order_by: Vec<(Box<str>, Direction)>,
    limit: Option<u32>,
    template: Option<String>,
    types: PhantomData<fn(P) -> E>,
}

impl<E, P: Params> QueryBuilder<E, P> {
    pub(super) fn new(name: &str, mode: Mode) -> Self {
        QueryBuilder {
            name: name.into(),
            mode,
            params: Vec::new(),
            fixed: Vec::new(),
            order_by: Vec::new(),
            limit: None,
            template: None,
            types: PhantomData,
        }
    }

    /// Adds a parameter: rows whose `column` equals the value bound to it. `None` means null.
    pub fn param<T: KeyPart>(mut self, column: &str) -> QueryBuilder<E, P::Push<T>> {
        self.params.push(column.into());
        let QueryBuilder { name, mode, params, fixed, order_by, limit, template, types: _ } = self;
        QueryBuilder { name, mode, params, fixed, order_by, limit, template, types: PhantomData }
    }

    /// Adds a fixed filter: rows whose `column` equals `value`. It is no parameter and stands in no key.
    pub fn fixed(mut self, column: &str, value: impl Into<Value>) -> Self {
        self.fixed.push((column.into(), value.into()));
        self
    }

    /// Sorts by a column, ascending, after those named before.
    pub fn order_by(mut self, column: &str) -> Self {
        self.order_by.push((column.into(), Direction::Ascending));
        self
    }

    /// Sorts by a column, descending, after those named before.
    pub fn order_by_descending(mut self, column: &str) -> Self {
        self.order_by.push((column.into(), Direction::Descending));
        self
    }

    /// Sets the most rows it answers. Default: 10,000.
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Sets the key template: `{column}` for each parameter, separators between them. Default: `column={column}` of all
    /// parameters, joined by `:`.
    pub fn key(mut self, template: &str) -> Self {
        self.template = Some(template.to_owned());
        self
    }

    /// Checks the declaration.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) with a sentence that says what to change: an empty name, a column that is
    /// named twice or both as parameter and fixed filter, a template that misses a parameter, names one twice or names
    /// something else, more than 6 parameters, a limit of 0 or above 100,000.
    pub fn build(self) -> Result<Query<E, P>, Error> {
        let QueryBuilder { name, mode, params, fixed, order_by, limit, template, types: _ } = self;
        let bad = |text: String| Err(Error::invalid(format!("query {name:?}: {text}")));
        let filters = params.iter().chain(fixed.iter().map(|(column, _)| column));
        let columns = filters.clone().chain(order_by.iter().map(|(column, _)| column));
        for name in columns.chain([&name]) {
            if name.is_empty() || name.contains('\0') {
                return bad(format!("{name:?} is no identifier: it is empty or has a NUL"));
            }
        }
        if P::COUNT != params.len() {
            return bad(format!("it has {} parameters: at most 6 are taken", params.len()));
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = filters.into_iter().find(|column| !seen.insert(*column)) {
            return bad(format!(
                "{twice:?} is filtered twice: keep it as a parameter or as a fixed filter, not both"
            ));
        }
        if mode == Mode::One && (limit.is_some() || !order_by.is_empty()) {
            return bad("one() answers one row: leave limit and order out, or declare it with list()".into());
        }
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 || limit > LARGEST_LIMIT {
            return bad(format!("limit is {limit}: set it between 1 and {LARGEST_LIMIT}"));
        }
        let template_text = template.as_deref();
        let asked = format!("{name:?}{mode:?}{params:?}{fixed:?}{order_by:?}{limit}{template_text:?}");
        let fingerprint = xxh3_64(asked.as_bytes());
        let template = match template_text {
            Some(text) => Template::parse(text, &params)?,
            None => Template::of_all(&params),
        }
        .named(&name, fingerprint);
        let def = QueryDef { name, mode, params, fixed, order_by, limit, template, fingerprint };
        Ok(Query { def: Arc::new(def), types: PhantomData })
    }
}
