//! Primary keys by query.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use deadpool_postgres::Pool;
use futures_util::{StreamExt, stream};
use tierstack_core::{Bound, BoxFuture, Entity, Error, Loaded, Loader, Mode, QueryDef, System, Value};
use tokio_postgres::{Client, Row};

use crate::PgEntity;
use crate::bind::{self, Bind, Param, compares_exactly};
use crate::connection::{Connection, Reply};
use crate::error::{is_of_statement, unreadable};
use crate::key::PgRowKey;
use crate::probe::Probe;
use crate::sql::Nulls;
use crate::statements::Statements;

/// How many statements of one load are under way on its connection.
const AT_ONCE: usize = 4;

/// What was found: a query that finds nothing may be missing, one that finds too much is there twice.
type Pks<E> = Vec<(Bound<E>, Vec<<E as Entity>::Pk>)>;

/// The same, and what has failed.
type Found<E> = Loaded<Bound<E>, Vec<<E as Entity>::Pk>>;

/// What was found of a secondary key, and values that are to be asked for one by one.
type Matched<'a, E> = (Found<E>, Vec<&'a Bound<E>>);

/// What one statement was told: an error is that of the queries it was for.
type Told<T> = Result<T, Error>;

/// Lookups that no row was found for.
type Set<'a, E> = HashSet<&'a Bound<E>, foldhash::quality::RandomState>;

/// Lookups by one secondary key, and by values of one type.
type Groups<'a, E> = HashMap<(u64, Discriminant<Value>), Vec<&'a Bound<E>>, foldhash::quality::RandomState>;

pub(crate) struct Index<E> {
    pool: Pool,
    probe: Arc<Probe>,
    find: Find<E>,
}

impl<E: PgEntity> Index<E> {
    pub(crate) fn new(pool: Pool, probe: Arc<Probe>) -> Self {
        Index { pool, probe, find: Find::new() }
    }

    async fn read(&self, asked: &[Bound<E>]) -> Result<Found<E>, Error> {
        if asked.is_empty() {
            return Ok(Loaded::rows(Vec::new()));
        }
        let connection = Connection::open(&self.pool, self.find.statements.table()).await?;
        // The snapshot of a load is of before the first of its statements.
        let found = connection.probed(&self.probe, self.find.read_on(&connection, asked)).await;
        connection.close();
        let (loaded, seen) = found?;
        Ok(loaded.stamped(seen.stamp).shared(seen.shared))
    }
}

impl<E: PgEntity> Loader<Bound<E>, Vec<E::Pk>> for Index<E> {
    fn load<'a>(&'a self, asked: &'a [Bound<E>]) -> BoxFuture<'a, Result<Found<E>, Error>> {
        Box::pin(self.read(asked))
    }

    fn system(&self) -> Option<System> {
        Some(System::new("postgresql", "SELECT", "COMMIT"))
    }
}

/// The statements that find primary keys of an entity.
pub(crate) struct Find<E> {
    statements: Statements,
    entity: PhantomData<fn() -> E>,
}

impl<E: PgEntity> Find<E> {
    pub(crate) fn new() -> Self {
        Find { statements: Statements::new(E::schema()), entity: PhantomData }
    }

    /// The primary keys that a query finds inside a transaction, which sees its own rows.
    pub(crate) async fn read_inside(&self, client: &Client, query: &Bound<E>) -> Result<Vec<E::Pk>, Error> {
        let connection = Connection::inside(client, self.statements.table());
        let found = self.alone(&connection, query).await??;
        Ok(found.into_iter().flat_map(|(_, pks)| pks).collect())
    }

    async fn read_on(&self, connection: &Connection<'_>, asked: &[Bound<E>]) -> Result<Found<E>, Error> {
        let (groups, mut alone) = grouped(asked);
        let mut loaded = Loaded::rows(Vec::with_capacity(asked.len()));
        for group in groups.values() {
            match self.together(connection, group).await? {
                Ok((found, open)) => {
                    loaded.rows.extend(found.rows);
                    loaded.failed.extend(found.failed);
                    alone.extend(open);
                }
                Err(error) => {
                    loaded.failed.extend(group.iter().map(|bound| ((*bound).clone(), error.clone())))
                }
            }
        }
        let alone: Vec<_> = alone
            .into_iter()
            .map(|bound| async move { (bound, self.alone(connection, bound).await) })
            .collect();
        let mut alone = stream::iter(alone).buffered(AT_ONCE);
        while let Some((bound, found)) = alone.next().await {
            match found? {
                Ok(rows) => loaded.rows.extend(rows),
                Err(error) => loaded.failed.push((bound.clone(), error)),
            }
        }
        Ok(loaded)
    }

    /// Asks for all of a secondary key's values at once. Gives back those that only Postgres can compare, too: they are
    /// to be asked one by one.
    async fn together<'a>(
        &self,
        connection: &Connection<'_>,
        group: &[&'a Bound<E>],
    ) -> Result<Told<Matched<'a, E>>, Error> {
        let Some(first) = group.first() else { return Ok(Ok((Loaded::rows(Vec::new()), Vec::new()))) };
        // One more than there are if each has one row: so a column that isn't unique after all can't flood us.
        let most = i64::try_from(group.len()).unwrap_or(i64::MAX).saturating_add(1);
        let values = group.iter().filter_map(|bound| bound.values().first());
        let mut params = vec![Param::Many(values.map(Bind::Value).collect())];
        params.extend(fixed(first.def()));
        params.push(Param::Cast(Box::new(most)));
        let reply = connection.query(&self.statements.secondary(first.def()), &params).await;
        Ok(told(reply)?.and_then(|reply| self.matched(&reply, group)))
    }

    /// Matches rows to the values of a secondary key.
    fn matched<'a>(&self, reply: &Reply, group: &[&'a Bound<E>]) -> Result<Matched<'a, E>, Error> {
        let by_value: HashMap<&Value, &'a Bound<E>, foldhash::quality::RandomState> =
            group.iter().filter_map(|bound| Some((bound.values().first()?, *bound))).collect();
        let mut found: Found<E> = Loaded::rows(Vec::with_capacity(reply.rows.len()));
        for row in &reply.rows {
            let value = row.try_get::<_, bind::Found>(0).map_err(|error| self.unreadable(error, row))?.0;
            let Some(bound) = by_value.get(&value) else {
                // Equal to a value to Postgres, and not to us: a collation of its own, or padding.
                return Ok((Loaded::rows(Vec::new()), group.to_vec()));
            };
            match self.pk(row, 1) {
                Ok(pk) => found.rows.push(((*bound).clone(), vec![pk])),
                Err(error) => found.failed.push(((*bound).clone(), error)),
            }
        }
        if reply.rows.len() > group.len() {
            return Ok((Loaded::rows(Vec::new()), group.to_vec()));
        }
        let exact = reply.statement.columns().first().is_none_or(|column| compares_exactly(column.type_()));
        let mut open = if exact { HashSet::default() } else { group.iter().copied().collect::<Set<'_, E>>() };
        for bound in
            found.rows.iter().map(|(bound, _)| bound).chain(found.failed.iter().map(|(bound, _)| bound))
        {
            open.remove(bound);
        }
        Ok((found, open.into_iter().collect()))
    }

    async fn alone(&self, connection: &Connection<'_>, bound: &Bound<E>) -> Result<Told<Pks<E>>, Error> {
        let (def, values) = (bound.def(), bound.values());
        let sql = self.statements.query(def, Nulls::of(values));
        let bound_values = values.iter().filter(|value| **value != Value::Null);
        let mut params: Vec<Param<'_>> =
            bound_values.map(|value| Param::One(Bind::Value(value))).chain(fixed(def)).collect();
        let most: i64 = match def.mode() {
            Mode::One => 2,
            Mode::List => def.limit().into(),
        };
        params.push(Param::Cast(Box::new(most)));
        let reply = told(connection.query(&sql, &params).await)?;
        let pks = reply
            .and_then(|reply| reply.rows.iter().map(|row| self.pk(row, 0)).collect::<Result<Vec<_>, _>>());
        Ok(pks.map(|pks| match def.mode() {
            Mode::List => vec![(bound.clone(), pks)],
            // Two rows are the query twice, which is its error.
            Mode::One => pks.into_iter().map(|pk| (bound.clone(), vec![pk])).collect(),
        }))
    }

    fn pk(&self, row: &Row, first: usize) -> Result<E::Pk, Error> {
        E::Pk::read_row(row, first).map_err(|error| unreadable(error, row, self.statements.table()))
    }

    fn unreadable(&self, error: tokio_postgres::Error, row: &Row) -> Error {
        unreadable(error.into(), row, self.statements.table())
    }
}

/// Parts what one statement was told from what any would be: no connection, no time, a transaction that has failed.
fn told(reply: Result<Reply, Error>) -> Result<Told<Reply>, Error> {
    match reply {
        Err(error) if !is_of_statement(&error) => Err(error),
        told => Ok(told),
    }
}

/// Parts lookups by secondary keys, which go together, from the rest. Null is equal to nothing, so it goes alone.
fn grouped<E>(asked: &[Bound<E>]) -> (Groups<'_, E>, Vec<&Bound<E>>) {
    let (mut groups, mut alone) = (Groups::<E>::default(), Vec::new());
    for bound in asked {
        match bound.values() {
            [value] if bound.def().is_secondary_key() && *value != Value::Null => {
                groups.entry((bound.def().fingerprint(), discriminant(value))).or_default().push(bound);
            }
            _ => alone.push(bound),
        }
    }
    (groups, alone)
}

/// The parameters of the fixed filters.
fn fixed(def: &QueryDef) -> impl Iterator<Item = Param<'_>> {
    let values = def.fixed().map(|(_, value)| value).filter(|value| **value != Value::Null);
    values.map(|value| Param::One(Bind::Value(value)))
}
