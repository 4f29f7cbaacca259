//! The parts of a stack, and the one place that knows the order of the layers.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_layer::Layer;

use super::Half;
use crate::counters::Counters;
use crate::l1::{L1, L1Layer};
use crate::l2::{L2Layer, L2Options};
use crate::loader::Loader;
use crate::merge::{MergeLayer, Merger};
use crate::namespace::Drain;
use crate::origin::{Bulkhead, OriginLayer, OriginOptions};
use crate::revalidate::{Refreshes, RevalidateLayer};
use crate::single_flight::{FlightOptions, Flights, SingleFlightLayer};
use crate::store::Store;
use crate::{Error, Freshness, Key, KeyFormat, Namespace, Settings, Stack, WireKey};

/// What all stacks of one cache are made from.
pub(crate) struct Make<'a> {
    namespace: &'a Namespace,
    settings: &'a Settings,
    freshness: &'a Freshness,
    counters: &'a Arc<Counters>,
    /// All stacks of the cache read one origin.
    bulkhead: Arc<Bulkhead>,
}

/// What one of the stacks holds.
pub(crate) struct Of<'a> {
    pub(crate) schema: u64,
    pub(crate) format: &'a KeyFormat,
    /// The record that its entries rest on, if they are derived.
    pub(crate) depends_on: Option<&'a WireKey>,
    /// Whether the origin answers one key at a time.
    pub(crate) one_by_one: bool,
}

impl<'a> Make<'a> {
    pub(crate) fn new(
        namespace: &'a Namespace,
        settings: &'a Settings,
        freshness: &'a Freshness,
        counters: &'a Arc<Counters>,
    ) -> Self {
        Make { namespace, settings, freshness, counters, bulkhead: Arc::new(Bulkhead::new(settings)) }
    }

    /// Makes the parts: once per stack, before any origin is put under it.
    pub(crate) fn parts<K, V>(&self, of: &Of<'_>, l1: Option<&L1<V>>) -> Result<StackParts<K, V>, Error>
    where
        K: Key,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let shared = self.namespace.shared();
        let (clock, random) = (shared.clock.clone(), shared.random.clone());
        let (settings, freshness, counters) =
            (self.settings.clone(), self.freshness.clone(), Arc::clone(self.counters));
        let hearing = self.namespace.hearing();
        let is_unheard = shared.tier.is_some() && self.namespace.deaf_after().is_none();
        let life = is_unheard.then_some(Store::<K, V>::DEFAULT_LIFE_OVER_L2);
        let store = l1
            .map(|l1| {
                let (clock, counters) = (clock.clone(), Arc::clone(&counters));
                l1.store_that_hears::<K>(life, &settings, clock, counters, Arc::clone(&hearing))
            })
            .transpose()?
            .map(Arc::new);
        let refreshes = Arc::new(Refreshes::new(&settings, clock.clone(), Arc::clone(&counters)));
        let flight_options = FlightOptions {
            settings: settings.clone(),
            clock: clock.clone(),
            counters: Arc::clone(&counters),
            over_l2: shared.tier.is_some(),
            one_by_one: of.one_by_one,
        };
        let flights = match self.namespace.deaf_after() {
            Some(join_for) => Flights::that_hear(flight_options, store.clone(), join_for, hearing),
            None => Flights::new(flight_options, store.clone()),
        };
        let flights = Arc::new(flights?);
        // A refresh is led by a flight: refreshes are drained first.
        for drain in [Arc::clone(&refreshes) as Arc<dyn Drain>, Arc::clone(&flights) as Arc<dyn Drain>] {
            self.namespace.enter_drain(Arc::downgrade(&drain));
        }
        let merger = (shared.tier.is_some() && !of.one_by_one)
            .then(|| Merger::new(&settings, clock.clone()).map(Arc::new))
            .transpose()?;
        let origin = OriginLayer::new(OriginOptions {
            freshness: freshness.clone(),
            settings: settings.clone(),
            clock: clock.clone(),
            random: random.clone(),
            counters: Arc::clone(&counters),
            bulkhead: Arc::clone(&self.bulkhead),
        })?;
        let l2 = shared.tier.as_ref().map(|tier| {
            L2Layer::new(L2Options {
                tier: Arc::clone(tier),
                format: of.format.clone(),
                schema: of.schema,
                depends_on: of.depends_on.cloned(),
                freshness,
                settings,
                clock,
                random,
                counters,
            })
        });
        Ok(StackParts { store, refreshes, flights, l2: l2.transpose()?, merger, origin })
    }
}

/// What every stack over these parts shares, whatever origin is put under it.
pub(crate) struct StackParts<K: Key, V> {
    pub(crate) store: Option<Arc<Store<K, V>>>,
    refreshes: Arc<Refreshes<K>>,
    pub(crate) flights: Arc<Flights<K, V>>,
    merger: Option<Arc<Merger<K, V>>>,
    l2: Option<L2Layer<K, V>>,
    origin: OriginLayer<K, V>,
}

impl<K, V> StackParts<K, V>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Revalidate over L1 over single flight over L2 over Merge over Origin. Without an L2, single flight merges loads
    /// itself.
    pub(crate) fn over(&self, loader: Arc<dyn Loader<K, V>>) -> Stack<K, V> {
        let origin = self.origin.over(loader);
        let flights = SingleFlightLayer::new(Arc::clone(&self.flights));
        let below = match (&self.l2, &self.merger) {
            (None, _) => flights.layer(origin),
            (Some(l2), None) => flights.layer(l2.layer(origin)),
            (Some(l2), Some(merger)) => {
                flights.layer(l2.layer(MergeLayer::new(Arc::clone(merger)).layer(origin)))
            }
        };
        let revalidate = RevalidateLayer::new(Arc::clone(&self.refreshes));
        match &self.store {
            None => Stack::new(revalidate.layer(below)),
            Some(store) => Stack::new(revalidate.layer(L1Layer::new(Arc::clone(store)).layer(below))),
        }
    }

    /// The stack over `loader`, with what the handle reaches past it.
    pub(crate) fn half(self, loader: Arc<dyn Loader<K, V>>) -> Half<K, V> {
        let l2 = self.l2.as_ref().map(|l2| Arc::clone(&l2.options));
        Half { stack: self.over(loader), store: self.store, flights: self.flights, l2 }
    }
}
