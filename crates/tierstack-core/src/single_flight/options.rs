//! What the layer is made of.

use std::sync::Arc;

use crate::counters::Counters;
use crate::{Clock, Settings};

/// What a single-flight layer is made of.
#[derive(Clone, Debug)]
pub struct FlightOptions {
    /// Limits and times.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what happens.
    pub counters: Arc<Counters>,
    /// Whether it stands over an L2 layer: then `reads_in_flight` bounds its rounds; else `loads_in_flight`.
    pub over_l2: bool,
    /// Whether each key is looked up on its own, as the origin answers one key at a time and a slow one should not delay
    /// another.
    pub one_by_one: bool,
}
