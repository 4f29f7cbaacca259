//! An origin in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tierstack_core::{Bound, BoxFuture, Error, ErrorKind, Loaded, Loader, Origin, Value};
use tokio::sync::Semaphore;

use crate::{Film, FilmTitle};

/// A table of films that counts what is asked of it, and fails or stalls when told. Clones share it.
#[derive(Clone, Debug)]
pub struct Repository(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// One permit per load that may read; a load reads after it has one.
    gate: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<i32, Film>,
    failing: bool,
    gated: bool,
    delay: Duration,
    /// The keys of each load, in order.
    loads: Vec<Vec<i32>>,
    /// The number of queries of each load of the index.
    queries: Vec<usize>,
}

impl Repository {
    /// The table with these rows.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Film>) -> Self {
        let rows = rows.into_iter().map(|film| (film.film_id, film)).collect();
        let state = Mutex::new(State { rows, ..State::default() });
        Repository(Arc::new(Shared { state, gate: Semaphore::new(0) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a row.
    pub fn put(&self, film: Film) {
        self.state().rows.insert(film.film_id, film);
    }

    /// Deletes a row.
    pub fn remove(&self, film_id: i32) {
        self.state().rows.remove(&film_id);
    }

    /// The row there is now.
    #[must_use]
    pub fn row(&self, film_id: i32) -> Option<Film> {
        self.state().rows.get(&film_id).cloned()
    }

    /// Whether loads fail from now on.
    pub fn set_failing(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// From now on each load reads, and then takes this long to return.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// From now on each load *reads*, and then waits for [`let_through`](Self::let_through) before it returns.
    pub fn hold_loads(&self) {
        self.state().gated = true;
    }

    /// Lets one held load return.
    pub fn let_through(&self) {
        self.0.gate.add_permits(1);
    }

    /// Loads are held no longer.
    pub fn release_loads(&self) {
        self.state().gated = false;
        self.0.gate.add_permits(1_000);
    }

    /// How many loads of rows there were.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.state().loads.len()
    }

    /// The keys of each load of rows.
    #[must_use]
    pub fn loaded(&self) -> Vec<Vec<i32>> {
        self.state().loads.clone()
    }

    /// How many queries each load of the index had.
    #[must_use]
    pub fn queries(&self) -> Vec<usize> {
        self.state().queries.clone()
    }

    /// Rows and queries of films.
    #[must_use]
    pub fn films(&self) -> Origin<Film> {
        Origin::new(Rows(self.clone(), |film: &Film| film.clone())).with_queries(Index(self.clone()))
    }

    /// Rows and queries of films' titles.
    #[must_use]
    pub fn titles(&self) -> Origin<FilmTitle> {
        let narrow = |film: &Film| FilmTitle { film_id: film.film_id, title: film.title.clone() };
        Origin::new(Rows(self.clone(), narrow)).with_queries(Index(self.clone()))
    }

    /// Reads, takes its time, waits to be let through, and returns what was read.
    async fn read<T>(&self, read: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let (delay, gated, failing, found) = {
            let mut state = self.state();
            let found = read(&mut state);
            (state.delay, state.gated, state.failing, found)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if gated && let Ok(permit) = self.0.gate.acquire().await {
            permit.forget();
        }
        if failing {
            let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "the repository is down");
            return Err(Error::with_source(ErrorKind::Origin, "the load failed", refused));
        }
        Ok(found)
    }
}

struct Rows<V>(Repository, fn(&Film) -> V);

impl<V: Send + 'static> Loader<i32, V> for Rows<V> {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, V>, Error>> {
        let Rows(repository, narrow) = self;
        Box::pin(async move {
            let read = |state: &mut State| {
                state.loads.push(keys.to_vec());
                keys.iter().filter_map(|key| Some((*key, narrow(state.rows.get(key)?)))).collect()
            };
            repository.read(read).await.map(Loaded::rows)
        })
    }
}

struct Index(Repository);

impl<E: 'static> Loader<Bound<E>, Vec<i32>> for Index {
    fn load<'a>(
        &'a self,
        queries: &'a [Bound<E>],
    ) -> BoxFuture<'a, Result<Loaded<Bound<E>, Vec<i32>>, Error>> {
        Box::pin(async move {
            let read = |state: &mut State| {
                state.queries.push(queries.len());
                let answer = |query: &Bound<E>| {
                    let pks: Vec<i32> = state
                        .rows
                        .values()
                        .filter(|film| matches(query, film))
                        .map(|film| film.film_id)
                        .collect();
                    match (query.def().mode(), pks.len()) {
                        (tierstack_core::Mode::List, _) => vec![(query.clone(), pks)],
                        (tierstack_core::Mode::One, 0) => vec![],
                        (tierstack_core::Mode::One, _) => {
                            pks.into_iter().map(|pk| (query.clone(), vec![pk])).collect()
                        }
                    }
                };
                queries.iter().flat_map(answer).collect()
            };
            self.0.read(read).await.map(Loaded::rows)
        })
    }
}

fn matches<E>(query: &Bound<E>, film: &Film) -> bool {
    let column = |name: &str| match name {
        "film_id" => Value::from(film.film_id),
        "title" => Value::from(film.title.as_str()),
        "rating" => Value::from(film.rating.as_str()),
        _ => Value::Null,
    };
    let params = query.def().params().zip(query.values());
    params.chain(query.def().fixed()).all(|(name, value)| column(name) == *value)
}
