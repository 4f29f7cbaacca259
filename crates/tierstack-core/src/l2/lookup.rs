//! One lookup's way through L2: reading, then steps that lead to one another. They are numbered in the module's page.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::lease::Leases;
use super::options::L2Options;
use super::requests::{Judge, Miss, TierSync, ground_of, send};
use crate::lookup::{Extras, Rest};
use crate::recorder::Work;
use crate::stack::Inner;
use crate::tier::BoxFuture;
use crate::{Answer, Answers, Ground, Key, Lookup, Moment, Outcome, Terms, Token, WireKey};

/// Outcomes of some of a lookup's keys, by place.
pub(super) type Known<V> = Vec<(usize, Outcome<V>)>;

/// A key without an answer yet.
pub(super) struct Open<K> {
    /// Its place in the lookup.
    pub(super) place: usize,
    pub(super) key: K,
    pub(super) wire: WireKey,
    /// Token of a VALUE that was read here and can't be used.
    pub(super) observed: Option<Token>,
    /// When nothing was read here, on the tier's clock.
    pub(super) vacant_ms: Option<u64>,
}

/// What the steps of one lookup share.
pub(super) struct Look<S> {
    pub(super) options: Arc<L2Options>,
    pub(super) terms: Terms,
    pub(super) extras: Option<Arc<Extras>>,
    pub(super) inner: S,
}

/// What is to be done next for some keys.
pub(super) enum Step<K> {
    /// Ask for rights; keys that another node is loading are waited for, up to that time.
    Lease(Vec<Open<K>>, Option<Moment>),
    /// Load what leases decided on.
    Load(Leases<K>),
    /// Wait for another node's load, up to that time.
    Wait(Vec<Open<K>>, Moment),
}

/// The steps that follow one, if any.
pub(super) type Next<K> = SmallVec<[Step<K>; 3]>;

/// What a read found at a key.
pub(super) enum Found<V> {
    Answer(Answer<V>),
    Miss(Miss),
    /// L2 did not answer.
    Unreached,
}

pub(super) async fn look<K, V, S>(options: Arc<L2Options>, inner: S, lookup: Lookup<K>) -> Answers<K, V>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: Inner<K, V> + Sync,
{
    let (terms, extras) = (lookup.terms, lookup.extras.clone());
    let keys = lookup.into_keys();
    let wires = options.format.wires(&keys);
    let look = Look { options, terms, extras, inner };
    let mut rows: SmallVec<[(K, Outcome<V>); 1]> = SmallVec::with_capacity(keys.len());
    // Room for what they depend on, too.
    let mut asked = Vec::with_capacity(keys.len() + 1);
    let mut places = Vec::with_capacity(keys.len());
    for (place, (key, wire)) in keys.into_iter().zip(wires).enumerate() {
        let known = match wire {
            Ok(wire) => {
                asked.push(wire);
                places.push(place);
                Ok(None)
            }
            Err(error) => Err(error),
        };
        rows.push((key, known));
    }
    let open = |rows: &[(K, Outcome<V>)], place: usize, wire, miss: Miss| {
        let (key, _) = &rows[place];
        Open { place, key: key.clone(), wire, observed: miss.observed, vacant_ms: miss.vacant_ms }
    };
    let (mut rest, mut barred) = (Vec::new(), Vec::new());
    if terms.use_l2 && terms.read_l2 {
        let found = look.read(&mut asked).await;
        for (place, (wire, found)) in places.into_iter().zip(found) {
            match found {
                Found::Answer(answer) => rows[place].1 = Ok(Some(answer)),
                Found::Miss(miss) => {
                    let may_fill = terms.fill_l2 && !miss.outranked;
                    let keys = if may_fill { &mut rest } else { &mut barred };
                    keys.push(open(&rows, place, wire.clone(), miss));
                }
                Found::Unreached => barred.push(open(&rows, place, wire.clone(), Miss::default())),
            }
        }
    } else {
        let keys = if terms.use_l2 && terms.fill_l2 { &mut rest } else { &mut barred };
        let unread = |(place, wire)| open(&rows, place, wire, Miss::default());
        keys.extend(places.into_iter().zip(asked).map(unread));
    }
    if !terms.load || (rest.is_empty() && barred.is_empty()) {
        return Answers::new(rows);
    }
    let mut first = Next::new();
    if !rest.is_empty() {
        first.push(Step::Lease(rest, None));
    }
    first.extend(Leases::barred(barred).loads());
    let mut rest = steps(look, first);
    if terms.in_parts {
        return Answers::new(rows).with_rest(rest);
    }
    while let Some(known) = rest.next().await {
        for (place, outcome) in known {
            rows[place].1 = outcome;
        }
    }
    Answers::new(rows)
}

/// Takes steps, those that follow one another's side by side, and brings what each makes known.
fn steps<K, V, S>(look: Look<S>, first: Next<K>) -> Rest<V>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: Inner<K, V> + Sync,
{
    let look = Arc::new(look);
    let under_way: FuturesUnordered<BoxFuture<'static, (Known<V>, Next<K>)>> =
        first.into_iter().map(|step| look.clone().take(step)).collect();
    Box::pin(stream::unfold((look, under_way), |(look, mut under_way)| async move {
        let (known, next) = under_way.next().await?;
        under_way.extend(next.into_iter().map(|step| look.clone().take(step)));
        Some((known, (look, under_way)))
    }))
}

impl<S: Send + Sync + 'static> Look<S> {
    fn take<K, V>(self: Arc<Self>, step: Step<K>) -> BoxFuture<'static, (Known<V>, Next<K>)>
    where
        K: Key,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
        S: Inner<K, V>,
    {
        Box::pin(async move {
            match step {
                Step::Lease(open, until) => self.lease(open, until).await,
                Step::Load(leases) => (self.load(leases).await, Next::new()),
                Step::Wait(open, until) => {
                    let Some(traced) = self.options.counters.traced() else {
                        return self.wait(open, until).await;
                    };
                    let mut doing = traced.begin(Work::Wait, open.len());
                    let waited = doing.scope(self.wait(open, until)).await;
                    doing.done();
                    waited
                }
            }
        })
    }

    /// Step 1: one request for all of `wires`, which are left as they were; each is judged as it is taken.
    pub(super) async fn read<'a, V: DeserializeOwned>(
        &'a self,
        wires: &'a mut Vec<WireKey>,
    ) -> impl Iterator<Item = (&'a WireKey, Found<V>)> + use<'a, V, S> {
        wires.extend(self.options.depends_on.clone());
        let reading = self.options.tier.read(wires);
        let (sync, mut each) = send(&self.options, self.share(), wires.len(), reading).await;
        let ground = match &self.options.depends_on {
            Some(_) => {
                wires.pop();
                each.pop().and_then(Result::ok).and_then(|bytes| ground_of(bytes.as_ref()))
            }
            None => None,
        };
        let judge = self.judge(sync, ground);
        wires.iter().zip(each).map(move |(wire, found)| {
            let found = match found {
                Ok(bytes) => judge.answer(wire, bytes.as_ref()).map_or_else(Found::Miss, Found::Answer),
                Err(_) => Found::Unreached,
            };
            (wire, found)
        })
    }

    /// Judges what a request found.
    pub(super) fn judge(&self, sync: TierSync, ground: Option<Ground>) -> Judge<'_> {
        let seen = self.extras.as_ref().map(|extras| &extras.seen);
        Judge { options: &self.options, sync, accept: self.terms.accept, seen, ground }
    }

    /// What a request may take before the load: a part of the time there is, so that some is left for the origin.
    pub(super) fn share(&self) -> Duration {
        match self.left() {
            Some(left) => self.options.settings.l2_timeout.min(left / 4),
            None => self.options.settings.l2_timeout,
        }
    }

    /// What a request may take after the load. Of a lookup that others wait for, too, no caller's deadline cuts it short:
    /// what was loaded is to be stored.
    pub(super) fn share_after_load(&self) -> Duration {
        let most = self.options.settings.l2_timeout;
        if self.terms.in_parts { most } else { self.left().map_or(most, |left| most.min(left)) }
    }

    /// The time there is; `None` if it is unbounded, or has passed and the lookup goes on for others and the tiers.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.terms.deadline?.since(self.options.clock.coarse());
        (!left.is_zero() || !self.terms.in_parts).then_some(left)
    }
}
