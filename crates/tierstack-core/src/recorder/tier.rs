//! The shared tier, each request to it recorded.

use std::sync::Arc;

use bytes::Bytes;

use super::{Fact, Request, Traced, Work};
use crate::tier::BoxFuture;
use crate::{
    Bus, Channel, Error, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Reply, System, Tier,
    WireKey,
};

/// A tier that does what another does. One that is dropped before its reply has come, as it took too long, is given up.
pub(crate) struct TracedTier {
    tier: Arc<dyn Tier>,
    traced: Traced,
}

impl TracedTier {
    /// `tier` itself if nothing is recorded.
    pub(crate) fn over(tier: Arc<dyn Tier>, traced: Option<&Traced>) -> Arc<dyn Tier> {
        match traced {
            None => tier,
            Some(traced) => Arc::new(TracedTier { tier, traced: traced.clone() }),
        }
    }

    fn record<'a, T: Send + 'a>(
        &'a self,
        request: Request,
        keys: usize,
        reply: impl FnOnce(&'a dyn Tier) -> BoxFuture<'a, Reply<T>> + Send + 'a,
        note: impl FnOnce(&Reply<T>) -> Option<Fact> + Send + 'a,
    ) -> BoxFuture<'a, Reply<T>> {
        Box::pin(async move {
            let mut doing = self.traced.ask(Work::Request(request), keys, self.tier.system());
            let reply = doing.scope(reply(&*self.tier)).await;
            if let Some(fact) = note(&reply) {
                doing.note(fact);
            }
            doing.failed_with(reply.each.iter().filter_map(|each| each.as_ref().err().map(Error::kind)));
            reply
        })
    }
}

impl Tier for TracedTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        self.record(Request::Read, keys.len(), |tier| tier.read(keys), |_| None)
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.record(Request::Lease, leases.len(), |tier| tier.lease(leases), |_| None)
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        let filled = |reply: &Reply<Filled>| {
            let filled = reply.each.iter().flatten().max_by_key(|filled| **filled as usize);
            filled.map(|filled| Fact::Filled(*filled))
        };
        self.record(Request::Fill, fills.len(), |tier| tier.fill(fills), filled)
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        let send = |tier: &'a dyn Tier| tier.invalidate(channel, invalidations);
        self.record(Request::Invalidate, invalidations.len(), send, |_| None)
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        self.tier.bus()
    }

    fn system(&self) -> Option<System> {
        self.tier.system()
    }
}
