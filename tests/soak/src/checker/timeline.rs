//! What was written, when it was visible, and when it was acknowledged. Gathered in a first pass over all records.

use std::collections::{BTreeMap, HashMap};

use super::{Bounds, Judge, Node, State, Written};
use crate::record::{Outcome, Record, Seen, Span};

/// The writes of a run, being gathered.
#[derive(Debug)]
pub struct Timeline {
    bounds: Bounds,
    log: BTreeMap<u32, Vec<Written>>,
    writes: HashMap<u64, Write>,
    /// By when somebody had seen a version of a key.
    seen: HashMap<(u32, u64), u64>,
    invalidations: BTreeMap<u32, Vec<(Node, Span)>>,
    gone: HashMap<Node, u64>,
    restored: Vec<Span>,
    paused: Vec<(Node, Span)>,
}

/// What its caller knows of a write.
#[derive(Clone, Copy, Debug)]
struct Write {
    node: Node,
    pk: u32,
    began: u64,
    strict: bool,
    ended: Option<(u64, Outcome)>,
    /// When its own way of telling the tiers was acknowledged.
    told: Option<u64>,
}

/// Versions of one key, oldest first: never none.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) versions: Vec<Version>,
    /// Acknowledgements by any node.
    pub(super) all: Acknowledgements,
    pub(super) by_node: HashMap<Node, Acknowledgements>,
    /// When writes of the key were under way: starts, ascending, each with the latest end up to it.
    pub(super) under_way: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) op: u64,
    pub(super) state: Option<State>,
    pub(super) began: u64,
    /// When this version, or a later one, had begun first.
    pub(super) any_began: u64,
    /// By when it was visible, or a later one; [`u64::MAX`] if nobody knows.
    pub(super) visible: u64,
    /// By when this or a later version was visible of which no older one may be answered from L2 from then on.
    pub(super) strictly: u64,
}

impl Version {
    /// What is there before anything is written.
    const NOTHING: Version =
        Version { number: 0, op: 0, state: None, began: 0, any_began: 0, visible: 0, strictly: u64::MAX };
}

impl Default for Key {
    fn default() -> Self {
        Key {
            versions: vec![Version::NOTHING],
            all: Acknowledgements::default(),
            by_node: HashMap::new(),
            under_way: Vec::new(),
        }
    }
}

/// What acknowledges versions of one key.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    /// Invalidations, by their starts, each with the earliest end of it and those that began later.
    ends: Vec<(u64, u64)>,
    /// Places of versions whose own writes told of them, each with the earliest time of it and the later ones.
    told: Vec<(usize, u64)>,
}

/// Gives each the earliest time of it and those after it.
fn earliest<T>(times: &mut [(T, u64)]) {
    for at in (1..times.len()).rev() {
        times[at - 1].1 = times[at - 1].1.min(times[at].1);
    }
}

impl Acknowledgements {
    fn invalidated(&mut self, spans: impl Iterator<Item = Span>) {
        self.ends = spans.map(|span| (span.start, span.end)).collect();
        self.ends.sort_unstable();
        earliest(&mut self.ends);
    }

    /// When the version at `place`, visible at `visible`, was acknowledged; [`u64::MAX`]: never.
    pub(super) fn of(&self, visible: u64, place: usize) -> u64 {
        let first = self.ends.partition_point(|(start, _)| *start < visible);
        let invalidated = self.ends.get(first).map_or(u64::MAX, |(_, end)| *end);
        let first = self.told.partition_point(|(told, _)| *told < place);
        invalidated.min(self.told.get(first).map_or(u64::MAX, |(_, at)| *at))
    }
}

impl Timeline {
    /// Begins with what the log has.
    #[must_use]
    pub fn new(bounds: Bounds, log: impl IntoIterator<Item = Written>) -> Self {
        let mut by_key: BTreeMap<u32, Vec<Written>> = BTreeMap::new();
        for written in log {
            by_key.entry(written.pk).or_default().push(written);
        }
        Timeline {
            bounds,
            log: by_key,
            writes: HashMap::new(),
            seen: HashMap::new(),
            invalidations: BTreeMap::new(),
            gone: HashMap::new(),
            restored: Vec::new(),
            paused: Vec::new(),
        }
    }

    /// Takes one record of a node.
    pub fn note(&mut self, node: Node, record: &Record) {
        match *record {
            Record::Row { pk, when, seen: Seen::Row { version, .. }, .. } => {
                let seen = self.seen.entry((pk, version)).or_insert(when.end);
                *seen = when.end.min(*seen);
            }
            Record::Began { op, pk, at, strict } => {
                self.writes.insert(op, Write { node, pk, began: at, strict, ended: None, told: None });
            }
            Record::Ended { op, at, outcome, .. } => {
                // Whoever knew of a COMMIT first counts.
                if let Some(write) = self.writes.get_mut(&op)
                    && !matches!(write.ended, Some((_, Outcome::Committed)))
                {
                    write.ended = Some((at, outcome));
                }
            }
            Record::Told { op, at, .. } => {
                if let Some(write) = self.writes.get_mut(&op) {
                    write.told = Some(at);
                }
            }
            Record::Invalidated { pk, when } => {
                self.invalidations.entry(pk).or_default().push((node, when));
            }
            Record::Row { .. } | Record::List { .. } | Record::Slug { .. } | Record::Failed { .. } => {}
        }
    }

    /// From `at` on the node is gone, and its sessions in Postgres with it.
    pub fn gone(&mut self, node: Node, at: u64) {
        self.gone.insert(node, at);
    }

    /// In this time L2 may hold what it had before: it was set back to old data.
    pub fn restored(&mut self, when: Span) {
        self.restored.push(when);
    }

    /// In this time the node stood still.
    pub fn paused(&mut self, node: Node, when: Span) {
        self.paused.push((node, when));
    }

    /// All is known: reads may be judged.
    ///
    /// # Errors
    /// When the log and the records contradict each other: the run itself is broken.
    pub fn finish(mut self) -> Result<Judge, String> {
        let mut keys = BTreeMap::new();
        for (pk, log) in std::mem::take(&mut self.log) {
            keys.insert(pk, self.versions(pk, log)?);
        }
        for (pk, invalidations) in &self.invalidations {
            let key: &mut Key = keys.entry(*pk).or_default();
            let mut by_node: HashMap<Node, Vec<Span>> = HashMap::new();
            for (node, span) in invalidations {
                by_node.entry(*node).or_default().push(*span);
            }
            key.all.invalidated(invalidations.iter().map(|(_, span)| *span));
            for (node, spans) in by_node {
                key.by_node.entry(node).or_default().invalidated(spans.into_iter());
            }
            key.under_way.extend(invalidations.iter().map(|(_, span)| (span.start, span.end)));
        }
        let mut writes: BTreeMap<Option<Outcome>, u64> = BTreeMap::new();
        for write in self.writes.values() {
            let ended = write.ended;
            *writes.entry(ended.map(|(_, outcome)| outcome)).or_default() += 1;
            let end = ended.map_or(write.began, |(at, _)| at);
            keys.entry(write.pk).or_default().under_way.push((write.began, end));
        }
        for key in keys.values_mut() {
            key.under_way.sort_unstable();
            for at in 1..key.under_way.len() {
                key.under_way[at].1 = key.under_way[at].1.max(key.under_way[at - 1].1);
            }
        }
        Ok(Judge::new(self.bounds, keys, writes, self.restored, self.paused))
    }

    fn versions(&self, pk: u32, mut log: Vec<Written>) -> Result<Key, String> {
        log.sort_unstable_by_key(|written| written.version);
        // A row that was there before the run was never absent in it.
        let was_there = log.first().is_some_and(|first| first.op == 0);
        let mut versions = if was_there { Vec::new() } else { vec![Version::NOTHING] };
        for written in log {
            let Written { version: number, op, state, .. } = written;
            if versions.last().is_some_and(|last| last.number >= number) {
                return Err(format!("key {pk}: version {number} was written twice"));
            }
            let (began, visible, strict) = match self.writes.get(&op) {
                None if op == 0 => (0, 0, false),
                None => return Err(format!("key {pk}: nobody began the write {op} of version {number}")),
                Some(Write { ended: Some((_, Outcome::RolledBack)), .. }) => {
                    return Err(format!(
                        "key {pk}: version {number} is there, and its write {op} was rolled back"
                    ));
                }
                Some(write) => {
                    let committed =
                        write.ended.filter(|(_, outcome)| *outcome == Outcome::Committed).map(|(at, _)| at);
                    let known = [committed, self.gone.get(&write.node).copied()].into_iter().flatten().min();
                    (write.began, known.unwrap_or(u64::MAX), write.strict)
                }
            };
            let seen = self.seen.get(&(pk, number)).copied().unwrap_or(u64::MAX);
            let visible = visible.min(seen);
            let strictly = if strict { visible } else { u64::MAX };
            versions.push(Version { number, op, state, began, any_began: began, visible, strictly });
        }
        // A row's versions become visible in their order.
        for at in (1..versions.len()).rev() {
            let later = versions[at];
            let version = &mut versions[at - 1];
            version.any_began = version.any_began.min(later.any_began);
            version.visible = version.visible.min(later.visible);
            // A later version shows that a strict one is there.
            version.strictly = if version.strictly == u64::MAX { later.strictly } else { version.visible };
            version.strictly = version.strictly.min(later.strictly);
        }
        let mut key = Key { versions, ..Key::default() };
        for (place, version) in key.versions.iter().enumerate() {
            let told = self.writes.get(&version.op).and_then(|write| Some((write.node, write.told?)));
            if let Some((node, at)) = told {
                key.all.told.push((place, at));
                key.by_node.entry(node).or_default().told.push((place, at));
            }
        }
        earliest(&mut key.all.told);
        key.by_node.values_mut().for_each(|own| earliest(&mut own.told));
        Ok(key)
    }
}
