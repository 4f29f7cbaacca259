//! Single flight: one lookup per key at a time, however many ask, and few round trips for many keys.
//!
//! 1. The first to ask for a key *leads* it; who asks meanwhile *follows*. A batch leads the keys it asked first and
//!    follows for the rest; it is answered when its own keys are known.
//! 2. What is led is looked up in tasks of their own. A caller that is dropped, or held without being polled, or impatient,
//!    stops nobody: each waits until its own deadline. The round looks after the deadlines of those who wait for it, by one
//!    timer, until the first of them passes, or something else could hold it up: from then on each looks after its own.
//! 3. What is led while a round trip is under way goes in the next one, together; a lone caller waits for no timer. Rounds
//!    are bounded in keys and in number ([`Settings::max_batch`](crate::Settings::max_batch), `reads_in_flight`,
//!    `loads_in_flight`); a read of L2 takes no more than half of many keys, so that one half is looked up while the other is
//!    told.
//! 4. A key is told as soon as it is known: found in L2, it doesn't wait for another's load.
//! 5. An error goes to all who wait, and is not kept. A panic is an error. A round whose runtime ended is asked again.
//! 6. What is found is published in L1 by the round, once, under a reservation taken before it asked. Who missed there just
//!    before, and comes when the flight has ended, is answered with it, and leads no second one.
//! 7. An invalidation *detaches* the flights of its keys: they go on for those who wait already, and nobody joins them.
//!    Nor does anybody join one that is older than what L1 may answer, as another node's invalidation may be unheard.
//!    A lookup that must load (`refresh`) joins only what has not begun; an answer that doesn't satisfy a follower's terms
//!    makes it ask once more, on its own.
//! 8. A load that asks for a key it is itself loaded for, through whatever caches, fails at once.

mod asked;
mod detached;
mod flight;
mod flights;
mod future;
mod layer;
mod options;
mod round;
#[cfg(all(test, shuttle))]
mod schedules;
mod service;
mod table;

pub use flights::Flights;
pub use layer::SingleFlightLayer;
pub use options::FlightOptions;
pub use service::SingleFlightService;
