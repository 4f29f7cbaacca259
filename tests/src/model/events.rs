//! What may happen, and how likely it is.

use proptest::prelude::*;

/// Keys are `0..KEYS`; rows exist at first for the lower three quarters of them.
pub const KEYS: i32 = 8;
/// Nodes that share the tiers.
pub const NODES: usize = 2;

/// A step of a clock, as far as a world has such clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStep {
    /// L2's clock is set by that many seconds, either way.
    Tier(i32),
    /// The nodes' clocks jump ahead, as after a suspension.
    Nodes(u16),
}

/// How a lookup is made.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// `get`.
    Get,
    /// Fresh entries only.
    Fresh,
    /// Past L1.
    SkipL1,
    /// Past L2.
    SkipL2,
    /// From the origin.
    Refresh,
    /// From the tiers only.
    NeverLoad,
}

/// One event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A lookup of one key.
    Get(usize, i32, Manner),
    /// A batch.
    Batch(usize, Vec<i32>),
    /// A list by rating: PG if true, else R.
    List(usize, bool),
    /// A write, then `invalidate` on that node: a row with that rating, or a deletion.
    Write(usize, i32, Option<bool>),
    /// A lookup on one node while another writes the key.
    Race(usize, usize, i32, Option<bool>),
    /// A key leaves a node's L1.
    EvictL1(usize, i32),
    /// A row, a list or the dependency record leaves L2.
    EvictL2(i32),
    /// A node starts anew.
    Restart(usize),
    /// L2 goes away, if it is there.
    Outage,
    /// L2 comes back, if it is away; then undelivered invalidations are repeated.
    Recovery,
    /// A clock is set.
    Step(ClockStep),
    /// Time passes, in milliseconds.
    Wait(u16),
}

/// Sequences of events.
pub fn events(longest: usize) -> impl Strategy<Value = Vec<Event>> {
    let node = 0..NODES;
    let key = 0..KEYS;
    let manner = prop_oneof![
        12 => Just(Manner::Get),
        2 => Just(Manner::Fresh),
        2 => Just(Manner::SkipL1),
        1 => Just(Manner::SkipL2),
        1 => Just(Manner::Refresh),
        1 => Just(Manner::NeverLoad),
    ];
    let row = prop_oneof![4 => any::<bool>().prop_map(Some), 1 => Just(None)];
    let step =
        prop_oneof![(-7_200..7_200).prop_map(ClockStep::Tier), (1u16..7_200).prop_map(ClockStep::Nodes),];
    let event = prop_oneof![
        30 => (node.clone(), key.clone(), manner).prop_map(|(n, k, m)| Event::Get(n, k, m)),
        8 => (node.clone(), prop::collection::vec(key.clone(), 1..6)).prop_map(|(n, k)| Event::Batch(n, k)),
        6 => (node.clone(), any::<bool>()).prop_map(|(n, pg)| Event::List(n, pg)),
        8 => (node.clone(), key.clone(), row.clone()).prop_map(|(n, k, row)| Event::Write(n, k, row)),
        4 => (node.clone(), node.clone(), key.clone(), row).prop_map(|(n, w, k, row)| Event::Race(n, w, k, row)),
        3 => (node.clone(), key.clone()).prop_map(|(n, k)| Event::EvictL1(n, k)),
        3 => key.prop_map(Event::EvictL2),
        2 => node.prop_map(Event::Restart),
        1 => Just(Event::Outage),
        3 => Just(Event::Recovery),
        2 => step.prop_map(Event::Step),
        4 => (1u16..4_000).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 1..longest)
}
