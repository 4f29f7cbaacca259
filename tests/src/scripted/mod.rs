//! An origin that does what a script says, and logs what was asked of it.

mod log;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tierstack_core::{Bound, BoxFuture, Error, ErrorKind, Loaded, Loader, Mode, Origin, Value};
use tower::Service;

use self::log::Log;
pub use self::log::{Ended, Load, Mark};
use crate::{Film, Gate, film};

/// How a load ends for one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a row.
    Value,
    /// Without one.
    Absent,
    /// The load fails.
    Error,
    /// It says that this key failed, and goes on with the others.
    KeyError,
    /// The loader panics before it has made a future.
    PanicAtOnce,
    /// It panics after its first await.
    Panic,
    /// It doesn't.
    Never,
}

impl End {
    /// All of them.
    pub const ALL: [End; 7] =
        [End::Value, End::Absent, End::Error, End::KeyError, End::PanicAtOnce, End::Panic, End::Never];

    /// The same after so many milliseconds.
    #[must_use]
    pub fn after(self, ms: u64) -> Step {
        Step { end: self, after: Duration::from_millis(ms) }
    }
}

/// What one load of a key does. A load of several keys takes the longest of their times, and fails if one of them does; but
/// for those that fail by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    end: End,
    after: Duration,
}

impl From<End> for Step {
    fn from(end: End) -> Self {
        end.after(0)
    }
}

/// The key under which loads of queries are scripted.
pub const QUERIES: i32 = 0;

/// The origin. Clones share script and log.
#[derive(Clone, Debug, Default)]
pub struct Scripted(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct State {
    steps: HashMap<i32, VecDeque<Step>>,
    otherwise: Option<Step>,
    versions: HashMap<i32, i64>,
    log: Log,
}

impl State {
    fn step(&mut self, key: i32) -> Step {
        let next = self.steps.get_mut(&key).and_then(VecDeque::pop_front);
        next.or(self.otherwise).unwrap_or(End::Value.into())
    }

    fn version(&self, key: i32) -> i64 {
        self.versions.get(&key).copied().unwrap_or_default()
    }
}

impl Scripted {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next loads of a key do, one after the other.
    pub fn next<S: Into<Step>>(&self, key: i32, steps: impl IntoIterator<Item = S>) {
        self.state().steps.entry(key).or_default().extend(steps.into_iter().map(Into::into));
    }

    /// What loads do of which the script says nothing else. Default: a row, at once.
    pub fn always(&self, step: impl Into<Step>) {
        self.state().otherwise = Some(step.into());
    }

    /// From now on every load brings its rows at once.
    pub fn end_script(&self) {
        let mut state = self.state();
        state.steps.clear();
        state.otherwise = None;
    }

    /// Writes the row: it has a new version from now on, which is returned. A load brings the version there was when it
    /// began.
    pub fn write(&self, key: i32) -> i64 {
        let mut state = self.state();
        let version = state.version(key) + 1;
        state.versions.insert(key, version);
        version
    }

    /// The version there is now.
    #[must_use]
    pub fn version(&self, key: i32) -> i64 {
        self.state().version(key)
    }

    /// Before the ends of loads.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// A point in the log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.state().log.mark()
    }

    /// All loads up to now, in the order in which they began.
    #[must_use]
    pub fn log(&self) -> Vec<Load> {
        self.state().log.loads.clone()
    }

    /// How many loads there were.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.state().log.loads.len()
    }

    /// How many of them asked for that key.
    #[must_use]
    pub fn loads_of(&self, key: i32) -> usize {
        self.state().log.loads.iter().filter(|load| load.keys.contains(&key)).count()
    }

    /// Most loads that were under way at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.state().log.peak
    }

    /// Rows and queries of films: every key has a row, a title finds its film, a list the first three.
    #[must_use]
    pub fn films(&self) -> Origin<Film> {
        Origin::new(self.clone()).with_queries(self.clone())
    }

    /// Rows of films by a service over one key. Each of its calls is a load in the log.
    #[must_use]
    pub fn one_by_one(
        &self,
    ) -> impl Service<i32, Response = Option<Film>, Error = Error, Future: Send> + Clone + use<> {
        let origin = self.clone();
        tower::service_fn(move |key| {
            let found = origin.rows(vec![key]);
            async move {
                let mut loaded = found.await?;
                loaded.failed.pop().map_or(Ok(()), |(_, error)| Err(error))?;
                Ok(loaded.rows.pop().map(|(_, film)| film))
            }
        })
    }

    /// Begins a load of rows.
    fn rows(&self, keys: Vec<i32>) -> impl Future<Output = Result<Loaded<i32, Film>, Error>> + Send + use<> {
        let asked = keys.clone();
        self.load(&asked, 0, move |state, steps| {
            let mut loaded = Loaded::rows(Vec::new());
            for (key, step) in keys.into_iter().zip(steps) {
                match step.end {
                    End::Absent => {}
                    End::KeyError => loaded.fail(key, refused()),
                    _ => loaded.rows.push((key, Film { version: state.version(key), ..film(key) })),
                }
            }
            loaded
        })
    }

    /// Begins a load that brings what `read` reads now, and then goes as the keys' steps say.
    fn load<K, V, R: FnOnce(&State, &[Step]) -> Loaded<K, V>>(
        &self,
        keys: &[i32],
        queries: usize,
        read: R,
    ) -> impl Future<Output = Result<Loaded<K, V>, Error>> + use<K, V, R> {
        let mut state = self.state();
        let scripted = if queries > 0 { &[QUERIES][..] } else { keys };
        let steps: Vec<Step> = scripted.iter().map(|key| state.step(*key)).collect();
        let found = read(&state, &steps);
        let at = state.log.begin(keys, queries);
        drop(state);
        let under_way = UnderWay { origin: self.clone(), at, ended: None };
        let after = steps.iter().map(|step| step.after).max().unwrap_or_default();
        let any = move |end| steps.iter().any(|step| step.end == end);
        if any(End::PanicAtOnce) {
            fall();
        }
        async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            under_way.origin.gate().pass().await;
            if any(End::Never) {
                std::future::pending::<()>().await;
            }
            if any(End::Panic) {
                tokio::task::yield_now().await;
                fall();
            }
            if any(End::Error) {
                under_way.end(Ended::Failed);
                return Err(refused());
            }
            under_way.end(if any(End::KeyError) { Ended::Failed } else { Ended::Rows });
            Ok(found)
        }
    }
}

fn refused() -> Error {
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "scripted");
    Error::with_source(ErrorKind::Origin, "the load failed", refused)
}

/// Panics as a loader might, but says nothing on stderr.
fn fall() -> ! {
    std::panic::resume_unwind(Box::new("scripted"))
}

/// Logs how a load ends, however it does.
struct UnderWay {
    origin: Scripted,
    at: usize,
    ended: Option<Ended>,
}

impl UnderWay {
    fn end(mut self, ended: Ended) {
        self.ended = Some(ended);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let unsaid = if std::thread::panicking() { Ended::Panicked } else { Ended::Dropped };
        self.origin.state().log.end(self.at, self.ended.unwrap_or(unsaid));
    }
}

impl Loader<i32, Film> for Scripted {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        Box::pin(self.rows(keys.to_vec()))
    }
}

impl Loader<Bound<Film>, Vec<i32>> for Scripted {
    fn load<'a>(
        &'a self,
        queries: &'a [Bound<Film>],
    ) -> BoxFuture<'a, Result<Loaded<Bound<Film>, Vec<i32>>, Error>> {
        let answer = |query: &Bound<Film>| match (query.def().mode(), query.values()) {
            (Mode::One, [Value::Text(title)]) => {
                let number = title.strip_prefix("Film ").and_then(|number| number.parse().ok());
                number.map(|number| (query.clone(), vec![number]))
            }
            _ => Some((query.clone(), vec![1, 2, 3])),
        };
        let read = move |_: &State, steps: &[Step]| {
            let mut loaded = Loaded::rows(Vec::new());
            if steps.iter().any(|step| step.end == End::KeyError) {
                queries.iter().for_each(|query| loaded.fail(query.clone(), refused()));
            } else {
                loaded.rows.extend(queries.iter().filter_map(answer));
            }
            loaded
        };
        Box::pin(self.load(&[], queries.len(), read))
    }
}
