//! What the transactions of one namespace share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_postgres::Pool;
use tierstack_core::{BoxFuture, Drain, Error, Namespace};
use tokio::sync::{Semaphore, watch};
use tokio_postgres::Client;

use super::settings::TransactionSettings;
use super::transaction::Transaction;

/// Begins transactions whose writes all tiers of a namespace learn of. Cloning it counts one reference up.
#[derive(Clone)]
pub struct Transactions(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) namespace: Namespace,
    pub(super) settings: TransactionSettings,
    /// Connections on which a lost outcome is asked for.
    pub(super) pool: Option<Pool>,
    pub(super) counts: Counts,
    /// Places of lost ones that are asked for.
    pub(super) unresolved: Semaphore,
    /// Commits under way, and lost ones that are asked for.
    kept: watch::Sender<usize>,
    closing: watch::Sender<bool>,
}

impl Transactions {
    /// Transactions of that namespace. Opens no connection, and needs no runtime.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) if a setting can't be, with what to change.
    pub fn new(namespace: &Namespace, settings: TransactionSettings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Transactions::of(namespace, settings, None))
    }

    /// The same, which asks connections of that pool for the outcome of a transaction whose COMMIT was not answered. It has
    /// to lead to the primary. Without one, what such a transaction wrote is kept closed for
    /// [`resolve_for`](TransactionSettings::resolve_for).
    #[must_use]
    pub fn resolve_with(&self, pool: Pool) -> Self {
        Transactions::of(&self.0.namespace, self.0.settings.clone(), Some(pool))
    }

    fn of(namespace: &Namespace, settings: TransactionSettings, pool: Option<Pool>) -> Self {
        let max_unresolved = settings.max_unresolved;
        let shared = Arc::new(Shared {
            namespace: namespace.clone(),
            settings,
            pool,
            counts: Counts::default(),
            unresolved: Semaphore::new(max_unresolved),
            kept: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        });
        let drain: Arc<dyn Drain> = Arc::clone(&shared) as Arc<dyn Drain>;
        namespace.enter_drain(Arc::downgrade(&drain));
        Transactions(shared)
    }

    /// Begins a transaction on that connection, which may be one of a pool's.
    ///
    /// # Errors
    /// [`Origin`](tierstack_core::ErrorKind::Origin) if Postgres or the way to it fails.
    ///
    /// # Cancel safety
    /// If it is dropped, what was begun is rolled back.
    pub async fn begin<'a>(&self, client: &'a mut Client) -> Result<Transaction<'a>, Error> {
        Transaction::begin(Arc::clone(&self.0), client).await
    }

    /// What became of them.
    #[must_use]
    pub fn stats(&self) -> TransactionStats {
        self.0.counts.stats()
    }
}

/// Begins transactions in a namespace: `shop.transaction(&mut client)`.
pub trait PgTransactions {
    /// Begins a transaction with the default settings. For others, and for counts, make [`Transactions`] once.
    ///
    /// # Errors
    /// As [`Transactions::begin`].
    ///
    /// # Cancel safety
    /// As [`Transactions::begin`].
    fn transaction<'a>(&self, client: &'a mut Client) -> BoxFuture<'a, Result<Transaction<'a>, Error>>;
}

impl PgTransactions for Namespace {
    fn transaction<'a>(&self, client: &'a mut Client) -> BoxFuture<'a, Result<Transaction<'a>, Error>> {
        let Transactions(shared) = Transactions::of(self, TransactionSettings::default(), None);
        Box::pin(Transaction::begin(shared, client))
    }
}

impl fmt::Debug for Transactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactions")
            .field("namespace", &self.0.namespace.name())
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

/// Counts a commit that is kept, until it is dropped.
pub(super) struct Kept(Arc<Shared>);

impl Shared {
    pub(super) fn keep(self: &Arc<Self>) -> Kept {
        self.kept.send_modify(|count| *count += 1);
        Kept(Arc::clone(self))
    }

    /// Returns when a shutdown has begun.
    pub(super) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender is in `self`, so it is there.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.kept.send_modify(|count| *count -= 1);
    }
}

impl Drain for Shared {
    /// Waits for commits under way, which end with their timeout; a lost outcome is asked for once more.
    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.closing.send_replace(true);
            let mut kept = self.kept.subscribe();
            let _ = kept.wait_for(|count| *count == 0).await;
        })
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What became of transactions, and of what they touched.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct TransactionStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $(pub(super) $name: Count,)*
        }

        impl Counts {
            fn stats(&self) -> TransactionStats {
                TransactionStats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Those that committed.
    committed,
    /// Those that [commit](Transaction::commit) rolled back, or Postgres instead of committing.
    rolled_back,
    /// Strict ones that committed as fast ones, as L2 could not be reached before.
    downgraded,
    /// Marks that were renewed, as COMMIT took its time or its answer was lost.
    renewed,
    /// Marks that were to be renewed, and L2 was not reached.
    not_renewed,
    /// Those whose COMMIT was not answered, or whose commit was dropped.
    unknown,
    /// Those of them whose outcome was found out.
    resolved,
    /// Those of them that were given up: their marks stand for the life of a floor.
    unresolved,
    /// Those that committed and of which L2 could not be told at once.
    undelivered,
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
