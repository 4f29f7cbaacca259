//! Steps 2 and 5: rights, and waiting for those who have them.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lookup::{Found, Known, Look, Next, Open, Step};
use super::requests::{TierSync, send};
use crate::counters::Event;
use crate::{Ground, Key, LeaseFor, Leased, Moment, Token};

/// A lease that is answered with a record we can't use is repeated with its token, this often.
const MOST_LEASES: usize = 3;
/// Polls of keys that another node loads: the first pause, doubled each time up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(32);

/// What a round of leases decided about the keys to load.
pub(super) struct Leases<K> {
    /// The right that was granted; also the token of every floor that this round's leases made.
    pub(super) right: Token,
    /// May be loaded and filled.
    pub(super) granted: Vec<Open<K>>,
    /// Their lease had no answer: may be loaded, and the right given up, should it have been granted.
    pub(super) unanswered: Vec<Open<K>>,
    /// May be loaded; nobody may fill it now.
    pub(super) barred: Vec<Open<K>>,
    /// When the last lease was asked, and the tier's clock then.
    pub(super) sync: Option<TierSync>,
    /// What derived entries of this round rest on, read before the load.
    pub(super) ground: Option<Ground>,
}

impl<K> Leases<K> {
    /// Keys to load without rights.
    pub(super) fn barred(barred: Vec<Open<K>>) -> Self {
        let (granted, unanswered) = (Vec::new(), Vec::new());
        Leases { right: Token::NONE, granted, unanswered, barred, sync: None, ground: None }
    }

    fn is_empty(&self) -> bool {
        self.granted.is_empty() && self.unanswered.is_empty() && self.barred.is_empty()
    }
}

impl<K: Key> Leases<K> {
    /// The loads to make of them: one, and one for each key that loads alone.
    pub(super) fn loads(mut self) -> impl Iterator<Item = Step<K>> {
        let mut alone = Vec::new();
        let (right, sync, ground) = (self.right, self.sync, self.ground.clone());
        let mut part = |of: fn(&mut Leases<K>) -> &mut Vec<Open<K>>, keys: &mut Vec<Open<K>>| {
            let (own, rest): (Vec<_>, Vec<_>) =
                std::mem::take(keys).into_iter().partition(|open| open.key.loads_alone());
            *keys = rest;
            for open in own {
                let mut leases = Leases { right, sync, ground: ground.clone(), ..Leases::barred(Vec::new()) };
                of(&mut leases).push(open);
                alone.push(leases);
            }
        };
        part(|leases| &mut leases.granted, &mut self.granted);
        part(|leases| &mut leases.unanswered, &mut self.unanswered);
        part(|leases| &mut leases.barred, &mut self.barred);
        let together = Some(self).filter(|leases| !leases.is_empty());
        together.into_iter().chain(alone).map(Step::Load)
    }
}

impl<S> Look<S>
where
    S: Send + Sync + 'static,
{
    /// Step 2. Asks for rights, and answers what has been filled meanwhile. What another node is loading is waited for until
    /// `until`, if that was set by an earlier wait, and is then loaded in any case.
    pub(super) async fn lease<K, V>(
        &self,
        mut open: Vec<Open<K>>,
        until: Option<Moment>,
    ) -> (Known<V>, Next<K>)
    where
        K: Key,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        // A right of its own for each round: it is also the token of a floor that the lease makes. With the same one again,
        // a dependency record that was lost meanwhile would come back under the token that older entries rest on.
        let right = self.options.random.token();
        let mut leases = Leases { right, ..Leases::barred(Vec::new()) };
        let (mut known, mut waiting) = (Known::new(), Vec::new());
        for _ in 0..MOST_LEASES {
            if open.is_empty() {
                break;
            }
            let life = self.options.settings.right_life();
            let mut asks: Vec<LeaseFor> = open
                .iter_mut()
                .map(|open| LeaseFor {
                    vacant_ms: open.vacant_ms.take(),
                    ..LeaseFor::new(open.wire.clone(), right, open.observed, life)
                })
                .collect();
            if let Some(key) = &self.options.depends_on {
                // It must outlive what will rest on it. Nobody fills it: its right matters to no one.
                let keep = self.options.freshness.longest() * 2;
                asks.push(LeaseFor { keep, ..LeaseFor::new(key.clone(), right, None, life) });
            }
            let leasing = self.options.tier.lease(&asks);
            let (sync, mut each) = send(&self.options, self.share(), asks.len(), leasing).await;
            if self.options.depends_on.is_some() {
                let ground = each.pop().and_then(Result::ok).and_then(|leased| leased.ground().cloned());
                // Of several leases the first was before every load and every read that this round rests on.
                leases.ground = leases.ground.take().or(ground);
            }
            if each.iter().any(Result::is_ok) {
                leases.sync = Some(sync);
            }
            let ground = leases.ground.clone();
            let judge = self.judge(sync, ground);
            let mut again = Vec::new();
            for (mut open, leased) in open.into_iter().zip(each) {
                match leased {
                    Ok(Leased::Right(_)) => leases.granted.push(open),
                    Ok(Leased::Bypass(_)) => leases.barred.push(open),
                    Err(_) => leases.unanswered.push(open),
                    Ok(Leased::Wait(..)) => waiting.push(open),
                    Ok(Leased::Record(bytes)) => match judge.answer(&open.wire, Some(&bytes)) {
                        // A lookup that must load takes no record, but may replace this one.
                        Ok(answer) if self.terms.read_l2 => known.push((open.place, Ok(Some(answer)))),
                        Ok(answer) => {
                            open.observed = Some(answer.meta.token);
                            again.push(open);
                        }
                        Err(miss) if miss.outranked => leases.barred.push(open),
                        Err(miss) => {
                            open.observed = miss.observed;
                            again.push(open);
                        }
                    },
                }
            }
            open = again;
        }
        leases.barred.extend(open);
        let until = self.sort_out(waiting, until, &mut leases, &mut known);
        let mut next = Next::new();
        next.extend(until);
        next.extend(leases.loads());
        (known, next)
    }

    /// Decides what becomes of keys that another node is loading: the step of those that are waited for, if any.
    fn sort_out<K: Key, V>(
        &self,
        mut waiting: Vec<Open<K>>,
        until: Option<Moment>,
        leases: &mut Leases<K>,
        known: &mut Known<V>,
    ) -> Option<Step<K>> {
        let now = self.options.clock.coarse();
        if waiting.is_empty() {
            return None;
        }
        // What another is loading may be older than a lookup that must load; and a wait has an end.
        if !self.terms.read_l2 || until.is_some_and(|until| until <= now) {
            leases.barred.append(&mut waiting);
            return None;
        }
        if !self.terms.wait {
            known.extend(waiting.into_iter().map(|open| (open.place, Ok(None))));
            return None;
        }
        let until = until.unwrap_or_else(|| {
            self.options.counters.add(Event::Wait, waiting.len());
            // At most half of the lookup's time goes into the wait: the rest is for a load of its own.
            let half = self.left().map_or(Moment::NEVER, |left| now.plus(left / 2));
            now.plus(self.options.settings.wait_for_load).min(half)
        });
        Some(Step::Wait(waiting, until))
    }

    /// Step 5. Polls until a key is no longer loaded by another node, or the time is up: what is known by then, and the
    /// steps of the rest.
    pub(super) async fn wait<K, V>(&self, mut waiting: Vec<Open<K>>, until: Moment) -> (Known<V>, Next<K>)
    where
        K: Key,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let clock = &self.options.clock;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = until.since(clock.coarse());
            if left.is_zero() {
                return (Known::new(), Next::from_iter([Step::Lease(waiting, Some(until))]));
            }
            clock.sleep(pause.min(left)).await;
            pause = (pause * 2).min(LAST_PAUSE);
            let mut wires = waiting.iter().map(|open| open.wire.clone()).collect();
            let found = self.read(&mut wires).await;
            let (mut known, mut free, mut barred) = (Known::new(), Vec::new(), Vec::new());
            let mut still = Vec::new();
            for (mut open, (_, found)) in waiting.into_iter().zip(found) {
                match found {
                    Found::Answer(answer) => known.push((open.place, Ok(Some(answer)))),
                    Found::Miss(miss) => {
                        (open.observed, open.vacant_ms) = (miss.observed, miss.vacant_ms);
                        match miss {
                            miss if miss.outranked => barred.push(open),
                            miss if miss.leased => still.push(open),
                            _ => free.push(open),
                        }
                    }
                    // Whether it is free can't be told: it is asked for.
                    Found::Unreached => free.push(open),
                }
            }
            waiting = still;
            if known.is_empty() && free.is_empty() && barred.is_empty() {
                continue;
            }
            let mut next = Next::new();
            if !free.is_empty() {
                next.push(Step::Lease(free, Some(until)));
            }
            next.extend(Leases::barred(barred).loads());
            if !waiting.is_empty() {
                next.push(Step::Wait(waiting, until));
            }
            return (known, next);
        }
    }
}
