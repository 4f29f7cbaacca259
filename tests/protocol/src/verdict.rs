//! What a state shows.

use tierstack_core::Filled;

use crate::anomaly::{Anomalies, Anomaly};
use crate::l2::{Answer, Call, Leased};
use crate::mechanism::Mechanism;
use crate::memo::Memo;
use crate::record::{Body, Record, Value, Writes};
use crate::scenario::{Reader as Kind, Scenario, Writer};
use crate::state::{Hearing, Reader, ReaderAt, State, Tx, WriterAt, stands};
use crate::token::Tok;

/// What a lookup that begins and reads in this state would be shown.
pub(crate) fn of(state: &State, scenario: &Scenario, memo: &Memo) -> Anomalies {
    let mut shown = Anomalies::default();
    let (visible, acknowledged) = (state.visible(), state.acknowledged());
    let settled = is_settled(state, scenario);
    if let Some(Value { rows, .. }) = state.hit(scenario) {
        shown.add(Anomaly::Visible, !rows.has_all(visible));
        shown.add(Anomaly::Acknowledged, !rows.has_all(acknowledged));
        shown.add(Anomaly::Dirty, !visible.has_all(rows));
        shown.add(Anomaly::ForGood, settled && !rows.has_all(visible));
    }
    for reader in &state.readers {
        if let Some(rows) = read_in_two_steps(reader, state, scenario) {
            let (visible, acknowledged) = reader.began;
            shown.add(Anomaly::Visible, !rows.has_all(visible));
            shown.add(Anomaly::Acknowledged, !rows.has_all(acknowledged));
        }
    }
    if scenario.reader == Kind::Ours {
        shown.add(Anomaly::TwoFills, bearers(state) > 1);
        shown.add(
            Anomaly::Unfillable,
            is_held_by_nobody(state)
                || waits_for_itself(state, memo)
                || (settled && !can_be_filled(state, memo)),
        );
    }
    for node in 0..state.nodes.len() {
        judge_node(state, scenario, node, &mut shown);
    }
    shown
}

/// What a reader that has one half would be answered if it read the other now.
fn read_in_two_steps(reader: &Reader, state: &State, scenario: &Scenario) -> Option<Writes> {
    let (list, token, marks) = match reader.at {
        ReaderAt::ReadList => {
            let there = state.dependency?;
            (reader.loaded, there.token, *there.as_floor()?)
        }
        ReaderAt::ReadGround => (*state.row?.as_value()?, reader.loaded.rests_on, reader.ground),
        _ => return None,
    };
    stands(&list, token, &marks, scenario).then_some(list.rows)
}

/// Nothing is under way; where a crash is among the faults, readers may be dead.
fn is_settled(state: &State, scenario: &Scenario) -> bool {
    let over = [WriterAt::Start, WriterAt::Acknowledged, WriterAt::Quit, WriterAt::Crashed];
    state.under_way().is_empty()
        && state.writers.iter().all(|writer| over.contains(&writer.at))
        && (scenario.faults.crash || state.readers.iter().all(|reader| !reader.is_under_way()))
        && (!scenario.feed || state.fed.has_all(state.visible()))
}

/// How many would fill under the right that the record bears.
fn bearers(state: &State) -> usize {
    let Some(Record { right, .. }) = state.row.filter(|record| !record.right.is_none()) else { return 0 };
    let readers = state.readers.iter().filter(|reader| {
        let waits = matches!(reader.at, ReaderAt::Unanswered | ReaderAt::Leased | ReaderAt::Loaded);
        waits && reader.right == right
    });
    let writers = state.writers.iter().filter(|writer| writer.claim == right || writer.hold == right);
    readers.count() + writers.count()
}

/// A right that nobody will use keeps others waiting. That of the dead does, too, and one that came back by a failover: until
/// it ends.
fn is_held_by_nobody(state: &State) -> bool {
    let excused = state.failed_over || state.writers.iter().any(|writer| writer.at == WriterAt::Crashed);
    !excused && state.row.is_some_and(|record| record.right_stands) && bearers(state) == 0
}

/// A reader that asks again, as it had no answer, is to be told that it has the right.
fn waits_for_itself(state: &State, memo: &Memo) -> bool {
    let again = |reader: &&Reader| {
        let has = state.row.is_some_and(|record| record.right == reader.right && record.right_stands);
        reader.at == ReaderAt::Unanswered && has
    };
    state.readers.iter().filter(again).any(|reader| {
        let ask = Call::Lease { right: reader.right, observed: reader.observed };
        memo.call(&mut state.row.clone(), ask) == Answer::Leased(Leased::Wait)
    })
}

/// Whether a lookup that comes when all rights and holds have ended may load and fill.
fn can_be_filled(state: &State, memo: &Memo) -> bool {
    let mut row = state.row;
    if let Some(record) = &mut row {
        record.right_stands = false;
        if let Body::Floor(floor) = &mut record.body {
            floor.holds.iter_mut().for_each(|hold| hold.stands = false);
        }
    }
    let observed = row.filter(|record| record.as_value().is_some()).map_or(Tok::NONE, |record| record.token);
    let (right, token) = (Tok(61), Tok(62));
    let value = Value { rows: Writes::NONE, stamp: Some(Writes(0xff)), rests_on: Tok::NONE };
    memo.call(&mut row, Call::Lease { right, observed }) == Answer::Leased(Leased::Right)
        && memo.call(&mut row, Call::Fill { right, brings: Some((token, value)) })
            == Answer::Filled(Filled::Ok)
}

/// The writes of which every node was told: when they were acknowledged; by the feed, later; before they were sent, where
/// the writer died since, unless that mark was evicted.
fn told(state: &State, scenario: &Scenario) -> Writes {
    let each = scenario.writers.iter().zip(&state.writers).enumerate();
    let told = each.filter(|(place, ((kind, _), writer))| match kind {
        Writer::Feed => state.fed.has_all(Writes::one(*place)),
        Writer::Strict { .. } | Writer::Hold { .. } if writer.at == WriterAt::Crashed => {
            writer.tx == Tx::Visible && !scenario.faults.evict && scenario.has(Mechanism::FloorFirst)
        }
        _ => writer.at == WriterAt::Acknowledged,
    });
    told.fold(Writes::NONE, |all, (place, _)| all.with(Writes::one(place)))
}

/// What L1 of a node answers, and what its flights would.
fn judge_node(state: &State, scenario: &Scenario, place: usize, shown: &mut Anomalies) {
    let node = &state.nodes[place];
    let acknowledged = told(state, scenario);
    let here = scenario.writers.iter().enumerate();
    let here = here.filter(|(_, (kind, on))| usize::from(*on) == place && *kind != Writer::Feed);
    let own = here.fold(Writes::NONE, |all, (writer, _)| all.with(Writes::one(writer)));
    let own = state.acknowledged().without(state.acknowledged().without(own));
    // Within Δ of a cut it is not noticed yet, and so long may entries be old.
    let unnoticed = node.hearing == Hearing::Cut && scenario.has(Mechanism::Deafness);
    let delivered = !unnoticed && node.queue.is_empty();
    if let Some(entry) = node.l1 {
        let answers = entry.brief || matches!(node.hearing, Hearing::Alive | Hearing::Cut);
        let old = !entry.rows.has_all(acknowledged);
        shown.add(Anomaly::Own, answers && !entry.rows.has_all(own));
        shown.add(Anomaly::Delivered, answers && if entry.brief { entry.old } else { delivered && old });
    }
    let crashed = acknowledged.without(state.acknowledged());
    for (reader, _) in
        state.readers.iter().zip(&scenario.readers).filter(|(_, on)| usize::from(**on) == place)
    {
        let has = matches!(reader.at, ReaderAt::Loaded | ReaderAt::Got | ReaderAt::GotBrief);
        if has && !reader.detached {
            let alive = delivered && node.hearing == Hearing::Alive;
            let told = if alive { acknowledged.without(crashed) } else { own };
            let old = !reader.loaded.rows.has_all(told);
            shown.add(Anomaly::Joined, old);
        }
    }
}
