use std::fmt;
use std::sync::Arc;

use deadpool_postgres::Pool;
use tierstack_core::{Error, Origin};

use crate::PgEntity;
use crate::index::Index;
use crate::probe::Probe;
use crate::rows::Rows;

/// Loads entities, and answers queries, from a pool of connections to Postgres.
///
/// It is handed to `CacheBuilder::origin`; one pool serves any number of caches. Making it opens no connection.
#[derive(Clone)]
pub struct PgOrigin {
    pool: Pool,
    probe: Arc<Probe>,
}

impl PgOrigin {
    /// An origin on connections of that pool.
    ///
    /// A load holds one connection, and waits for it as long as the pool's `wait` timeout allows and the cache's
    /// `load_timeout` at most.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        PgOrigin { pool, probe: Arc::default() }
    }

    /// Why rows come without a stamp: Postgres's refusal of a function that it is made of. `None` as long as there was
    /// none.
    ///
    /// Rows without a stamp are cached as others are, except after a write whose transaction is known: until its floor
    /// ends, L1 keeps them briefly and L2 not at all. Keep a clone of the origin to ask it.
    #[must_use]
    pub fn why_unstamped(&self) -> Option<Error> {
        self.probe.refusal()
    }
}

impl<E: PgEntity> From<PgOrigin> for Origin<E> {
    fn from(origin: PgOrigin) -> Self {
        let PgOrigin { pool, probe } = origin;
        Origin::new(Rows::new(pool.clone(), Arc::clone(&probe))).with_queries(Index::new(pool, probe))
    }
}

impl fmt::Debug for PgOrigin {
    // The pool's own Debug shows the user's name and address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOrigin").field("pool", &self.pool.status()).finish()
    }
}
