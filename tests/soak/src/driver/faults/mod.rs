//! What goes wrong in a run. Each fault strikes, lasts, and heals before the next.
//!
//! | name | of | what | what holds |
//! |---|---|---|---|
//! | `kill-node` | crash | a node is killed in the middle of what it does, and another is started | all but for its own last writes, which nobody may have told of: those are answered old for the life of an entry (G3) |
//! | `pause-node` | F42 | a node stands still for twice the life of a right | G1, G2, G4: its right is over, and what it loaded goes nowhere if anything was written since |
//! | `flush` | F25 | FLUSHALL | G2: nothing there is a miss, and a fill into nothing is lost |
//! | `evict` | F26 | DEL of keys drawn at random, records that lists rest on among them | G2 |
//! | `lru` | F26 | a small maxmemory, allkeys-lru | G2 |
//! | `full` | F27, F28 | no memory, noeviction | G2: an invalidation deletes before it writes, and passes |
//! | `read-only` | F27, F28 | a replica of nothing: writes are refused, reads served | G2 for what was acknowledged: an invalidation that failed is no acknowledgement until it was repeated; till then G3 |
//! | `no-scripts` | F23 | the ACL refuses scripts | as `read-only` |
//! | `stop-redis` | F20, F28 | SIGSTOP: requests hang, and take effect later | as `read-only` |
//! | `restart-redis` | F25 | killed, and empty again, under another run_id | G2 |
//! | `kill-clients` | F20 | CLIENT KILL of all kinds | G2, G4 |
//! | `output-buffer` | F24 | more is told at once than Redis keeps for a subscriber: it ends all of them | G2, G4 |
//! | `script-flush` | | SCRIPT FLUSH | G2 |
//! | `failover` | F30, F31 | the master is killed, and its replica, which lags, takes its port | what was acknowledged meanwhile is lost: only that what comes back ends with its life (G3); the run is another, and L1 is suspended |
//! | `old-data` | F33, F31 | Redis goes back to what it held a moment ago | only that what comes back ends with its life (G3) |
//! | `slow-redis` | F22, F29 | each piece between one node and Redis is late | G2, G4 |
//! | `silent-redis` | F21 | Redis hears one node, and its replies are kept back | G2, G4 |
//! | `cut-redis` | F43 | one node is cut off from Redis only | G2 on the others; on it, G4 by the life of L1 |
//! | `slow-postgres` | F17, F18 | what one node loads arrives late: writes and their invalidations come in between | G2: such a fill is refused |
//! | `cut-postgres` | F43 | one node is cut off from Postgres only | G2; COMMITs of unknown outcome |
//! | `slow-commit` | G1 | COMMIT takes 300 ms | G1 for strict writers, G2 |
//! | `kill-sessions` | F34 | pg_terminate_backend | G2; COMMITs of unknown outcome |
//! | `crash-postgres` | F34 | a backend is killed with SIGKILL: all sessions end, and Postgres recovers | G2 |
//!
//! G1 is held to where no fault of the run makes L2 lose records: an evicted floor keeps nobody out until its write is
//! acknowledged.
//!
//! Elsewhere: F19 is a misuse, and a test's. Of F30 this is the failover of one master to its replica; a cluster's, and F32 (slots
//! that move), are of a tier that speaks to one, which this one doesn't. That subscribers who are ended again and again don't
//! come back all the time is a test of `tierstack-redis`.

mod network;
mod nodes;
mod postgres;
mod redis;

use std::time::Duration;

use anyhow::Result;

use super::scene::Scene;

/// A fault.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Strikes, lasts and heals.
    pub(crate) strike: fn(&mut Scene) -> Result<()>,
    /// How long a node or server may stand still by it.
    pub(crate) stands_still: Duration,
    /// Whether L2 loses records by it: then G1 is not promised.
    pub(crate) forgets: bool,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// How long most faults last.
const LASTS: Duration = Duration::from_millis(400);

const fn fault(name: &'static str, strike: fn(&mut Scene) -> Result<()>) -> Fault {
    Fault { name, strike, stands_still: Duration::ZERO, forgets: false }
}

/// One by which L2 loses records.
const fn forgets(name: &'static str, strike: fn(&mut Scene) -> Result<()>) -> Fault {
    Fault { forgets: true, ..fault(name, strike) }
}

/// All of them, in the order in which they strike.
pub(crate) const ALL: &[Fault] = &[
    forgets("flush", redis::flush),
    forgets("evict", redis::evict),
    fault("kill-node", nodes::kill),
    forgets("lru", redis::lru),
    fault("full", redis::full),
    fault("read-only", redis::read_only),
    fault("slow-commit", postgres::slow_commit),
    fault("no-scripts", redis::no_scripts),
    Fault { stands_still: LASTS, ..fault("stop-redis", redis::stop) },
    forgets("restart-redis", redis::restart),
    fault("kill-clients", redis::kill_clients),
    fault("output-buffer", redis::output_buffer),
    fault("script-flush", redis::script_flush),
    Fault { stands_still: nodes::PAUSE, ..fault("pause-node", nodes::pause) },
    fault("slow-redis", network::slow_redis),
    fault("silent-redis", network::silent_redis),
    fault("cut-redis", network::cut_redis),
    fault("slow-postgres", network::slow_postgres),
    fault("cut-postgres", network::cut_postgres),
    fault("kill-sessions", postgres::kill_sessions),
    forgets("failover", redis::failover),
    forgets("old-data", redis::old_data),
    fault("crash-postgres", postgres::crash),
];
