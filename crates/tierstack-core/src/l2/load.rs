//! Steps 3 and 4: the load of a lookup, and what becomes of the rights under which it was made.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lease::Leases;
use super::lookup::{Known, Look, Open};
use super::requests::send;
use crate::counters::Event;
use crate::stack::{Inner, ask};
use crate::{Answers, Error, ErrorKind, Fill, Filled, Keep, Key, Lookup, Moment, Terms, Token};

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
                && !matches!(answer.keep, Keep::Nothing | Keep::Private)
            {
                answer.keep = Keep::BriefSince(began);
                if let (true, Some(sync)) = (at < rights, sync) {
                    record = self.options.record(
                        answer,
                        &open.wire,
                        sync,
                        began,
                        stamp.as_deref(),
                        ground.as_ref(),
                    );
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
