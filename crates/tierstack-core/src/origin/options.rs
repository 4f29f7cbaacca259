//! What the layer is made of.

use std::sync::Arc;

use super::bulkhead::Bulkhead;
use crate::counters::Counters;
use crate::{Clock, Freshness, Random, Settings};

/// What an origin layer is made of.
#[derive(Clone, Debug)]
pub struct OriginOptions {
    /// Lives of entries.
    pub freshness: Freshness,
    /// Limits and times.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Clock,
    /// Draws tokens and jitter.
    pub random: Random,
    /// Counts what happens.
    pub counters: Arc<Counters>,
    /// Bounds the loads; shared by all that read the same origin.
    pub bulkhead: Arc<Bulkhead>,
}
