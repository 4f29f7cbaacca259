//! What all services of one layer share: the table, where to publish, and the tasks under way.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::options::FlightOptions;
use super::round::Round;
use super::table::Table;
use crate::bus::Hearing;
use crate::causes::Causes;
use crate::namespace::Drain;
use crate::rounds::{Begin, Limits};
use crate::store::Store;
use crate::sync;
use crate::tier::BoxFuture;
use crate::{Error, Key, Token};

/// Up to this many keys are read from L2 in one round trip if they can be: below, a round trip costs more than it saves to
/// look them up while others are told. Measured with 64 tasks: docs/performance.md.
const READ_WHOLE: usize = 16;

/// The flights of one stack.
pub struct Flights<K, V> {
    pub(super) table: Table<K, V>,
    pub(super) store: Option<Arc<Store<K, V>>>,
    pub(super) options: FlightOptions,
    state: watch::Sender<Tasks>,
}

/// The tasks that look keys up.
#[derive(Clone, Copy, Debug, Default)]
struct Tasks {
    under_way: usize,
    /// Those of them that a shutdown waits for: the ones that began before it.
    waited_for: usize,
    closed: bool,
}

impl<K: Key, V: Send + Sync + 'static> Flights<K, V> {
    /// None is under way. What they find is published in `store`, if one is given: once per flight, and though nobody may
    /// be waiting for it any more.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if limits or times can't be, with what to change.
    pub fn new(options: FlightOptions, store: Option<Arc<Store<K, V>>>) -> Result<Self, Error> {
        // A write of another node is not heard of here: what is joined is as old as what L1 may hold.
        let life = store.as_ref().and_then(|store| store.life());
        let join_for = life.unwrap_or(Store::<K, V>::DEFAULT_LIFE_OVER_L2);
        Flights::that_hear(options, store, join_for, Hearing::without_bus())
    }

    /// The same; over an L2, a flight is joined for `join_for`, and for as long as an invalidation of its key is heard.
    pub(crate) fn that_hear(
        options: FlightOptions,
        store: Option<Arc<Store<K, V>>>,
        join_for: Duration,
        hearing: Arc<Hearing>,
    ) -> Result<Self, Error> {
        options.settings.check()?;
        let settings = &options.settings;
        let limits = Limits {
            batch: if options.one_by_one { 1 } else { settings.max_batch },
            in_flight: match (options.one_by_one, options.over_l2) {
                (true, _) => settings.max_flights,
                (false, true) => settings.reads_in_flight,
                (false, false) => settings.loads_in_flight,
            },
            // A read is short: what is asked meanwhile gathers because few of them are under way.
            at_once: if options.over_l2 { settings.reads_in_flight } else { 1 },
            gather_for: settings.gather_for,
            whole: if options.over_l2 { READ_WHOLE } else { usize::MAX },
        };
        let join_for = options.over_l2.then_some(join_for);
        let table = Table::new(settings.max_flights, join_for, hearing, limits);
        Ok(Flights { table, store, options, state: watch::Sender::default() })
    }

    /// Lets nobody join the flight of `key` that is under way; it goes on for those who wait for it. For an invalidation,
    /// before it is published that the key is invalid: [`Store::invalidate`] comes after.
    pub fn detach(&self, key: &K) {
        self.table.detach(key);
    }

    /// The same for all keys.
    pub fn detach_all(&self) {
        self.table.detach_all();
    }

    /// Forgets a key on this node: nobody joins what is looking it up, then L1 drops it, unless it bears `token`.
    pub(crate) fn forget(&self, key: &K, token: Option<Token>) {
        self.detach(key);
        if let Some(store) = &self.store {
            store.invalidate_unless(key, token);
        }
    }

    /// The same for all keys.
    pub(crate) fn forget_all(&self) {
        self.detach_all();
        if let Some(store) = &self.store {
            store.invalidate_all();
        }
    }

    /// Waits until no task is under way.
    #[cfg(all(test, shuttle))]
    pub(super) async fn idle(&self) {
        let _ = self.state.subscribe().wait_for(|tasks| tasks.under_way == 0).await;
    }

    /// How many tasks are under way.
    pub(crate) fn under_way(&self) -> u64 {
        self.state.borrow().under_way as u64
    }

    /// Whether the namespace was shut down: what a task that began since then looks up is not written to L2.
    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// Starts what the table says is to be started. Only called within a runtime.
    pub(super) fn begin(self: &Arc<Self>, begin: Begin) {
        match begin {
            Begin::Nothing => {}
            // The round takes its keys when it runs: what is asked until then goes with it.
            Begin::Round => {
                let start = Start(Some(Arc::clone(self)));
                self.spawn(|| start.run());
            }
            Begin::Timer => {
                let timer = Timer(Arc::clone(self));
                self.spawn(|| timer.run());
            }
        }
    }

    /// Takes what makes the work: a future that was moved in would have its room twice.
    fn spawn<W>(self: &Arc<Self>, work: impl FnOnce() -> W + Send + 'static)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let task = Task::begun(self);
        // Outside a runtime the work is dropped here, and its guard tells those who wait.
        if let Ok(runtime) = sync::Handle::try_current() {
            runtime.spawn(async move {
                work().await;
                drop(task);
            });
        }
    }
}

/// A round that was begun and has not taken its keys.
struct Start<K: Key, V: Send + Sync + 'static>(Option<Arc<Flights<K, V>>>);

impl<K: Key, V: Send + Sync + 'static> Start<K, V> {
    fn take(&mut self) -> Option<(Round<K, V>, Causes)> {
        let flights = self.0.take()?;
        let (batches, causes, begin) = flights.table.take();
        flights.begin(begin);
        Some((Round::new(flights, batches), causes))
    }

    async fn run(mut self) {
        // Who can run now may ask for more: what it asks goes in this round.
        sync::yield_now().await;
        if let Some((round, causes)) = self.take() {
            let doing = round.record(&causes);
            let causes = doing.iter().fold(causes, |causes, doing| causes.within(Arc::clone(doing.span())));
            causes.scope(round.run()).await;
            doing.into_iter().for_each(|mut doing| doing.done());
        }
    }
}

impl<K: Key, V: Send + Sync + 'static> Drop for Start<K, V> {
    fn drop(&mut self) {
        // Never run, as its runtime has ended: the round that is dropped here tells those who wait.
        drop(self.take());
    }
}

/// The timer of a gathering, which ends when it is dropped: also with its runtime.
struct Timer<K: Key, V: Send + Sync + 'static>(Arc<Flights<K, V>>);

impl<K: Key, V: Send + Sync + 'static> Timer<K, V> {
    async fn run(self) {
        let flights = &self.0;
        flights.options.clock.sleep(flights.table.gather_for()).await;
    }
}

impl<K: Key, V: Send + Sync + 'static> Drop for Timer<K, V> {
    fn drop(&mut self) {
        let begin = self.0.table.gathered();
        self.0.begin(begin);
    }
}

/// Counts a task as under way until it is dropped. One that begins after a shutdown writes nothing, and is not waited for.
struct Task<K: Key, V: Send + Sync + 'static> {
    flights: Arc<Flights<K, V>>,
    waited_for: bool,
}

impl<K: Key, V: Send + Sync + 'static> Task<K, V> {
    fn begun(flights: &Arc<Flights<K, V>>) -> Self {
        let mut waited_for = false;
        flights.state.send_modify(|tasks| {
            waited_for = !tasks.closed;
            tasks.under_way += 1;
            tasks.waited_for += usize::from(waited_for);
        });
        Task { flights: Arc::clone(flights), waited_for }
    }
}

impl<K: Key, V: Send + Sync + 'static> Drop for Task<K, V> {
    fn drop(&mut self) {
        self.flights.state.send_modify(|tasks| {
            tasks.under_way -= 1;
            tasks.waited_for -= usize::from(self.waited_for);
        });
    }
}

impl<K: Key, V: Send + Sync + 'static> Drain for Flights<K, V> {
    fn drain(&self) -> BoxFuture<'_, ()> {
        self.state.send_modify(|tasks| tasks.closed = true);
        let mut state = self.state.subscribe();
        Box::pin(async move {
            // The sender is `self`'s and outlives the wait.
            let _ = state.wait_for(|tasks| tasks.waited_for == 0).await;
        })
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tasks { under_way, closed, .. } = *self.state.borrow();
        f.debug_struct("Flights").field("under_way", &under_way).field("closed", &closed).finish()
    }
}
