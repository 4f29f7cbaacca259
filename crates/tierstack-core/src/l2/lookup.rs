//! One lookup's way through L2; the steps are numbered in the module's page.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::options::L2Options;
use super::requests::{Judge, TierSync, ground_of, send};
use crate::counters::Event;
use crate::record::ToWrite;
use crate::stack::{Inner, ask};
use crate::{
    Accept, Answer, Answers, Error, ErrorKind, Fill, Filled, Ground, Keep, Key, LeaseFor, Leased, Lookup,
    Moment, Outcome, Terms, Token, WireKey,
};

/// A lease that is answered with a record we can't use is repeated with its token, this often.
const MOST_LEASES: usize = 3;
/// Polls of keys that another node loads: the first pause, doubled each time up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(32);

/// A key without an answer yet.
struct Open {
    /// Its place in the lookup.
    place: usize,
    wire: WireKey,
    /// Token of a VALUE that was read here and can't be used.
    observed: Option<Token>,
    /// Somebody had the right to fill it when it was read.
    leased: bool,
}

/// One lookup under way.
struct Look<'a, K, V> {
    options: &'a L2Options,
    terms: Terms,
    rows: SmallVec<[(K, Outcome<V>); 1]>,
}

/// What a round of leases decided.
struct Round {
    /// The right that was granted; also the token of every floor that this round's leases made.
    right: Token,
    /// May be loaded and filled.
    granted: Vec<Open>,
    /// Their lease had no answer: may be loaded, and the right given up, should it have been granted.
    unanswered: Vec<Open>,
    /// May be loaded; nobody may fill it now.
    barred: Vec<Open>,
    /// Someone else is loading it.
    waiting: Vec<Open>,
    /// When the last lease was asked, and the tier's clock then.
    sync: Option<TierSync>,
    /// What derived entries of this round rest on, read before the load.
    ground: Option<Ground>,
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

    /// Steps 3 and 4.
    async fn load<S: Inner<K, V>>(&mut self, inner: S, round: Round) {
        let Round { right, granted, unanswered, barred, sync, ground, .. } = round;
        let rights = granted.len();
        // Only a right that is known to be granted may fill; each that may have been is given up.
        let to_settle = rights + unanswered.len();
        let open: Vec<Open> = granted.into_iter().chain(unanswered).chain(barred).collect();
        if open.is_empty() {
            return;
        }
        self.options.counters.add(Event::Bypass, open.len() - rights);
        let keys = open.iter().map(|open| self.rows[open.place].0.clone()).collect();
        let began = self.options.clock.coarse();
        let answers = match ask(inner, Lookup::distinct(keys, self.terms_below(to_settle, began))).await {
            Ok(answers) if self.are_of(&open, &answers) => answers,
            Ok(answers) => {
                let text = format!(
                    "a service below L2 was asked for {} keys and answered {}, or others: mend it",
                    open.len(),
                    answers.len()
                );
                self.fail(&open, &Error::new(ErrorKind::Loader, text));
                return self.give_up(&open[..to_settle], right).await;
            }
            Err(error) => {
                self.fail(&open, &error);
                return self.give_up(&open[..to_settle], right).await;
            }
        };
        let stamp = answers.stamp.clone();
        let mut bytes_left = self.options.settings.max_fill_bytes;
        let mut fills = Vec::with_capacity(to_settle);
        let mut filling = Vec::with_capacity(to_settle);
        for (at, ((_, mut outcome), open)) in answers.into_iter().zip(&open).enumerate() {
            let mut record = None;
            if let Ok(Some(answer)) = &mut outcome
                && answer.keep != Keep::Nothing
            {
                answer.keep = Keep::BriefSince(began);
                if let (true, Some(sync)) = (at < rights, sync) {
                    record = self.record(answer, &open.wire, sync, began, stamp.as_deref(), ground.as_ref());
                    // What is beyond the bound gives its right up, and is stored by whoever asks for it next.
                    record = record.filter(|bytes| bytes.len() <= bytes_left);
                    bytes_left -= record.as_ref().map_or(0, |bytes| bytes.len());
                }
            }
            if at < to_settle {
                filling.push((open.place, record.is_some()));
                let life = self.options.freshness.longest();
                fills.push(Fill { key: open.wire.clone(), right, record, life });
            }
            self.rows[open.place].1 = outcome;
        }
        if fills.is_empty() {
            return;
        }
        let (_, each) = send(self.options, &self.terms, fills.len(), self.options.tier.fill(&fills)).await;
        for ((place, brought), filled) in filling.into_iter().zip(each) {
            let Ok(filled) = filled else { continue };
            self.options.counters.filled(filled);
            if let (Filled::Ok, true, Ok(Some(answer))) = (filled, brought, &mut self.rows[place].1) {
                answer.keep = Keep::Life;
            }
        }
    }

    /// The terms of the load: of what time is left, a part is kept back in which the rights are used or given up.
    fn terms_below(&self, rights: usize, now: Moment) -> Terms {
        let mut terms = self.terms;
        if let (Some(deadline), 1..) = (terms.deadline, rights) {
            let left = deadline.since(now);
            let kept_back = self.options.settings.l2_timeout.min(left / 4);
            terms.deadline = Some(now.plus(left - kept_back));
        }
        terms
    }

    /// Whether the answers are of the keys that were asked, in their order.
    fn are_of(&self, open: &[Open], answers: &Answers<K, V>) -> bool {
        answers.len() == open.len()
            && answers.iter().zip(open).all(|((key, _), open)| *key == self.rows[open.place].0)
    }

    /// The bytes of an answer; `None` if L2 can't hold it, which is counted.
    fn record(
        &self,
        answer: &Answer<V>,
        key: &WireKey,
        sync: TierSync,
        began: Moment,
        stamp: Option<&crate::Stamp>,
        ground: Option<&Ground>,
    ) -> Option<bytes::Bytes> {
        let dependencies = match &self.options.depends_on {
            Some(_) => std::slice::from_ref(ground?.token.as_ref()?),
            None => &[],
        };
        let row = match &answer.entry {
            crate::Entry::Present(row) => Some(&**row),
            crate::Entry::Absent => None,
        };
        let written = ToWrite {
            token: answer.meta.token,
            key,
            schema: self.options.schema,
            written_ms: sync.tier_ms(began),
            fresh_until_ms: sync.tier_ms(answer.meta.fresh_until),
            stale_until_ms: sync.tier_ms(answer.meta.stale_until),
            cost_us: answer.meta.cost_us,
            stamp,
            dependencies,
            row,
        };
        let encoded = written.encode(&self.options.codec()).ok();
        if encoded.is_none() {
            self.options.counters.add(Event::Unfillable, 1);
        }
        encoded
    }

    fn fail(&mut self, open: &[Open], error: &Error) {
        if self.terms.accept.is_told() {
            self.options.counters.add(Event::Error, open.len());
        }
        for open in open {
            self.rows[open.place].1 = Err(error.clone());
        }
    }

    async fn give_up(&mut self, granted: &[Open], right: Token) {
        if granted.is_empty() {
            return;
        }
        let life = self.options.freshness.longest();
        let fills: Vec<Fill> =
            granted.iter().map(|open| Fill { key: open.wire.clone(), right, record: None, life }).collect();
        let (_, each) = send(self.options, &self.terms, fills.len(), self.options.tier.fill(&fills)).await;
        for filled in each.into_iter().flatten() {
            self.options.counters.filled(filled);
        }
    }
}
