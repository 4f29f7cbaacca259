//! What nodes do by themselves: they hear, evict, lose their connection, notice, and hear again.

use crate::explore::{Step, Steps, Who};
use crate::mechanism::Mechanism;
use crate::record::Record;
use crate::state::{Hearing, State};
use crate::writers::forget;

pub(crate) fn offer(state: &State, steps: &mut Steps<'_>) {
    for place in 0..state.nodes.len() {
        let node = &state.nodes[place];
        if node.l1.is_some() {
            steps.offer(state, Step(Who::Node(place), "evicts"), |state, _| state.nodes[place].l1 = None);
        }
        hear(state, place, steps);
        connection(state, place, steps);
    }
}

fn hear(state: &State, place: usize, steps: &mut Steps<'_>) {
    let queue = &state.nodes[place].queue;
    let most = if steps.scenario.faults.reorder { queue.len() } else { queue.len().min(1) };
    for at in 0..most {
        steps.offer(state, Step(Who::Node(place), "hears"), |state, steps| {
            let told = state.nodes[place].queue.remove(at);
            let kept = state.nodes[place].l1;
            forget(state, place, Some(told), steps);
            if !steps.scenario.has(Mechanism::HeardDropped) {
                state.nodes[place].l1 = kept;
            }
        });
    }
}

fn connection(state: &State, place: usize, steps: &mut Steps<'_>) {
    let hearing = state.nodes[place].hearing;
    let lose: fn(&mut State, usize, &Steps<'_>) = |state, place, _| state.nodes[place].queue.clear();
    let (scenario, cut) = (steps.scenario, steps.scenario.faults.cut);
    let mut to = |what, hearing, change: fn(&mut State, usize, &Steps<'_>)| {
        steps.offer(state, Step(Who::Node(place), what), |state, steps| {
            state.nodes[place].hearing = hearing;
            change(state, place, steps);
        });
    };
    match hearing {
        Hearing::Alive if cut => to("cut", Hearing::Cut, lose),
        Hearing::Cut if scenario.has(Mechanism::Deafness) => to("notices", Hearing::Deaf, |_, _, _| {}),
        Hearing::Deaf if !scenario.has(Mechanism::SubscribeFirst) => {
            to("checks", Hearing::Checked, check);
        }
        Hearing::Deaf => to("subscribes", Hearing::Subscribed, renew),
        Hearing::Checked => to("subscribes", Hearing::Alive, renew),
        Hearing::Subscribed => {
            to("checks", Hearing::Alive, check);
            if cut {
                to("cut", Hearing::Deaf, lose);
            }
        }
        _ => {}
    }
}

/// A new generation: what was reserved before is void, and nobody joins what was begun before.
fn renew(state: &mut State, place: usize, steps: &Steps<'_>) {
    if !steps.scenario.has(Mechanism::NewGeneration) {
        return;
    }
    let on_node = state.readers.iter_mut().zip(&steps.scenario.readers);
    for (reader, _) in on_node.filter(|(reader, on)| usize::from(**on) == place && reader.is_under_way()) {
        (reader.void, reader.detached) = (true, true);
    }
}

/// Keeps the entry that L2 has, too.
fn check(state: &mut State, place: usize, steps: &Steps<'_>) {
    let there = state.row.filter(|record| record.as_value().is_some());
    let kept = |Record { token, .. }: Record, entry: crate::state::L1| entry.token == token;
    if steps.scenario.has(Mechanism::EntriesChecked) {
        let entry = &mut state.nodes[place].l1;
        *entry = entry.filter(|entry| entry.brief || there.is_some_and(|there| kept(there, *entry)));
    }
}
