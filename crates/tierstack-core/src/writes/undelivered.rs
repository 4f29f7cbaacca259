//! Invalidations that did not reach L2: bounded, the newest of each key. Pure.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::mark::Mark;
use crate::stamp::{MOST_HOLDS, MOST_XIDS};
use crate::{Invalidate, Moment, Token, WireKey, Xid};

/// What is still to be told of one key.
#[derive(Clone, Debug)]
struct Kept {
    /// `None`: whatever is there goes.
    xids: Option<Vec<Xid>>,
    drop_holds: Vec<Token>,
    /// Until when the key stays closed after it is told.
    settles: Option<Moment>,
    since: Moment,
    /// Which call asked last.
    version: u64,
}

/// Keys whose invalidation L2 has not acknowledged, with all that is to be told of each.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    keys: BTreeMap<WireKey, Kept>,
    versions: u64,
    /// The last key that was sent again: the next goes on behind it, so that none is left out.
    cursor: Option<WireKey>,
}

/// A kept key that is sent again, and which call asked for it last.
pub(super) struct Again {
    pub(super) ask: Invalidate,
    version: u64,
}

/// What became of a key that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kepts {
    /// It is kept.
    Key,
    /// There was no room: its whole entity is.
    Entity,
}

impl Undelivered {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_kept(&self, key: &WireKey) -> bool {
        self.keys.contains_key(key)
    }

    /// How long the oldest has been kept.
    pub(super) fn oldest(&self, now: Moment) -> Option<Duration> {
        self.keys.values().map(|kept| now.since(kept.since)).max()
    }

    /// Keeps the mark of a write that has ended, united with what is kept of the key. If there are `most` keys already, all
    /// of the key's entity become the two records that everything of the entity rests on.
    pub(super) fn keep(&mut self, key: &WireKey, mark: &Mark, now: Moment, most: usize) -> Kepts {
        self.versions += 1;
        let version = self.versions;
        if let Some(there) = self.keys.get_mut(key) {
            there.unite(mark, now, version);
            return Kepts::Key;
        }
        if self.keys.len() < most {
            let kept = Kept {
                xids: (!mark.xids.is_empty() && mark.xids.len() <= MOST_XIDS).then(|| mark.xids.clone()),
                drop_holds: mark.drop_hold.into_iter().collect(),
                settles: mark.hold.map(|(_, life)| now.plus(life)),
                since: now,
                version,
            };
            self.keys.insert(key.clone(), kept);
            return Kepts::Key;
        }
        let first = key.of_entity("");
        let of_entity = |at: &&WireKey| at.as_str().starts_with(key.entity());
        let from = (Bound::Included(&first), Bound::Unbounded);
        let gone: Vec<WireKey> =
            self.keys.range(from).map(|(at, _)| at).take_while(of_entity).cloned().collect();
        let gone: Vec<Kept> = gone.iter().filter_map(|at| self.keys.remove(at)).collect();
        // Holds of single rows that are not dropped now end by themselves, and rows stay closed till then.
        let since = gone.iter().map(|kept| kept.since).min().unwrap_or(now);
        let settles = mark.hold.map(|(_, life)| now.plus(life));
        let settles = gone.iter().filter_map(|kept| kept.settles).chain(settles).max();
        for name in ["all", "rows"] {
            let kept = Kept { xids: None, drop_holds: Vec::new(), settles, since, version };
            self.keys.insert(key.of_entity(name), kept);
        }
        Kepts::Entity
    }

    /// The next keys to be sent again, `most` of them.
    pub(super) fn next(
        &mut self,
        most: usize,
        now: Moment,
        floor_life: Duration,
        mut token: impl FnMut() -> Token,
    ) -> Vec<Again> {
        let after = match &self.cursor {
            Some(cursor) => self.keys.range((Bound::Excluded(cursor.clone()), Bound::Unbounded)),
            None => self.keys.range::<WireKey, _>(..),
        };
        let behind = self.cursor.as_ref().map(|cursor| self.keys.range(..=cursor)).into_iter().flatten();
        let again: Vec<Again> = after
            .chain(behind)
            .take(most)
            .map(|(key, kept)| kept.again(key, now, floor_life, [token(), token()]))
            .collect();
        self.cursor = again.last().map(|again| again.ask.key.clone());
        again
    }

    /// A key's invalidation was delivered; nothing is left to tell of it, unless it was kept anew meanwhile.
    pub(super) fn delivered(&mut self, again: &Again) {
        if self.keys.get(&again.ask.key).is_some_and(|kept| kept.version == again.version) {
            self.keys.remove(&again.ask.key);
        }
    }
}

impl Kept {
    fn unite(&mut self, mark: &Mark, now: Moment, version: u64) {
        self.version = version;
        self.xids = self.xids.take().filter(|_| !mark.xids.is_empty()).and_then(|mut xids| {
            for xid in &mark.xids {
                if !xids.contains(xid) {
                    xids.push(*xid);
                }
            }
            (xids.len() <= MOST_XIDS).then_some(xids)
        });
        // One that is not dropped ends by itself: the key stays closed till then.
        if self.drop_holds.len() < MOST_HOLDS {
            self.drop_holds.extend(mark.drop_hold);
        }
        self.settles = self.settles.max(mark.hold.map(|(_, life)| now.plus(life)));
    }

    fn again(&self, key: &WireKey, now: Moment, floor_life: Duration, [token, hold]: [Token; 2]) -> Again {
        let settles = self.settles.map(|until| until.since(now)).filter(|left| !left.is_zero());
        let ask = Invalidate {
            key: key.clone(),
            xids: self.xids.clone().unwrap_or_default(),
            holds: settles.map(|left| (hold, left)).into_iter().collect(),
            drop_holds: self.drop_holds.clone(),
            token,
            claim: None,
            // What the write stored may go: a mark that is united with another write's must spare nothing.
            spares: None,
            // A hold is to be placed where nothing is, too.
            finished: settles.is_none(),
            life: floor_life.max(settles.unwrap_or_default()),
        };
        Again { ask, version: self.version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyFormat;

    const FLOOR: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(1 + seconds * 1_000_000_000)
    }

    fn key(entity: &str, id: i32) -> WireKey {
        let format = KeyFormat::new("shop", entity, None, &["id"], 64).unwrap();
        format.wire(&[id]).pop().unwrap().unwrap()
    }

    fn xids(ids: std::ops::Range<u64>) -> Mark {
        Mark::finished().xids(ids.map(|id| Xid { system: 1, timeline: 1, id }))
    }

    fn next(kept: &mut Undelivered, most: usize) -> Vec<Again> {
        kept.next(most, at(9), FLOOR, || Token::from_bytes([1; 16]))
    }

    fn texts(again: &[Again]) -> Vec<&str> {
        again.iter().map(|again| again.ask.key.as_str()).collect()
    }

    #[test]
    fn marks_of_one_key_are_united() {
        for (first, second, count) in [
            (xids(1..2), xids(1..3), Some(2)),
            (xids(1..2), Mark::finished(), None),
            (Mark::finished(), xids(1..2), None),
            (xids(1..7), xids(7..9), Some(8)),
            (xids(1..7), xids(7..10), None),
            (xids(1..10), xids(1..2), None),
        ] {
            let mut kept = Undelivered::default();
            for mark in [&first, &second] {
                assert_eq!(kept.keep(&key("film", 7), mark, at(0), 9), Kepts::Key);
            }
            let again = next(&mut kept, 9);
            assert_eq!((again.len(), kept.len()), (1, 1));
            let sent = Some(again[0].ask.xids.len()).filter(|sent| *sent > 0);
            assert_eq!(sent, count, "{first:?} and {second:?}");
        }
    }

    #[test]
    fn holds_of_one_key_are_all_dropped() {
        let mut kept = Undelivered::default();
        let holds = [1, 2].map(|id| Token::from_bytes([id; 16]));
        for hold in holds {
            let mark = Mark { drop_hold: Some(hold), ..Mark::finished() };
            kept.keep(&key("film", 7), &mark, at(0), 9);
        }
        assert_eq!(next(&mut kept, 9)[0].ask.drop_holds, holds);
    }

    #[test]
    fn what_was_kept_anew_while_it_was_sent_stays() {
        let mut kept = Undelivered::default();
        kept.keep(&key("film", 7), &xids(1..2), at(0), 9);
        let again = next(&mut kept, 9);
        kept.keep(&key("film", 7), &xids(2..3), at(1), 9);
        kept.delivered(&again[0]);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept.oldest(at(5)), Some(Duration::from_secs(5)), "its age is the first's");
        let again = next(&mut kept, 9);
        kept.delivered(&again[0]);
        assert_eq!((kept.len(), kept.oldest(at(5))), (0, None));
    }

    #[test]
    fn keys_take_turns() {
        let mut kept = Undelivered::default();
        for id in 1..=3 {
            kept.keep(&key("film", id), &Mark::finished(), at(0), 9);
        }
        let ids = |again: &[Again]| texts(again).iter().map(|text| text[13..].to_owned()).collect::<String>();
        let turns: Vec<String> = (0..3).map(|_| ids(&next(&mut kept, 2))).collect();
        assert_eq!(turns, ["12", "31", "23"]);
        assert_eq!(ids(&next(&mut kept, 9)), "123", "each once");
    }

    #[test]
    fn beyond_the_bound_a_key_becomes_its_entity() {
        let mut kept = Undelivered::default();
        for id in 1..=2 {
            kept.keep(&key("film", id), &Mark::finished(), at(1), 3);
        }
        kept.keep(&key("films", 1), &Mark::finished(), at(3), 3);
        assert_eq!(kept.keep(&key("film", 3), &Mark::finished(), at(4), 3), Kepts::Entity);
        let all = ["shop:film:!all", "shop:film:!rows", "shop:films:id=1"];
        assert_eq!(texts(&next(&mut kept, 9)), all);
        assert_eq!(kept.oldest(at(5)), Some(Duration::from_secs(4)));
        let again = next(&mut kept, 9);
        assert_eq!(kept.keep(&key("film", 4), &Mark::finished(), at(5), 3), Kepts::Entity);
        again.iter().for_each(|again| kept.delivered(again));
        assert_eq!(texts(&next(&mut kept, 9)), all[..2], "another row of it came while it was sent");
    }

    #[test]
    fn a_hold_that_settles_is_placed_for_what_is_left_of_it() {
        let mut kept = Undelivered::default();
        let id = Token::from_bytes([5; 16]);
        let hold = Some((id, Duration::from_secs(20)));
        kept.keep(&key("film", 7), &Mark { hold, drop_hold: Some(id), ..Mark::finished() }, at(0), 9);
        let again = next(&mut kept, 9);
        let Invalidate { holds, drop_holds, finished, .. } = &again[0].ask;
        assert_eq!((holds[0].1, &drop_holds[..], *finished), (Duration::from_secs(11), &[id][..], false));
        let again = kept.next(9, at(20), FLOOR, || Token::NONE);
        assert!(again[0].ask.holds.is_empty() && again[0].ask.finished);
    }
}
