//! Histories made by hand: each anomaly planted once, beside the nearest history that is well.

use std::time::Duration;

use super::{Anomaly, Bounds, Judge, Node, State, Timeline, Written};
use crate::record::{Outcome, Record, Seen, Source, Span};

/// A millisecond.
const MS: u64 = 1_000_000;

const PK: u32 = 7;

/// L1 answers for 100 ms, anything for 1,000, and a lookup takes 500 at most.
const BOUNDS: Bounds = Bounds {
    l1: Duration::from_millis(100),
    life: Duration::from_millis(1_000),
    deadline: Duration::from_millis(500),
    strict: true,
};

fn span(start: u64, end: u64) -> Span {
    Span { start: start * MS, end: end * MS }
}

fn state(shelf: u8) -> Option<State> {
    Some(State { shelf, parity: 0 })
}

/// A history of one key, whose row is on shelf 1 before anything happens.
struct History {
    log: Vec<Written>,
    notes: Vec<(Node, Record)>,
    gone: Option<(Node, u64)>,
    restored: Option<Span>,
    paused: Option<(Node, Span)>,
}

impl History {
    fn new() -> Self {
        let log = vec![Written { pk: PK, version: 1, op: 0, state: state(1) }];
        History { log, notes: Vec::new(), gone: None, restored: None, paused: None }
    }

    /// A version by node 1, whose write is its number; in the log whatever its caller was told.
    fn write(
        mut self,
        version: u64,
        state: Option<State>,
        began: u64,
        ended: Option<(u64, Outcome)>,
    ) -> Self {
        self.log.push(Written { pk: PK, version, op: version, state });
        self.notes.push((1, Record::Began { op: version, pk: PK, at: began * MS, strict: false }));
        if let Some((at, outcome)) = ended {
            self.notes.push((1, Record::Ended { op: version, pk: PK, at: at * MS, outcome }));
        }
        self
    }

    /// All writes up to now name their keys before they commit.
    fn strictly(mut self) -> Self {
        for (_, note) in &mut self.notes {
            if let Record::Began { strict, .. } = note {
                *strict = true;
            }
        }
        self
    }

    fn invalidated(mut self, node: Node, start: u64, end: u64) -> Self {
        self.notes.push((node, Record::Invalidated { pk: PK, when: span(start, end) }));
        self
    }

    /// Version 2, on shelf 2, begun at 10, committed at 20 and acknowledged at 30.
    fn written() -> Self {
        let committed = Some((20, Outcome::Committed));
        History::new().write(2, state(2), 10, committed).invalidated(1, 20, 30)
    }

    fn judge(&self) -> Judge {
        let mut timeline = Timeline::new(BOUNDS, self.log.clone());
        for (node, record) in &self.notes {
            timeline.note(*node, record);
        }
        self.gone.iter().for_each(|(node, at)| timeline.gone(*node, *at));
        self.restored.iter().for_each(|when| timeline.restored(*when));
        self.paused.iter().for_each(|(node, when)| timeline.paused(*node, *when));
        timeline.finish().unwrap()
    }

    /// What is wrong with a read by that node.
    fn verdict(&self, node: Node, record: Record) -> Option<Anomaly> {
        // Reads are noted, too: what was seen was visible.
        let mut timeline = History {
            log: self.log.clone(),
            notes: self.notes.clone(),
            gone: self.gone,
            restored: self.restored,
            paused: self.paused,
        };
        timeline.notes.push((node, record));
        let mut judge = timeline.judge();
        judge.read(node, &record);
        let report = judge.report();
        let found: Vec<Anomaly> =
            Anomaly::ALL.into_iter().filter(|anomaly| report.count(*anomaly) > 0).collect();
        assert!(found.len() <= 1, "{found:?}");
        assert_eq!(report.anomalies(), found.len() as u64);
        found.first().copied()
    }

    fn row(&self, node: Node, source: Source, seen: Seen, start: u64, end: u64) -> Option<Anomaly> {
        self.verdict(node, Record::Row { pk: PK, when: span(start, end), source, seen })
    }
}

/// A version as its write made it.
fn version(number: u64, shelf: u8) -> Seen {
    let op = if number == 1 { 0 } else { number };
    Seen::Row { version: number, op, shelf: Some(shelf), parity: Some(0) }
}

const OLD: u64 = 1;
const NEW: u64 = 2;

fn of(number: u64) -> Seen {
    version(number, u8::try_from(number).unwrap())
}

#[test]
fn what_never_was_is_a_phantom() {
    let history = History::written();
    let row = |seen| history.row(2, Source::L2, seen, 15, 16);
    assert_eq!(row(of(NEW)), None);
    assert_eq!(row(version(3, 1)), Some(Anomaly::Phantom), "no such version");
    assert_eq!(row(version(NEW, 3)), Some(Anomaly::Phantom), "another row under its number");
    let by_another = Seen::Row { version: NEW, op: 9, shelf: None, parity: None };
    assert_eq!(row(by_another), Some(Anomaly::Phantom), "what was rolled back bore that number, too");
    assert_eq!(row(Seen::Absent), Some(Anomaly::Phantom), "it was never absent");
    let narrow = Seen::Row { version: NEW, op: NEW, shelf: None, parity: None };
    assert_eq!(row(narrow), None, "a projection tells no more");
}

#[test]
fn a_key_that_nobody_wrote_is_absent() {
    let read = |seen| {
        let when = span(1, 2);
        History::new().verdict(2, Record::Row { pk: PK + 1, when, source: Source::L1, seen })
    };
    assert_eq!(read(Seen::Absent), None);
    assert_eq!(read(of(OLD)), Some(Anomaly::Phantom));
}

#[test]
fn what_was_begun_after_the_read_is_from_the_future() {
    let history = History::written();
    assert_eq!(history.row(2, Source::Origin, of(NEW), 8, 9), Some(Anomaly::Future));
    assert_eq!(history.row(2, Source::Origin, of(NEW), 8, 10), None);
    let deleted = History::new().write(2, None, 10, None);
    assert_eq!(deleted.row(2, Source::Origin, Seen::Absent, 8, 9), Some(Anomaly::Future));
}

#[test]
fn an_acknowledged_write_makes_older_answers_anomalies_by_their_tier() {
    let history = History::written();
    let read = |node, source, start| history.row(node, source, of(OLD), start, start + 1);
    for (node, source, last_well, anomaly) in [
        // On the node that wrote, at once.
        (1, Source::L1, 30, Anomaly::Own),
        (1, Source::Followed, 30, Anomaly::Own),
        (1, Source::L2, 30, Anomaly::Own),
        // Elsewhere: L2 at once, the origin when it was visible, and L1 within its bound.
        (2, Source::L2, 30, Anomaly::Old),
        (2, Source::Origin, 20, Anomaly::Old),
        (2, Source::L1, 130, Anomaly::Late),
        (2, Source::Followed, 130, Anomaly::Late),
        (2, Source::Unknown, 130, Anomaly::Late),
    ] {
        assert_eq!(read(node, source, last_well), None, "{node} {source:?} at {last_well}");
        assert_eq!(read(node, source, last_well + 1), Some(anomaly), "{node} {source:?}");
    }
}

/// Delta counts from the first acknowledgement, however many writes there were since.
#[test]
fn a_later_write_doesnt_renew_the_old_answer() {
    let history = History::written().write(3, state(3), 90, Some((95, Outcome::Committed)));
    let history = history.invalidated(1, 95, 100);
    assert_eq!(history.row(2, Source::L1, of(OLD), 131, 132), Some(Anomaly::Late));
    assert_eq!(history.row(2, Source::L1, of(NEW), 131, 132), None);
    let mut judge = history.judge();
    judge.read(2, &Record::Row { pk: PK, when: span(120, 121), source: Source::L1, seen: of(OLD) });
    let text = judge.report().to_string();
    let line: Vec<&str> = text.lines().find(|line| line.contains("L1")).unwrap().split_whitespace().collect();
    assert_eq!(line, ["L1", "1", "1", "90.000", "2"], "worst and k");
}

/// An invalidation that began before its write was visible acknowledges nothing.
#[test]
fn an_invalidation_that_came_too_early_is_no_acknowledgement() {
    let history =
        History::new().write(2, state(2), 10, Some((20, Outcome::Committed))).invalidated(1, 19, 30);
    assert_eq!(history.row(1, Source::L2, of(OLD), 500, 501), None);
    assert_eq!(history.row(1, Source::L2, of(OLD), 1_020, 1_021), None);
    assert_eq!(history.row(1, Source::L2, of(OLD), 1_021, 1_022), Some(Anomaly::Undead), "but it has a life");
}

#[test]
fn a_strict_write_makes_l2_answers_old_once_it_is_visible() {
    let fast = History::new().write(2, state(2), 10, Some((20, Outcome::Committed)));
    assert_eq!(fast.row(2, Source::L2, of(OLD), 25, 26), None, "not acknowledged yet");
    let strict = fast.strictly();
    assert_eq!(strict.row(2, Source::L2, of(OLD), 20, 21), None);
    assert_eq!(strict.row(2, Source::L2, of(OLD), 21, 22), Some(Anomaly::Old));
    assert_eq!(strict.row(2, Source::L1, of(OLD), 21, 22), None, "L1 need not have heard");
}

/// A write that tells the tiers itself does so for itself and what was before it, and for no later one.
#[test]
fn a_write_that_tells_by_itself_acknowledges_no_later_one() {
    let committed = |at| Some((at, Outcome::Committed));
    let mut history =
        History::new().write(2, state(2), 10, committed(12)).write(3, state(3), 13, committed(14));
    history.notes.push((1, Record::Told { op: 2, pk: PK, at: 20 * MS }));
    assert_eq!(history.row(2, Source::L2, of(OLD), 20, 21), None);
    assert_eq!(history.row(2, Source::L2, of(OLD), 21, 22), Some(Anomaly::Old));
    assert_eq!(history.row(1, Source::L1, of(OLD), 21, 22), Some(Anomaly::Own));
    assert_eq!(history.row(2, Source::L1, of(OLD), 121, 122), Some(Anomaly::Late));
    assert_eq!(history.row(2, Source::L2, of(NEW), 21, 22), None, "version 3 is not acknowledged");
}

/// A write whose caller was told nothing is there from when somebody saw it, or its node's sessions were gone.
#[test]
fn an_unknown_outcome_is_known_by_what_is_seen() {
    for ended in [None, Some((20, Outcome::Unknown))] {
        let unknown = History::new().write(2, state(2), 10, ended);
        assert_eq!(unknown.row(2, Source::Origin, of(OLD), 5_000, 5_001), None);
        assert_eq!(unknown.row(2, Source::Origin, of(NEW), 5_000, 5_001), None);
        let mut seen = unknown.invalidated(3, 41, 45);
        seen.notes
            .push((2, Record::Row { pk: PK, when: span(39, 40), source: Source::Origin, seen: of(NEW) }));
        assert_eq!(seen.row(3, Source::Origin, of(OLD), 40, 41), None);
        assert_eq!(seen.row(3, Source::Origin, of(OLD), 41, 42), Some(Anomaly::Old));
        assert_eq!(seen.row(2, Source::L2, of(OLD), 46, 47), Some(Anomaly::Old), "and it was acknowledged");
        let mut gone = History::new().write(2, state(2), 10, ended);
        gone.gone = Some((1, 50 * MS));
        assert_eq!(gone.row(2, Source::L2, of(OLD), 1_050, 1_051), None);
        assert_eq!(gone.row(2, Source::L2, of(OLD), 1_051, 1_052), Some(Anomaly::Undead));
    }
}

/// Versions of a row become visible in their order: the later one tells of the earlier.
#[test]
fn a_later_version_shows_that_an_earlier_one_is_there() {
    let history =
        History::new().write(2, state(2), 10, None).write(3, state(3), 12, Some((20, Outcome::Committed)));
    let history = history.invalidated(1, 20, 30);
    assert_eq!(history.row(2, Source::L2, of(OLD), 31, 32), Some(Anomaly::Old));
    assert_eq!(history.row(2, Source::L2, of(NEW), 31, 32), Some(Anomaly::Old));
    assert_eq!(history.row(2, Source::L2, version(3, 3), 31, 32), None);
}

#[test]
fn a_write_that_was_rolled_back_and_stands_in_the_log_breaks_the_run() {
    let history = History::new().write(2, state(2), 10, Some((20, Outcome::RolledBack)));
    let mut timeline = Timeline::new(BOUNDS, history.log.clone());
    history.notes.iter().for_each(|(node, record)| timeline.note(*node, record));
    assert!(timeline.finish().unwrap_err().contains("rolled back"));
    let nobodys = Timeline::new(BOUNDS, [Written { pk: PK, version: 1, op: 5, state: None }]);
    assert!(nobodys.finish().unwrap_err().contains("nobody began"));
}

/// An absence is the newest that fits; one that was over long ago is old.
#[test]
fn an_absence_is_held_like_a_version() {
    let committed = |at| Some((at, Outcome::Committed));
    let history = History::new()
        .write(2, None, 10, committed(12))
        .invalidated(1, 12, 14)
        .write(3, state(3), 20, committed(22))
        .invalidated(1, 22, 24);
    assert_eq!(history.row(2, Source::L2, Seen::Absent, 9, 11), None);
    assert_eq!(history.row(2, Source::L2, Seen::Absent, 24, 25), None);
    assert_eq!(history.row(2, Source::L2, Seen::Absent, 25, 26), Some(Anomaly::Old));
    assert_eq!(history.row(2, Source::L2, of(OLD), 15, 16), Some(Anomaly::Old), "the row was deleted");
}

#[test]
fn membership_of_a_list_is_held_against_versions_with_that_column() {
    let history = History::written();
    let list = |shelf, is_member: bool, start| {
        let members = u128::from(is_member) << PK;
        history.verdict(2, Record::List { shelf, when: span(start, start + 1), source: Source::L2, members })
    };
    assert_eq!(list(1, true, 30), None);
    assert_eq!(list(1, true, 31), Some(Anomaly::Old), "it is on another shelf since");
    assert_eq!(list(2, false, 31), Some(Anomaly::Old), "it is missing where it is");
    assert_eq!(list(1, false, 31), None);
    assert_eq!(list(2, true, 31), None);
    assert_eq!(list(2, true, 8), Some(Anomaly::Future));
    assert_eq!(list(3, true, 31), Some(Anomaly::Phantom));
}

#[test]
fn a_slug_is_held_against_versions_that_bear_it() {
    let other = Some(State { shelf: 1, parity: 1 });
    let history = History::new().write(2, other, 10, Some((20, Outcome::Committed))).invalidated(1, 20, 30);
    let slug = |parity, found, start| {
        let when = span(start, start + 1);
        history.verdict(2, Record::Slug { pk: PK, parity, when, source: Source::L2, found })
    };
    assert_eq!(slug(0, true, 30), None);
    assert_eq!(slug(0, true, 31), Some(Anomaly::Old));
    assert_eq!(slug(1, false, 31), Some(Anomaly::Old));
    assert_eq!(slug(1, true, 31), None);
    assert_eq!(slug(u8::MAX, true, 31), Some(Anomaly::Phantom), "another row's key");
}

#[test]
fn after_old_data_came_back_only_lives_count() {
    let mut history = History::written();
    history.restored = Some(span(100, 600));
    assert_eq!(history.row(2, Source::L2, of(OLD), 500, 501), None);
    assert_eq!(history.row(2, Source::L2, of(OLD), 601, 602), Some(Anomaly::Old));
    history.restored = Some(span(100, 6_000));
    assert_eq!(history.row(2, Source::L2, of(OLD), 1_021, 1_022), Some(Anomaly::Undead));
}

#[test]
fn a_read_is_slow_unless_its_node_stood_still() {
    let mut history = History::new();
    assert_eq!(history.row(2, Source::L2, of(OLD), 10, 510), None);
    assert_eq!(history.row(2, Source::L2, of(OLD), 10, 511), Some(Anomaly::Slow));
    let failed = Record::Failed { when: span(10, 511) };
    assert_eq!(history.verdict(2, failed), Some(Anomaly::Slow));
    history.paused = Some((2, span(400, 450)));
    assert_eq!(history.row(2, Source::L2, of(OLD), 10, 511), None);
    assert_eq!(history.row(3, Source::L2, of(OLD), 10, 511), Some(Anomaly::Slow), "another node");
}

/// A run in which nothing overlaps proves nothing.
#[test]
fn a_run_is_tame_if_hardly_a_read_overlaps_a_write() {
    let history = History::written();
    let read = |at| Record::Row { pk: PK, when: span(at, at), source: Source::L1, seen: of(OLD) };
    for (overlapping, is_tame) in [(0, true), (1, true), (2, false)] {
        let mut judge = history.judge();
        for _ in 0..overlapping {
            judge.read(2, &read(25));
        }
        for _ in overlapping..100 {
            judge.read(2, &read(5));
        }
        let report = judge.report();
        assert_eq!((report.overlapping, report.is_tame()), (overlapping, is_tame));
    }
    assert!(history.judge().report().is_tame(), "nor does one without reads");
}
