//! The load of a lookup, and what becomes of the rights under which it was made: steps 3 and 4 of the module's page.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lookup::{Look, Open, Round};
use super::requests::{TierSync, send};
use crate::counters::Event;
use crate::record::ToWrite;
use crate::stack::{Inner, ask};
use crate::{
    Answer, Answers, Error, ErrorKind, Fill, Filled, Ground, Keep, Key, Lookup, Moment, Terms, Token, WireKey,
};

impl<K, V> Look<'_, K, V>
where
    K: Key,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Steps 3 and 4.
    pub(super) async fn load<S: Inner<K, V>>(&mut self, inner: S, round: Round) {
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
