//! The SQL of an entity's queries, each written once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tierstack_core::{QueryDef, Schema};

use crate::sql::{self, Nulls, Sql};

/// The most texts that are kept. A program declares a few dozen queries; one that declares them as it goes has them
/// written each time from here on.
const MOST: usize = 1_000;

/// Which statement of a query it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    One(Nulls),
    Secondary,
}

#[derive(Debug)]
pub(crate) struct Statements {
    schema: Schema,
    kept: RwLock<HashMap<(u64, Form), Arc<Sql>, foldhash::quality::RandomState>>,
}

impl Statements {
    pub(crate) fn new(schema: Schema) -> Self {
        Statements { schema, kept: RwLock::default() }
    }

    pub(crate) fn table(&self) -> &str {
        &self.schema.table
    }

    /// The statement of one query.
    pub(crate) fn query(&self, def: &QueryDef, nulls: Nulls) -> Arc<Sql> {
        self.get(def, Form::One(nulls), || sql::query(&self.schema, def, nulls))
    }

    /// The statement of many queries that are one secondary key.
    pub(crate) fn secondary(&self, def: &QueryDef) -> Arc<Sql> {
        self.get(def, Form::Secondary, || sql::secondary(&self.schema, def))
    }

    fn get(&self, def: &QueryDef, form: Form, write: impl FnOnce() -> Sql) -> Arc<Sql> {
        let name = (def.fingerprint(), form);
        if let Some(sql) = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Arc::clone(sql);
        }
        let sql = Arc::new(write());
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST {
            kept.insert(name, Arc::clone(&sql));
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use tierstack_core::{Entity, Query, Value};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Film;

    impl Entity for Film {
        type Pk = i32;
        fn schema() -> Schema {
            Schema::table("film").pk(["film_id"]).columns(["film_id"])
        }
        fn pk(&self) -> i32 {
            0
        }
    }

    #[test]
    fn each_statement_is_written_once() {
        let statements = Statements::new(Film::schema());
        let query = Query::<Film>::one("by").param::<Option<i32>>("a").build().unwrap();
        let forms = || {
            [
                statements.query(query.def(), Nulls::default()),
                statements.query(query.def(), Nulls::of(&[Value::Null])),
                statements.secondary(query.def()),
            ]
        };
        let (first, again) = (forms(), forms());
        assert!(first.iter().zip(&again).all(|(first, again)| Arc::ptr_eq(first, again)));
        assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
    }

    #[test]
    fn queries_without_end_take_no_memory_without_end() {
        let statements = Statements::new(Film::schema());
        for n in 0..MOST + 10 {
            let query = Query::<Film>::list("by").fixed("a", n as u64).build().unwrap();
            assert!(statements.query(query.def(), Nulls::default()).text.contains("\"a\" = $1"));
        }
        assert_eq!(statements.kept.read().unwrap().len(), MOST);
    }
}
