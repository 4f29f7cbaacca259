//! The laws of a bus.

use std::time::Duration;

use futures_util::StreamExt;

use super::Violation;
use super::bench::{Bench, LIFE, seen_below, xid};
use crate::{Beat, Bus, Channel, Invalidate, Message, Subscription, Token, WireKey};

/// What was told is heard within this, or never.
const SOON: Duration = Duration::from_secs(10);

async fn next(told: &mut Subscription) -> Result<Message, Violation> {
    match tokio::time::timeout(SOON, told.next()).await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Violation("a subscription ended though nothing was lost".into())),
        Err(_) => Err(Violation(format!("nothing was heard for {SOON:?}"))),
    }
}

fn told(keys: &[(&WireKey, Option<Token>)]) -> Message {
    Message::Invalidated(keys.iter().map(|(key, token)| (key.as_str().into(), *token)).collect())
}

impl Bench<'_> {
    async fn subscribe(
        &self,
        bus: &dyn Bus,
        channel: &Channel,
        node: Token,
    ) -> Result<Subscription, Violation> {
        let subscribed = bus.subscribe(channel, node).await;
        subscribed.map_err(|error| Violation(format!("the bus failed: {error}")))
    }

    pub(super) async fn bus(&mut self, bus: &dyn Bus) -> Result<(), Violation> {
        let channel = Channel::of(self.prefix);
        let (node, other) = (self.token(), self.token());
        let mut heard = self.subscribe(bus, &channel, node).await?;
        let mut heard_too = self.subscribe(bus, &channel, other).await?;
        let mut elsewhere = self.subscribe(bus, &Channel::of("elsewhere"), node).await?;

        let (nothing, (value, token)) = (self.key()?, self.filled(Some(&seen_below(100))).await?);
        let floor = self.key()?;
        let tokens = [self.token(), self.token(), self.token()];
        let ask = |key: &WireKey, token| Invalidate::finished(key.clone(), token, LIFE);
        let unfinished = |token| Invalidate { finished: false, xids: vec![xid(99)], ..ask(&floor, token) };
        let each = [
            (ask(&nothing, tokens[0]), told(&[(&nothing, None)]), "of a key that holds nothing"),
            (unfinished(tokens[0]), told(&[(&floor, Some(tokens[0]))]), "of a floor that it makes"),
            (unfinished(tokens[1]), told(&[(&floor, Some(tokens[0]))]), "of a floor that it leaves"),
            (
                Invalidate { xids: vec![xid(99)], ..ask(&value, tokens[1]) },
                told(&[(&value, Some(token))]),
                "of a value that has seen the write",
            ),
            (
                Invalidate { spares: Some(token), ..ask(&value, tokens[1]) },
                told(&[(&value, Some(token))]),
                "of a value that it spares",
            ),
            (ask(&value, tokens[2]), told(&[(&value, Some(tokens[2]))]), "of a value that it replaces"),
        ];
        // All of it before anything is heard: nothing is lost between a subscription and the first message.
        for (ask, _, _) in &each {
            Self::one(self.tier.invalidate(&channel, std::slice::from_ref(ask)).await)?;
        }
        for (_, message, of) in &each {
            let law = format!("an invalidation {of} is told, in order, with the token that is there then");
            for heard in [&mut heard, &mut heard_too] {
                let seen = next(heard).await?;
                self.law(&law, &seen, message)?;
            }
        }

        // A large batch may be told in several messages.
        let mut batch = Vec::new();
        for _ in 0..300 {
            batch.push(ask(&self.key()?, tokens[0]));
        }
        self.tier.invalidate(&channel, &batch).await;
        let mut keys = Vec::new();
        while keys.len() < batch.len() {
            match next(&mut heard).await? {
                Message::Invalidated(more) if !more.is_empty() => keys.extend(more),
                other => return Err(Violation(format!("of a batch, {other:?} was told"))),
            }
        }
        let in_order = keys.iter().zip(&batch).all(|((told, _), ask)| **told == *ask.key.as_str());
        self.law("a batch is told whole, and in order", (keys.len(), in_order), (300, true))?;

        for seq in [1, u64::MAX] {
            self.tier.invalidate(&channel, std::slice::from_ref(&each[0].0)).await;
            let beat = Beat { node, seq };
            bus.beat(&channel, beat).await.map_err(|error| Violation(format!("the bus failed: {error}")))?;
            let seen = next(&mut heard).await?;
            self.law("a heartbeat comes after what was told before it", &seen, &each[0].1)?;
            let seen = next(&mut heard).await?;
            let own = matches!(&seen, Message::Beat(heard, _) if *heard == beat);
            self.law("a heartbeat is heard by its node", own, true)?;
        }
        self.tier.invalidate(&Channel::of("elsewhere"), std::slice::from_ref(&each[0].0)).await;
        let seen = next(&mut elsewhere).await?;
        self.law("a channel is told what concerns it", &seen, &each[0].1)
    }
}
