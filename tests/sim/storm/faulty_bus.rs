//! What a node hears: late, twice, and sometimes nothing any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use tests::Rolls;
use tierstack_core::{
    Beat, BoxFuture, Bus, Channel, Error, ErrorKind, MemoryTier, Message, Subscription, Token,
};

pub(super) struct FaultyBus {
    pub(super) memory: MemoryTier,
    pub(super) rolls: Rolls,
    /// How many messages in a hundred something happens to.
    pub(super) trouble: u32,
    pub(super) cut_off: Arc<AtomicBool>,
}

impl FaultyBus {
    /// Fails, hangs, or takes its time.
    async fn way(&self) -> Result<(), Error> {
        if self.cut_off.load(Ordering::Relaxed) {
            self.rolls.forever().await;
        }
        if self.rolls.chance(self.trouble) {
            self.rolls.pause(10).await;
            match self.rolls.below(8) {
                0 => self.rolls.forever().await,
                1 => return Err(Error::new(ErrorKind::Unavailable, "the bus is out of reach")),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Bus for FaultyBus {
    fn subscribe<'a>(
        &'a self,
        channel: &'a Channel,
        node: Token,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(async move {
            self.way().await?;
            let told = self.memory.subscribe(channel, node).await?;
            self.rolls.pause(5).await;
            let (rolls, trouble, cut_off) = (self.rolls.clone(), self.trouble, Arc::clone(&self.cut_off));
            let heard = told.flat_map(move |message| {
                let (rolls, cut_off) = (rolls.clone(), Arc::clone(&cut_off));
                stream::once(async move {
                    if cut_off.load(Ordering::Relaxed) {
                        rolls.forever().await;
                    }
                    if !rolls.chance(trouble / 2) {
                        return vec![message];
                    }
                    // Whatever comes after it is late, too.
                    rolls.pause(15).await;
                    match (rolls.below(12), &message) {
                        // Silence, though the connection stands.
                        (0, _) => {
                            rolls.forever().await;
                            vec![]
                        }
                        (1, _) => vec![Message::Unreadable, message],
                        (2..6, Message::Invalidated(_)) => vec![message.clone(), message],
                        _ => vec![message],
                    }
                })
                .flat_map(stream::iter)
            });
            Ok(Box::pin(heard) as Subscription)
        })
    }

    fn beat<'a>(&'a self, channel: &'a Channel, beat: Beat) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.way().await?;
            self.memory.beat(channel, beat).await
        })
    }
}
