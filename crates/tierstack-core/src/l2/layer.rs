//! The layer: one tier, one entity.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::L2Service;
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

/// Answers lookups from a shared tier, and fills it with what is found below, under the protocol's rights.
pub struct L2Layer<K, V> {
    pub(super) options: Arc<L2Options>,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> L2Layer<K, V> {
    /// A layer over a tier.
    #[must_use]
    pub fn new(options: L2Options) -> Self {
        L2Layer { options: Arc::new(options), types: PhantomData }
    }
}

impl L2Options {
    pub(super) fn codec(&self) -> Codec {
        Codec {
            max_payload_bytes: self.settings.max_payload_bytes,
            compress_from_bytes: self.settings.compress_from_bytes,
        }
    }
}

impl<K, V> Clone for L2Layer<K, V> {
    fn clone(&self) -> Self {
        L2Layer { options: Arc::clone(&self.options), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for L2Layer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L2Layer").field("options", &self.options).finish()
    }
}

impl<K, V, S> Layer<S> for L2Layer<K, V> {
    type Service = L2Service<K, V, S>;

    fn layer(&self, inner: S) -> Self::Service {
        L2Service::new(Arc::clone(&self.options), inner)
    }
}
