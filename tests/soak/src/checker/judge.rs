//! Judges one read at a time, in a second pass over the records.

use std::collections::BTreeMap;

use super::timeline::{Key, Version};
use super::{Anomaly, Bounds, Node, Report, State};
use crate::entity::KEYS;
use crate::record::{Outcome, Record, Seen, Source, Span};

/// Knows all writes of a run.
#[derive(Debug)]
pub struct Judge {
    bounds: Bounds,
    keys: BTreeMap<u32, Key>,
    restored: Vec<Span>,
    paused: Vec<(Node, Span)>,
    report: Report,
}

/// A read of one key, whatever way it was read.
#[derive(Clone, Copy)]
struct Look {
    node: Node,
    pk: u32,
    when: Span,
    source: Source,
}

/// How old an answer was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Staleness {
    /// Nanoseconds from the acknowledgement that made it old to the start of the read.
    pub(super) delta: u64,
    /// How many acknowledged versions it was behind.
    pub(super) behind: u64,
}

impl Judge {
    pub(super) fn new(
        bounds: Bounds,
        keys: BTreeMap<u32, Key>,
        writes: BTreeMap<Option<Outcome>, u64>,
        restored: Vec<Span>,
        paused: Vec<(Node, Span)>,
    ) -> Self {
        Judge { bounds, keys, restored, paused, report: Report::new(writes) }
    }

    /// Judges a record of a node, if it is one of a read.
    pub fn read(&mut self, node: Node, record: &Record) {
        match *record {
            Record::Row { pk, when, source, seen } => {
                let look = Look { node, pk, when, source };
                match seen {
                    Seen::Absent => self.look(look, |key| key.newest(when.end, |v| v.state.is_none())),
                    Seen::Row { version, op, shelf, parity } => {
                        let fits = |v: &Version| {
                            let like = |state: State| {
                                shelf.is_none_or(|shelf| shelf == state.shelf)
                                    && parity.is_none_or(|parity| parity == state.parity)
                            };
                            v.op == op && v.state.is_some_and(like)
                        };
                        self.look(look, |key| key.exactly(version, when.end, fits));
                    }
                }
                self.report.one_read(source, self.overlaps(pk, when));
                self.in_time(node, when, record);
            }
            Record::List { shelf, when, source, members } => {
                for pk in 0..KEYS {
                    let is_member = members >> pk & 1 == 1;
                    // What nobody wrote is on no shelf.
                    if !is_member && !self.keys.contains_key(&pk) {
                        continue;
                    }
                    let fits = |v: &Version| v.state.is_some_and(|state| state.shelf == shelf) == is_member;
                    self.look(Look { node, pk, when, source }, |key| key.newest(when.end, fits));
                }
                self.report.lists += 1;
                self.in_time(node, when, record);
            }
            Record::Slug { pk, parity, when, source, found } => {
                let fits = |v: &Version| v.state.is_some_and(|state| state.parity == parity) == found;
                self.look(Look { node, pk, when, source }, |key| key.newest(when.end, fits));
                self.report.slugs += 1;
                self.in_time(node, when, record);
            }
            Record::Failed { when } => {
                self.report.failed += 1;
                self.in_time(node, when, record);
            }
            Record::Began { .. }
            | Record::Ended { .. }
            | Record::Invalidated { .. }
            | Record::Told { .. } => {}
        }
    }

    /// What was found.
    #[must_use]
    pub fn report(self) -> Report {
        self.report
    }

    fn look(&mut self, look: Look, find: impl FnOnce(&Key) -> Result<usize, Anomaly>) {
        let nothing = Key::default();
        let key = self.keys.get(&look.pk).unwrap_or(&nothing);
        let found = find(key);
        // The figure is wanted most where something is wrong.
        if let Ok(place) = found {
            self.report.staleness(look.source, key.staleness(place, look.when.start));
        }
        if let Some(anomaly) = found.map_or_else(Some, |place| self.hold(key, place, look)) {
            let Look { node, pk, when, source } = look;
            let text = || format!("node {node}, key {pk}, by {source:?}, {when:?}: {}", key.around(when));
            self.report.anomaly(anomaly, text);
        }
    }

    /// Holds a read that saw the version at `place` against the bounds.
    fn hold(&self, key: &Key, place: usize, look: Look) -> Option<Anomaly> {
        let next = key.versions.get(place + 1)?;
        let start = look.when.start;
        let longer_ago = |at: u64, than: std::time::Duration| {
            let than = u64::try_from(than.as_nanos()).unwrap_or(u64::MAX);
            start > at.saturating_add(than)
        };
        if longer_ago(next.visible, self.bounds.life) {
            return Some(Anomaly::Undead);
        }
        if self.restored.iter().any(|span| span.start <= look.when.end && start <= span.end) {
            return None;
        }
        let acknowledged = key.all.of(next.visible, place + 1);
        let own = key.by_node.get(&look.node).map_or(u64::MAX, |own| own.of(next.visible, place + 1));
        if start > own {
            return Some(Anomaly::Own);
        }
        let strictly = if self.bounds.strict { next.strictly } else { u64::MAX };
        match look.source {
            Source::L2 if start > acknowledged.min(strictly) => Some(Anomaly::Old),
            Source::Origin if start > next.visible => Some(Anomaly::Old),
            _ if longer_ago(acknowledged, self.bounds.l1) => Some(Anomaly::Late),
            _ => None,
        }
    }

    fn overlaps(&self, pk: u32, when: Span) -> bool {
        let Some(key) = self.keys.get(&pk) else { return false };
        let begun = key.under_way.partition_point(|(start, _)| *start <= when.end);
        begun > 0 && key.under_way[begun - 1].1 >= when.start
    }

    fn in_time(&mut self, node: Node, when: Span, record: &Record) {
        let took = when.end.saturating_sub(when.start);
        let stood = |span: &Span| span.start <= when.end && when.start <= span.end;
        let paused = self.paused.iter().any(|(who, span)| *who == node && stood(span));
        if u128::from(took) > self.bounds.deadline.as_nanos() && !paused {
            self.report
                .anomaly(Anomaly::Slow, || format!("node {node}: {} ms, {record:?}", took / 1_000_000));
        }
    }
}

impl Key {
    /// The place of that version, if it was as it was seen, and had begun before `end`.
    fn exactly(&self, number: u64, end: u64, fits: impl Fn(&Version) -> bool) -> Result<usize, Anomaly> {
        let place = self.versions.binary_search_by_key(&number, |version| version.number);
        let place = place.map_err(|_| Anomaly::Phantom)?;
        match &self.versions[place] {
            version if !fits(version) => Err(Anomaly::Phantom),
            version if version.began > end => Err(Anomaly::Future),
            _ => Ok(place),
        }
    }

    /// The place of the newest version that fits and had begun before `end`.
    fn newest(&self, end: u64, fits: impl Fn(&Version) -> bool) -> Result<usize, Anomaly> {
        let begun = self.versions.partition_point(|version| version.any_began <= end);
        let newest = self.versions[..begun].iter().rposition(|version| fits(version) && version.began <= end);
        newest.ok_or_else(|| {
            if self.versions[begun..].iter().any(fits) { Anomaly::Future } else { Anomaly::Phantom }
        })
    }

    fn staleness(&self, place: usize, start: u64) -> Staleness {
        let Some(next) = self.versions.get(place + 1) else { return Staleness::default() };
        let delta = start.saturating_sub(self.all.of(next.visible, place + 1));
        if delta == 0 {
            return Staleness::default();
        }
        // Versions are acknowledged in their order.
        let later = self.versions.iter().enumerate().skip(place + 1);
        let behind =
            later.take_while(|(place, version)| self.all.of(version.visible, *place) <= start).count();
        Staleness { delta, behind: behind as u64 }
    }

    /// The versions about that time, for a person who looks into an anomaly.
    fn around(&self, when: Span) -> String {
        let to = self.versions.partition_point(|version| version.any_began <= when.end);
        let places = to.saturating_sub(4)..(to + 1).min(self.versions.len());
        let lines = places.map(|place| {
            let v = &self.versions[place];
            let Version { number, op, state, began, visible, .. } = v;
            let after = |at: u64| at as f64 / 1e6 - when.start as f64 / 1e6;
            let acknowledged = self.all.of(*visible, place);
            format!(
                "version {number} (write {op}, {state:?}) began {:+.3} ms, visible {:+.3} ms, acknowledged {:+.3} ms",
                after(*began),
                after(*visible),
                after(acknowledged)
            )
        });
        lines.collect::<Vec<_>>().join("; ")
    }
}
