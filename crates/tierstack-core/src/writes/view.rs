//! The shared tier as lookups of this node see it: past the keys whose invalidation it has not got yet.

use std::sync::Arc;

use bytes::Bytes;

use super::delivery::Writes;
use crate::tier::BoxFuture;
use crate::{
    Bus, Channel, Error, ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Reply, System,
    Tier, WireKey,
};

/// The tier, but for keys that are kept: those can't be reached, so that they are loaded without a right, and neither
/// answered from an older record nor filled.
pub(crate) struct View {
    tier: Arc<dyn Tier>,
    writes: Arc<Writes>,
}

impl View {
    /// `None` if there is no tier.
    pub(crate) fn of(writes: &Arc<Writes>) -> Option<Arc<dyn Tier>> {
        let tier = Arc::clone(writes.tier.as_ref()?);
        Some(Arc::new(View { tier, writes: Arc::clone(writes) }))
    }

    /// Which of the items are kept, and the others; `None` if none is, as ever while L2 can be reached.
    #[inline]
    fn part<T: Clone>(&self, items: &[T], key: impl Fn(&T) -> &WireKey) -> Option<(Vec<bool>, Vec<T>)> {
        let kept = self.writes.queue.which(items.iter().map(key))?;
        // Its task may have ended with its runtime.
        self.writes.retry();
        let others = items.iter().zip(&kept).filter(|(_, kept)| !**kept).map(|(item, _)| item.clone());
        let others = others.collect();
        Some((kept, others))
    }
}

/// The reply to all items, from that to those that are not kept.
fn whole<R>(kept: &[bool], reply: Reply<R>) -> Reply<R> {
    let kept_one = Error::new(ErrorKind::Unavailable, "an invalidation of this key has not reached L2 yet");
    let others = kept.iter().filter(|kept| !**kept).count();
    // A tier that breaks its first law is seen above.
    if reply.each.len() != others {
        return reply;
    }
    let mut each = reply.each.into_iter();
    let one = |kept: &bool| if *kept { None } else { each.next() };
    let each = kept.iter().map(one).map(|one| one.unwrap_or_else(|| Err(kept_one.clone()))).collect();
    Reply { now_ms: reply.now_ms, each }
}

impl Tier for View {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        let Some((kept, others)) = self.part(keys, |key| key) else { return self.tier.read(keys) };
        Box::pin(async move { whole(&kept, self.tier.read(&others).await) })
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        let Some((kept, others)) = self.part(leases, |lease| &lease.key) else {
            return self.tier.lease(leases);
        };
        Box::pin(async move { whole(&kept, self.tier.lease(&others).await) })
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        let Some((kept, others)) = self.part(fills, |fill| &fill.key) else { return self.tier.fill(fills) };
        Box::pin(async move { whole(&kept, self.tier.fill(&others).await) })
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        self.tier.invalidate(channel, invalidations)
    }

    fn system(&self) -> Option<System> {
        self.tier.system()
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        self.tier.bus()
    }
}
