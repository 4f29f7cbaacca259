//! A node's way to the shared tier, on which requests and replies are late, lost or repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tests::Rolls;
use tierstack_core::{
    BoxFuture, Bus, Channel, Error, ErrorKind, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased,
    MemoryTier, Reply, Tier, WireKey,
};

use super::faulty_bus::FaultyBus;
use super::run::{LATEST, Sabotage};

pub(super) struct FaultyTier {
    memory: MemoryTier,
    rolls: Rolls,
    /// How many requests in a hundred something happens to.
    trouble: u32,
    /// Whether records are evicted.
    forgets: bool,
    cut_off: Arc<AtomicBool>,
    sabotage: Sabotage,
}

impl FaultyTier {
    pub(super) fn new(
        memory: MemoryTier,
        rolls: Rolls,
        trouble: u32,
        forgets: bool,
        sabotage: Sabotage,
    ) -> Self {
        FaultyTier { memory, rolls, trouble, forgets, cut_off: Arc::default(), sabotage }
    }

    /// When a second copy of a request comes in.
    fn late(&self) -> impl Future<Output = ()> + Send + use<> {
        tokio::time::sleep(Duration::from_millis(1 + self.rolls.below(60) as u64))
    }

    /// From now on nothing comes through.
    pub(super) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Relaxed);
    }

    /// Sends `items` to be served, as the dice have it; `again`: whether they may be served a second time, later.
    async fn send<T, R, F>(&self, items: &[T], again: bool, serve: F) -> Reply<R>
    where
        T: Clone + Send + Sync + 'static,
        R: Send + 'static,
        F: Fn(MemoryTier, Vec<T>) -> BoxFuture<'static, Reply<R>> + Send + Sync + 'static,
    {
        let rolls = &self.rolls;
        if self.cut_off.load(Ordering::Relaxed) {
            rolls.forever().await;
        }
        let items = items.to_vec();
        let now = || serve(self.memory.clone(), items.clone());
        if !rolls.chance(self.trouble) {
            return now().await;
        }
        rolls.pause(8).await;
        match rolls.below(10) {
            0 => {
                rolls.forever().await;
            }
            // It is served, and nobody learns of it.
            1 => {
                now().await;
                rolls.forever().await;
            }
            2 => {
                let refused = Error::new(ErrorKind::Unavailable, "the tier is out of reach");
                return Reply::failed(items.len(), &refused);
            }
            // It is served twice, or after its caller has given up: several times as late as he waits.
            kind @ (3 | 4) if kind == 4 || again => {
                let (memory, copy, after) =
                    (self.memory.clone(), items.clone(), rolls.below(LATEST.as_millis() as usize) as u64);
                let reply = if kind == 3 { Some(now().await) } else { None };
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    serve(memory, copy).await;
                });
                return match reply {
                    Some(reply) => reply,
                    None => {
                        rolls.forever().await;
                        Reply::failed(items.len(), &Error::new(ErrorKind::Unavailable, "late"))
                    }
                };
            }
            5 if self.forgets => evict(&self.memory, rolls),
            _ => {}
        }
        let reply = now().await;
        rolls.pause(8).await;
        reply
    }
}

/// A record goes, if there is one.
pub(super) fn evict(memory: &MemoryTier, rolls: &Rolls) {
    let mut keys = memory.keys();
    // Their order is a map's with a random seed.
    keys.sort_unstable();
    if !keys.is_empty() {
        memory.evict(&keys[rolls.below(keys.len())]);
    }
}

impl Tier for FaultyTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        Box::pin(self.send(keys, true, |memory, keys| Box::pin(async move { memory.read(&keys).await })))
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        if self.sabotage == Sabotage::LateLeases {
            let (memory, leases, late) = (self.memory.clone(), leases.to_vec(), self.late());
            tokio::spawn(async move {
                late.await;
                memory.lease(&leases).await;
            });
        }
        Box::pin(
            self.send(leases, false, |memory, leases| Box::pin(async move { memory.lease(&leases).await })),
        )
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        let sabotage = self.sabotage;
        Box::pin(self.send(fills, true, move |memory, fills| {
            Box::pin(async move {
                sabotage.fills(&memory, &fills);
                memory.fill(&fills).await
            })
        }))
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        let (channel, sabotage) = (channel.clone(), self.sabotage);
        if sabotage == Sabotage::LateInvalidations {
            let (memory, asks, late) = (self.memory.clone(), invalidations.to_vec(), self.late());
            let channel = channel.clone();
            tokio::spawn(async move {
                late.await;
                memory.invalidate(&channel, &asks).await;
            });
        }
        Box::pin(self.send(invalidations, false, move |memory, mut asks| {
            let channel = channel.clone();
            Box::pin(async move {
                let count = asks.len();
                sabotage.invalidations(&mut asks);
                let mut reply = memory.invalidate(&channel, &asks).await;
                reply.each.resize_with(count, || Ok(Invalidated::Unchanged));
                reply
            })
        }))
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        let bus = FaultyBus {
            memory: self.memory.clone(),
            rolls: self.rolls.clone(),
            trouble: self.trouble,
            cut_off: Arc::clone(&self.cut_off),
        };
        (self.sabotage != Sabotage::Deaf).then_some(Arc::new(bus))
    }
}
