//! What happens by itself: the origin's side of writes, ends of lives, evictions, a failover, the feed.

use crate::explore::{Step, Steps, Who};
use crate::l2::{Invalidation, Key};
use crate::mechanism::Mechanism;
use crate::record::{Body, Cell, Floor, Writes};
use crate::scenario::Writer as Kind;
use crate::state::{State, Tx, WriterAt};
use crate::token::Tok;

pub(crate) fn offer(state: &State, steps: &mut Steps<'_>) {
    for place in 0..state.writers.len() {
        origin(state, place, steps);
    }
    ends(state, Key::Row, state.row, steps);
    ends(state, Key::Dependency, state.dependency, steps);
    failover(state, steps);
    follow(state, steps);
    if steps.scenario.feed {
        feed(state, steps);
    }
}

/// The origin's part in a write.
fn origin(state: &State, place: usize, steps: &mut Steps<'_>) {
    let writer = state.writers[place];
    let step = |what| Step(Who::Origin(place), what);
    let is_generic = matches!(steps.scenario.writers[place].0, Kind::Hold { .. });
    match writer.tx {
        Tx::Durable => steps.offer(state, step("visible"), |state, _| state.writers[place].tx = Tx::Visible),
        Tx::Running if is_generic => {
            steps.offer(state, step("applied"), |state, steps| {
                state.writers[place].tx = Tx::Visible;
                if steps.scenario.writers[place].0.puts() && state.writers[place].at == WriterAt::Sent {
                    // The origin answers with the row as it is then.
                    state.writers[place].puts.rows = state.visible();
                }
            });
            steps.offer(state, step("refused"), |state, _| state.writers[place].tx = Tx::Aborted);
        }
        Tx::Running if writer.at == WriterAt::Crashed => {
            steps.offer(state, step("rolled back"), |state, _| state.writers[place].tx = Tx::Aborted);
        }
        _ => {}
    }
}

/// Ends of lives, and eviction, at one key.
fn ends(state: &State, key: Key, cell: Cell, steps: &mut Steps<'_>) {
    let Some(record) = cell else { return };
    let who = if key == Key::Row { Who::L2 } else { Who::Dependency };
    let may_end = record.as_floor().is_none_or(|floor| may_end(state, floor, steps));
    if may_end || steps.scenario.faults.evict {
        let what = if may_end { "ends" } else { "evicted" };
        steps.offer(state, Step(who, what), |state, steps| steps.set(state, key, None));
    }
    // The right on a dependency record matters to no one.
    if record.right_stands && key == Key::Row {
        steps.offer(state, Step(who, "right ends"), |state, steps| {
            let ended = crate::record::Record { right_stands: false, ..record };
            steps.set(state, key, Some(ended));
        });
    }
    let Body::Floor(floor) = record.body else { return };
    for (place, hold) in floor.holds.iter().enumerate() {
        if hold.stands && hold_may_end(state, hold.id, steps) {
            steps.offer(state, Step(who, "hold ends"), |state, steps| {
                let mut ended = floor;
                ended.holds[place].stands = false;
                let record = crate::record::Record { body: Body::Floor(ended), ..record };
                steps.set(state, key, Some(record));
            });
        }
    }
}

/// A floor is renewed until the COMMIT was answered, a COMMIT under way becomes visible within the life of the last renewal,
/// and a floor lives as long as its holds.
fn may_end(state: &State, floor: &Floor, steps: &Steps<'_>) -> bool {
    let renewed = steps.scenario.has(Mechanism::FloorRenewed);
    (!renewed || state.ended().has_all(floor.xids)) && !floor.is_held()
}

/// A write is sent only while its hold lasts longer than the write may take.
fn hold_may_end(state: &State, id: Tok, steps: &Steps<'_>) -> bool {
    let outlives = steps.scenario.has(Mechanism::HoldOutlivesWrite);
    let needed = |writer: &&crate::state::Writer| {
        writer.hold == id && (writer.tx == Tx::Running || writer.at == WriterAt::Floored)
    };
    !outlives || !state.writers.iter().any(|writer| needed(&writer))
}

/// Once, the row's key becomes what it was before its last changes.
fn failover(state: &State, steps: &mut Steps<'_>) {
    if state.failed_over {
        return;
    }
    for lost in 1..=state.before.len() {
        let what = ["failover loses 1", "failover loses 2", "failover loses 3"][lost - 1];
        steps.offer(state, Step(Who::L2, what), |state, _| {
            state.row = state.before[state.before.len() - lost];
            state.before.clear();
            state.failed_over = true;
            state.fed = Writes::NONE;
        });
    }
}

/// The standby follows.
fn follow(state: &State, steps: &mut Steps<'_>) {
    if !steps.scenario.standby {
        return;
    }
    for place in 0..state.writers.len() {
        let own = Writes::one(place);
        if state.visible().has_all(own) && !state.replayed.has_all(own) {
            steps.offer(state, Step(Who::Origin(place), "replayed"), |state, _| {
                state.replayed = state.replayed.with(own);
            });
        }
    }
}

/// The feed tells of what is visible; after a failover, of all again.
fn feed(state: &State, steps: &mut Steps<'_>) {
    for place in 0..state.writers.len() {
        let own = Writes::one(place);
        if state.visible().has_all(own) && !state.fed.has_all(own) {
            steps.offer(state, Step(Who::Feed, "tells"), |state, steps| {
                state.fed = state.fed.with(own);
                let token = state.draw();
                let ask = Invalidation { xids: own, token, finished: true, ..Invalidation::default() };
                steps.invalidate(state, ask, None);
            });
        }
    }
}
