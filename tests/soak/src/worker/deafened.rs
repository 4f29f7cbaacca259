//! A tier that tells of no invalidation, so that it is seen what a node without ears answers.

use bytes::Bytes;
use tierstack_core::{
    BoxFuture, Channel, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Reply, Tier, WireKey,
};
use tierstack_redis::RedisTier;

/// As the tier in it, but for its bus.
pub(crate) struct Deafened(pub(crate) RedisTier);

impl Tier for Deafened {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.0.read(keys)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.0.lease(leases)
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.0.fill(fills)
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.0.invalidate(channel, invalidations)
    }
}
