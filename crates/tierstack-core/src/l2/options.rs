//! What the layer is made of.

use std::sync::Arc;

use crate::counters::Counters;
use crate::record::Codec;
use crate::{Clock, Freshness, KeyFormat, Random, Settings, Tier, WireKey};

/// What an L2 layer is made of.
#[derive(Clone, Debug)]
pub struct L2Options {
    /// The shared tier.
    pub tier: Arc<dyn Tier>,
    /// The text of keys.
    pub format: KeyFormat,
    /// The schema written into records; records of another one don't answer.
    pub schema: u64,
    /// The record that derived entries rest on; `None` for rows.
    pub depends_on: Option<WireKey>,
    /// Lives of entries, for how long the tier keeps a record.
    pub freshness: Freshness,
    /// Limits and times.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Clock,
    /// Draws tokens.
    pub random: Random,
    /// Counts what happens.
    pub counters: Arc<Counters>,
}

impl L2Options {
    pub(super) fn codec(&self) -> Codec {
        Codec {
            max_payload_bytes: self.settings.max_payload_bytes,
            compress_from_bytes: self.settings.compress_from_bytes,
        }
    }
}
