//! The live proof: several processes, real servers, faults, and a checker over all that was read and written.
//!
//! ```text
//! cargo xtask soak --ops 3000000 --seed 7 --faults all --processes 6
//! ```
//!
//! 1. A *node* is a [`worker`] process with caches of one table: whole rows, the next release's schema, a projection, or
//!    whole rows and a plain connection to write by. It reads and writes at random, by Zipf's law: the hottest keys are
//!    read and written all the time. Every row carries a version that a trigger of Postgres sets, deletions have one,
//!    too, and a table logs them all.
//! 2. Each call is noted with its start and end on the machine's monotonic clock, who answered, and what: a [`record`]. A
//!    write is noted before it is sent, so that a killed node leaves no write that nobody knows of.
//! 3. The [`driver`] starts the servers and the nodes, lets faults strike one after another, waits for the operations,
//!    has every node read everything once more, and ends them. The table of the faults, and of what holds under each, is
//!    on the page of `driver::faults`.
//! 4. The [`checker`] holds every read against the log: what never was, what was not yet, what was old for too long. It
//!    knows nothing of the library.
//!
//! The caveat that bites: the same seed asks and strikes the same, but processes and servers are scheduled as they are.
//! A run doesn't replay. The simulation does (`tests/sim`); it uses the same checker.

pub mod calls;
pub mod checker;
pub mod driver;
pub mod entity;
pub mod monotonic;
pub mod node;
pub mod record;
pub mod worker;
pub mod write;
