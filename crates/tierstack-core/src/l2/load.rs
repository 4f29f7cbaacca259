//! Steps 3 and 4: the load of a lookup, and what becomes of the rights under which it was made.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lease::Leases;
use super::lookup::{Known, Look, Open};
use super::requests::{TierSync, send};
use crate::counters::Event;
use crate::record::ToWrite;
use crate::stack::{Inner, ask};
use crate::{
    Answer, Answers, Error, ErrorKind, Fill, Filled, Ground, Keep, Key, Lookup, Moment, Terms, Token, WireKey,
};

impl<S> Look<S>
where
    S: Send + Sync + 'static,
{
    /// Steps 3 and 4.
    pub(super) async fn load<K, V>(&self, leases: Leases<K>) -> Known<V>
    where
        K: Key,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
        S: Inner<K, V>,
    {
        let Leases { right, granted, unanswered, barred, sync, ground } = leases;
        let rights = granted.len();
        // Only a right that is known to be granted may fill; each that may have been is given up.
        let to_settle = rights + unanswered.len();
        let open: Vec<Open<K>> = granted.into_iter().chain(unanswered).chain(barred).collect();
        self.options.counters.add(Event::Bypass, open.len() - rights);
        let keys = open.iter().map(|open| open.key.clone()).collect();
        let began = self.options.clock.coarse();
        let lookup = Lookup::distinct(keys, self.terms_below(to_settle, began));
        let answers = match ask(self.inner.clone(), lookup).await {
            Ok(answers) if are_of(&open, &answers) => answers,
            Ok(answers) => {
                let text = format!(
                    "a service below L2 was asked for {} keys and answered {}, or others: mend it",
                    open.len(),
                    answers.len()
                );
                self.give_up(&open[..to_settle], right).await;
                return failed(&open, &Error::new(ErrorKind::Loader, text));
            }
            Err(error) => {
                self.give_up(&open[..to_settle], right).await;
                return failed(&open, &error);
            }
        };
        let stamp = answers.stamp.clone();
        // What rests on a record that a write still holds, or whose marks the load has not seen, may be older than it.
        let ground = ground
            .filter(|ground| sync.is_some_and(|sync| ground.marks.seen_by(stamp.as_deref(), sync.tier_ms)));
        let mut bytes_left = self.options.settings.max_fill_bytes;
        let mut known = Known::with_capacity(open.len());
        let mut fills = Vec::with_capacity(to_settle);
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
                let life = self.options.freshness.longest();
                fills.push(Fill { key: open.wire.clone(), right, record, life });
            }
            known.push((open.place, outcome));
        }
        if fills.is_empty() {
            return known;
        }
        let filling = self.options.tier.fill(&fills);
        let (_, each) = send(&self.options, self.share_after_load(), fills.len(), filling).await;
        for (((_, outcome), fill), filled) in known.iter_mut().zip(&fills).zip(each) {
            let Ok(filled) = filled else { continue };
            self.options.counters.filled(filled);
            if let (Filled::Ok, Some(_), Ok(Some(answer))) = (filled, &fill.record, outcome) {
                answer.keep = Keep::Life;
            }
        }
        known
    }

    /// The terms of the load. It is not bounded by the deadline of a caller, if others may wait for it too; else a part of
    /// what time is left is kept back, in which the rights are used or given up.
    fn terms_below(&self, rights: usize, now: Moment) -> Terms {
        let mut terms = Terms { in_parts: false, ..self.terms };
        if self.terms.in_parts {
            // With the time it waits among others' loads, so that the right outlives it.
            terms.deadline = Some(now.plus(self.options.settings.load_timeout));
        } else if let (Some(deadline), 1..) = (terms.deadline, rights) {
            let left = deadline.since(now);
            let kept_back = self.options.settings.l2_timeout.min(left / 4);
            terms.deadline = Some(now.plus(left - kept_back));
        }
        terms
    }

    /// The bytes of an answer; `None` if L2 can't hold it, which is counted.
    fn record<V: Serialize>(
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
        // A row that can't be written, even by a panic, costs the others of its batch nothing.
        let encoded = catch_unwind(AssertUnwindSafe(|| written.encode(&self.options.codec()).ok()));
        let encoded = encoded.unwrap_or(None);
        if encoded.is_none() {
            self.options.counters.add(Event::Unfillable, 1);
        }
        encoded
    }

    async fn give_up<K>(&self, granted: &[Open<K>], right: Token) {
        if granted.is_empty() {
            return;
        }
        let life = self.options.freshness.longest();
        let fills: Vec<Fill> =
            granted.iter().map(|open| Fill { key: open.wire.clone(), right, record: None, life }).collect();
        let filling = self.options.tier.fill(&fills);
        let (_, each) = send(&self.options, self.share_after_load(), fills.len(), filling).await;
        for filled in each.into_iter().flatten() {
            self.options.counters.filled(filled);
        }
    }
}

/// Whether the answers are of the keys that were asked, in their order.
fn are_of<K: Key, V>(open: &[Open<K>], answers: &Answers<K, V>) -> bool {
    answers.len() == open.len() && answers.iter().zip(open).all(|((key, _), open)| *key == open.key)
}

fn failed<K, V>(open: &[Open<K>], error: &Error) -> Known<V> {
    open.iter().map(|open| (open.place, Err(error.clone()))).collect()
}
