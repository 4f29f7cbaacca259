use std::fmt;

use deadpool_postgres::Pool;
use tierstack_core::Origin;

use crate::PgEntity;
use crate::index::Index;
use crate::rows::Rows;

/// Loads entities, and answers queries, from a pool of connections to Postgres.
///
/// It is handed to `CacheBuilder::origin`; one pool serves any number of caches. Making it opens no connection.
#[derive(Clone)]
pub struct PgOrigin {
    pool: Pool,
}

impl PgOrigin {
    /// An origin on connections of that pool.
    ///
    /// A load holds one connection, and waits for it as long as the pool's `wait` timeout allows and the cache's
    /// `load_timeout` at most.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        PgOrigin { pool }
    }
}

impl<E: PgEntity> From<PgOrigin> for Origin<E> {
    fn from(origin: PgOrigin) -> Self {
        Origin::new(Rows::new(origin.pool.clone())).with_queries(Index::new(origin.pool))
    }
}

impl fmt::Debug for PgOrigin {
    // The pool's own Debug shows the user's name and address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOrigin").field("pool", &self.pool.status()).finish()
    }
}
