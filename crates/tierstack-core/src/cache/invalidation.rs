//! An invalidation's way: the shared tier, then this node, then the acknowledgement.

use std::borrow::Cow;

use super::{Cache, Parts};
use crate::counters::{Counters, Event};
use crate::namespace::Local;
use crate::{Entity, Error, ErrorKind, IntoKey, Invalidate, Namespace, Settings, Token, WireKey};

impl<E: Entity> Cache<E> {
    /// Makes every tier forget those rows, and everything derived from rows of the entity (lists, secondary keys,
    /// projections). Called after the write was acknowledged by the origin.
    ///
    /// When it returns, no lookup that begins on this node, and no answer from L2 on any node, gives an older row; other
    /// nodes' L1 follow when they have heard of it, and within their own life if the tier tells nobody: see
    /// [`Bus`](crate::Bus).
    ///
    /// # Errors
    /// [`Undelivered`](ErrorKind::Undelivered) if the shared tier could not be told: L1 of this node has forgotten the
    /// rows, and any node may answer them from L2 until their lives end. Repeat it. [`Invalid`](ErrorKind::Invalid) for a
    /// key over the limit, whose row no tier holds; the others are invalidated, and so are lists.
    ///
    /// # Cancel safety
    /// If it is dropped, it may or may not have taken effect: repeat it.
    ///
    /// # Concurrent calls on the same key
    /// Each makes every load that began before it unable to fill.
    pub async fn invalidate<I>(&self, pks: I) -> Result<(), Error>
    where
        I: IntoIterator<Item: IntoKey<E::Pk>>,
    {
        let pks: Vec<E::Pk> = pks.into_iter().map(IntoKey::into_key).collect();
        let parts = &*self.0;
        let mut refused = None;
        let mut wires = Vec::with_capacity(pks.len() + 1);
        for wire in parts.rows_format.wire(&pks) {
            match wire {
                Ok(wire) => wires.push(wire),
                Err(error) => refused = Some(error),
            }
        }
        if pks.is_empty() {
            return Ok(());
        }
        parts.counters.add(Event::Invalidation, wires.len());
        let with = Some(&parts.depends_on);
        let delivered = tell_tier(&parts.namespace, &parts.settings, &parts.counters, &wires, with).await;
        // After the tier: what is read there from now on is not older than the write.
        parts.namespace.forget(wires.iter().chain(with).map(|key| (key.as_str(), None)));
        delivered.and(refused.map_or(Ok(()), Err))
    }
}

/// Tells the shared tier of `namespace`, if it has one, to forget the keys, a part of them at a time; `with` goes with every
/// part.
pub(crate) async fn tell_tier(
    namespace: &Namespace,
    settings: &Settings,
    counters: &Counters,
    keys: &[WireKey],
    with: Option<&WireKey>,
) -> Result<(), Error> {
    let shared = namespace.shared();
    let Some(tier) = &shared.tier else { return Ok(()) };
    let mut failure = None;
    let mut undelivered = 0;
    // `with` alone is told of, if every key was over the limit.
    let parts = keys.chunks(settings.max_batch).chain(keys.is_empty().then_some(keys));
    for part in parts {
        let asks: Vec<Invalidate> = part
            .iter()
            .chain(with)
            .map(|key| Invalidate::finished(key.clone(), shared.random.token(), settings.floor_life))
            .collect();
        counters.add(Event::L2Request, 1);
        let until = shared.clock.coarse().plus(settings.l2_timeout);
        let failed = match shared.clock.before(until, tier.invalidate(&shared.channel, &asks)).await {
            Some(reply) if reply.each.len() == asks.len() => {
                let mut errors = reply.each.into_iter().filter_map(Result::err);
                errors.next().map(|first| (1 + errors.count(), first))
            }
            _ => Some((
                asks.len(),
                Error::new(ErrorKind::Unavailable, "L2 did not answer in time: see l2_timeout"),
            )),
        };
        if let Some((count, error)) = failed {
            counters.add(Event::L2Failure, count);
            undelivered += count;
            failure.get_or_insert(error);
        }
    }
    match failure {
        None => Ok(()),
        Some(cause) => Err(Error::with_source(
            ErrorKind::Undelivered,
            format!(
                "{undelivered} invalidations did not reach L2: old entries may be answered from there, repeat it"
            ),
            cause,
        )),
    }
}

impl<E: Entity> Local for Parts<E> {
    fn projection(&self) -> Option<&str> {
        self.schema.projection.as_deref()
    }

    fn forget(&self, key: &str, token: Option<Token>) {
        if !self.rows_format.is_of(key) {
            return;
        }
        let (all, derived) = (key == self.all_rows.as_str(), key == self.depends_on.as_str());
        let is_projection = self.schema.projection.is_some();
        if let Some(index) = self.index.as_ref().filter(|_| all || derived) {
            index.flights.forget_all();
        }
        if all || (derived && is_projection) {
            self.objects.flights.forget_all();
        } else if !is_projection
            && !derived
            && let Some(pk) = self.rows_format.read::<E::Pk>(key)
        {
            self.objects.flights.forget(&pk, token);
        }
    }

    fn pk_columns(&self) -> Option<&[Cow<'static, str>]> {
        Some(&self.schema.pk)
    }
}
