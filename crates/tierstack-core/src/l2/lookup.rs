//! One lookup's way through L2: reading, leasing and waiting. The steps are numbered in the module's page.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::options::L2Options;
use super::requests::{Judge, TierSync, ground_of, send};
use crate::counters::Event;
use crate::stack::Inner;
use crate::{
    Accept, Answer, Answers, Ground, Key, LeaseFor, Leased, Lookup, Moment, Outcome, Terms, Token, WireKey,
};

/// A lease that is answered with a record we can't use is repeated with its token, this often.
const MOST_LEASES: usize = 3;
/// Polls of keys that another node loads: the first pause, doubled each time up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(32);

/// A key without an answer yet.
pub(super) struct Open {
    /// Its place in the lookup.
    pub(super) place: usize,
    pub(super) wire: WireKey,
    /// Token of a VALUE that was read here and can't be used.
    observed: Option<Token>,
    /// Somebody had the right to fill it when it was read.
    leased: bool,
}

/// One lookup under way.
pub(super) struct Look<'a, K, V> {
    pub(super) options: &'a L2Options,
    pub(super) terms: Terms,
    pub(super) rows: SmallVec<[(K, Outcome<V>); 1]>,
}

/// What a round of leases decided.
pub(super) struct Round {
    /// The right that was granted; also the token of every floor that this round's leases made.
    pub(super) right: Token,
    /// May be loaded and filled.
    pub(super) granted: Vec<Open>,
    /// Their lease had no answer: may be loaded, and the right given up, should it have been granted.
    pub(super) unanswered: Vec<Open>,
    /// May be loaded; nobody may fill it now.
    pub(super) barred: Vec<Open>,
    /// Someone else is loading it.
    waiting: Vec<Open>,
    /// When the last lease was asked, and the tier's clock then.
    pub(super) sync: Option<TierSync>,
    /// What derived entries of this round rest on, read before the load.
    pub(super) ground: Option<Ground>,
}

impl Round {
    /// A round without rights.
    fn barred(barred: Vec<Open>) -> Self {
        Round {
            right: Token::NONE,
            granted: Vec::new(),
            unanswered: Vec::new(),
            barred,
            waiting: Vec::new(),
            sync: None,
            ground: None,
        }
    }
}

pub(super) async fn look<K, V, S>(options: &L2Options, inner: S, lookup: Lookup<K>) -> Answers<K, V>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: Inner<K, V>,
{
    let terms = lookup.terms;
    let keys = lookup.into_keys();
    let wires = options.format.wire(&keys);
    let mut look = Look { options, terms, rows: SmallVec::with_capacity(keys.len()) };
    let mut open = Vec::with_capacity(keys.len());
    for (place, (key, wire)) in keys.into_iter().zip(wires).enumerate() {
        match wire {
            Ok(wire) => {
                open.push(Open { place, wire, observed: None, leased: false });
                look.rows.push((key, Ok(None)));
            }
            Err(refused) => {
                options.counters.add(Event::Error, 1);
                look.rows.push((key, Err(refused)));
            }
        }
    }
    let mut barred = Vec::new();
    let mut reachable = terms.use_l2;
    if reachable && terms.read_l2 {
        (open, barred, reachable) = look.read(open).await;
    }
    if terms.load {
        look.load_rest(inner, open, barred, reachable).await;
    } else {
        options.counters.add(Event::Unknown, open.len() + barred.len());
    }
    Answers::new(look.rows)
}

impl<K, V> Look<'_, K, V>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn answer(&mut self, place: usize, answer: Answer<V>) {
        if self.terms.accept.is_told() {
            self.options.counters.answer(&answer);
        }
        self.rows[place].1 = Ok(Some(answer));
    }

    /// Step 1. Answers what can be; gives back the others, those that must not be filled, and whether L2 was reached.
    async fn read(&mut self, open: Vec<Open>) -> (Vec<Open>, Vec<Open>, bool) {
        // Moved, not cloned: most keys of a read are answered by it.
        let (opened, mut wires): (Vec<(usize, Option<Token>)>, Vec<WireKey>) =
            open.into_iter().map(|open| ((open.place, open.observed), open.wire)).unzip();
        wires.extend(self.options.depends_on.clone());
        let reading = self.options.tier.read(&wires);
        let (sync, mut each) = send(self.options, &self.terms, wires.len(), reading).await;
        let ground = match &self.options.depends_on {
            Some(_) => each.pop().and_then(Result::ok).and_then(|bytes| ground_of(bytes.as_ref())),
            None => None,
        };
        let judge = Judge { options: self.options, sync, accept: self.terms.accept, ground };
        let (mut rest, mut outranked, mut reached) = (Vec::new(), Vec::new(), true);
        for (((place, observed), wire), found) in opened.into_iter().zip(wires).zip(each) {
            let Ok(bytes) = found else {
                reached = false;
                rest.push(Open { place, wire, observed, leased: false });
                continue;
            };
            match judge.answer(&wire, bytes.as_ref()) {
                Ok(answer) => self.answer(place, answer),
                Err(miss) => {
                    let open = Open { place, wire, observed: miss.observed, leased: miss.leased };
                    if miss.outranked { &mut outranked } else { &mut rest }.push(open);
                }
            }
        }
        (rest, outranked, reached)
    }

    /// Steps 2 to 5 for what the read left.
    async fn load_rest<S: Inner<K, V>>(
        &mut self,
        inner: S,
        open: Vec<Open>,
        barred: Vec<Open>,
        reachable: bool,
    ) {
        if !reachable {
            let barred = open.into_iter().chain(barred).collect();
            return self.load(inner, Round::barred(barred)).await;
        }
        let mut round = self.lease(open).await;
        round.barred.extend(barred);
        let mut waiting = std::mem::take(&mut round.waiting);
        if !self.terms.read_l2 {
            // What another is loading may be older than this lookup.
            round.barred.append(&mut waiting);
        }
        self.load(inner.clone(), round).await;
        // A refresh behind a stale answer leaves the key to whoever is loading it.
        if waiting.is_empty() || self.terms.accept == Accept::Renewed {
            return;
        }
        self.options.counters.add(Event::Wait, waiting.len());
        let clock = &self.options.clock;
        // At most half of the lookup's time goes into the wait: the rest is for a load of its own.
        let now = clock.coarse();
        let half = self.terms.deadline.map_or(Moment::NEVER, |deadline| now.plus(deadline.since(now) / 2));
        let until = now.plus(self.options.settings.wait_for_load).min(half);
        while !waiting.is_empty() {
            let (free, outranked) = self.wait(&mut waiting, until).await;
            let mut round = self.lease(free).await;
            round.barred.extend(outranked);
            // Taken by yet another node: wait for that one, within the same time.
            waiting.append(&mut round.waiting);
            if clock.coarse() >= until {
                round.barred.append(&mut waiting);
            }
            self.load(inner.clone(), round).await;
        }
    }

    /// Step 2. Asks for rights, and answers what has been filled meanwhile.
    async fn lease(&mut self, mut open: Vec<Open>) -> Round {
        // A right of its own for each round: it is also the token of a floor that the lease makes. With the same one again,
        // a dependency record that was lost meanwhile would come back under the token that older entries rest on.
        let right = self.options.random.token();
        let mut round = Round { right, ..Round::barred(Vec::new()) };
        for _ in 0..MOST_LEASES {
            if open.is_empty() {
                break;
            }
            let life = self.options.settings.right_life();
            let mut asks: Vec<LeaseFor> = open
                .iter()
                .map(|open| LeaseFor { key: open.wire.clone(), right, observed: open.observed, life })
                .collect();
            if let Some(key) = &self.options.depends_on {
                // A floor that is there already stays; one that isn't must outlive what will rest on it.
                let life = self.options.freshness.longest() * 2;
                asks.push(LeaseFor { key: key.clone(), right, observed: None, life });
            }
            let leasing = self.options.tier.lease(&asks);
            let (sync, mut each) = send(self.options, &self.terms, asks.len(), leasing).await;
            if self.options.depends_on.is_some() {
                let ground = each.pop().and_then(Result::ok).and_then(|leased| leased.ground().cloned());
                // Of several leases the first was before every load and every read that this round rests on.
                round.ground = round.ground.take().or(ground);
            }
            if each.iter().any(Result::is_ok) {
                round.sync = Some(sync);
            }
            let judge = Judge {
                options: self.options,
                sync,
                accept: self.terms.accept,
                ground: round.ground.clone(),
            };
            let mut again = Vec::new();
            for (mut open, leased) in open.into_iter().zip(each) {
                match leased {
                    Ok(Leased::Right(_)) => round.granted.push(open),
                    Ok(Leased::Bypass(_)) => round.barred.push(open),
                    Err(_) => round.unanswered.push(open),
                    Ok(Leased::Wait(..)) => round.waiting.push(open),
                    Ok(Leased::Record(bytes)) => {
                        let found = judge.answer(&open.wire, Some(&bytes));
                        match found {
                            // A lookup that must load takes no record, but may replace this one.
                            Ok(answer) if self.terms.read_l2 => self.answer(open.place, answer),
                            Ok(answer) => {
                                open.observed = Some(answer.meta.token);
                                again.push(open);
                            }
                            Err(miss) if miss.outranked => round.barred.push(open),
                            Err(miss) => {
                                open.observed = miss.observed;
                                again.push(open);
                            }
                        }
                    }
                }
            }
            open = again;
        }
        round.barred.extend(open);
        round
    }

    /// Step 5. Polls until a key is no longer loaded by another node, or the time is up. Gives back those that are free to
    /// be leased, and those that must not be filled; leaves the others in `waiting`.
    async fn wait(&mut self, waiting: &mut Vec<Open>, until: Moment) -> (Vec<Open>, Vec<Open>) {
        let clock = &self.options.clock;
        let mut pause = FIRST_PAUSE;
        while !waiting.is_empty() {
            let left = until.since(clock.coarse());
            if left.is_zero() {
                break;
            }
            clock.sleep(pause.min(left)).await;
            pause = (pause * 2).min(LAST_PAUSE);
            let (rest, outranked, reached) = self.read(std::mem::take(waiting)).await;
            let (leased, free): (Vec<Open>, Vec<Open>) =
                rest.into_iter().partition(|open| reached && open.leased);
            *waiting = leased;
            if !free.is_empty() || !outranked.is_empty() {
                return (free, outranked);
            }
        }
        (std::mem::take(waiting), Vec::new())
    }
}
