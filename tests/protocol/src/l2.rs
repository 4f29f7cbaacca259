//! Calls to L2, as the actors of the model make them.

use tierstack_core::{Filled, Invalidated};

use crate::explore::Steps;
use crate::mechanism::Mechanism;
use crate::record::{Body, Cell, Each, Floor, Held, Record, Value, Writes};
use crate::state::{Hearing, State};
use crate::token::{Renaming, Tok};

/// A call about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Lease { right: Tok, observed: Tok },
    Fill { right: Tok, brings: Option<(Tok, Value)> },
    Invalidate(Invalidation),
}

/// An invalidation; what is not said is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Invalidation {
    pub(crate) xids: Writes,
    pub(crate) hold: Tok,
    pub(crate) drops: Each<Tok>,
    pub(crate) token: Tok,
    pub(crate) claim: Tok,
    pub(crate) spares: Tok,
    pub(crate) finished: bool,
}

/// What a lease is answered; of a wait, the model knows no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leased {
    Record,
    Right,
    Wait,
    Bypass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Leased(Leased),
    Filled(Filled),
    Invalidated(Invalidated),
}

impl Call {
    pub(crate) fn tokens(&mut self, each: &mut impl FnMut(&mut Tok)) {
        match self {
            Call::Lease { right, observed } => {
                each(right);
                each(observed);
            }
            Call::Fill { right, brings } => {
                each(right);
                if let Some((token, value)) = brings {
                    each(token);
                    each(&mut value.rests_on);
                }
            }
            Call::Invalidate(ask) => {
                each(&mut ask.hold);
                ask.drops.iter_mut().for_each(&mut *each);
                each(&mut ask.token);
                each(&mut ask.claim);
                each(&mut ask.spares);
            }
        }
    }

    pub(crate) fn rename(&mut self, renaming: &mut Renaming) {
        self.tokens(&mut |token| renaming.rename(token));
    }
}

/// Which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Row,
    Dependency,
}

impl Steps<'_> {
    fn has(&self, mechanism: Mechanism) -> bool {
        self.scenario.has(mechanism)
    }

    /// Changes what is at a key, and notes what was there while a failover may come.
    pub(crate) fn set(&self, state: &mut State, key: Key, after: Cell) {
        let most = usize::from(self.scenario.faults.failover);
        let cell = match key {
            Key::Row => &mut state.row,
            Key::Dependency => &mut state.dependency,
        };
        if *cell == after {
            return;
        }
        let before = std::mem::replace(cell, after);
        if key == Key::Row && most > 0 && !state.failed_over {
            state.before.push(before);
            if state.before.len() > most {
                state.before.remove(0);
            }
        }
    }

    fn get(state: &State, key: Key) -> Cell {
        match key {
            Key::Row => state.row,
            Key::Dependency => state.dependency,
        }
    }

    /// Asks for a right.
    pub(crate) fn lease(&self, state: &mut State, key: Key, right: Tok, observed: Tok) -> Leased {
        let mut cell = Self::get(state, key);
        let answer = self.memo.call(&mut cell, Call::Lease { right, observed });
        self.set(state, key, cell);
        match answer {
            Answer::Leased(leased) => leased,
            other => unreachable!("a lease was answered {other:?}"),
        }
    }

    /// Fills the row, or gives the right up.
    pub(crate) fn fill(&self, state: &mut State, right: Tok, brings: Option<(Tok, Value)>) -> Filled {
        let there = state.row;
        if brings.is_none() && !self.has(Mechanism::RightReleased) {
            return Filled::Released;
        }
        let mut cell = there;
        // A mechanism that is taken out: its marks are hidden from the script.
        if let Some(Record { body: Body::Floor(floor), .. }) = &mut cell {
            if !self.has(Mechanism::MarksSeen) {
                floor.xids = Writes::NONE;
            }
            if !self.has(Mechanism::ClaimAlone) {
                let others = floor.holds.iter_mut().filter(|hold| hold.id != right && !hold.stands);
                others.for_each(|hold| *hold = Held::default());
            }
        }
        let mut answer = self.memo.call(&mut cell, Call::Fill { right, brings });
        if answer != Answer::Filled(Filled::Ok) {
            cell = there;
            answer = self.memo.call(&mut cell, Call::Fill { right, brings });
        }
        let Answer::Filled(filled) = answer else { unreachable!("a fill was answered {answer:?}") };
        if filled == Filled::Unseen && !self.has(Mechanism::RightReleased) {
            cell = there;
        }
        if let (Filled::Ok, false, Some(record)) = (filled, self.has(Mechanism::FillEndsRight), &mut cell) {
            (record.right, record.right_stands) = (right, true);
        }
        self.set(state, Key::Row, cell);
        filled
    }

    /// Invalidates, and tells all nodes. The one that does it does more by itself, so that it need not hear, unless the
    /// writer dies before.
    pub(crate) fn invalidate(&self, state: &mut State, ask: Invalidation, node: Option<usize>) {
        let key = if self.scenario.list { Key::Dependency } else { Key::Row };
        let mut cell = Self::get(state, key);
        if let (false, Some(Record { body: Body::Floor(floor), .. })) =
            (self.has(Mechanism::MarksUnited), &mut cell)
        {
            *floor = Floor::default();
        }
        let answer = self.memo.call(&mut cell, Call::Invalidate(ask));
        self.set(state, key, cell);
        if answer == Answer::Invalidated(Invalidated::Unchanged) && !self.has(Mechanism::ToldAlways) {
            return;
        }
        let told = cell.map_or(Tok::NONE, |record| record.token);
        for (place, node_there) in state.nodes.iter_mut().enumerate() {
            let hears = Some(place) != node || self.scenario.faults.crash;
            if hears && matches!(node_there.hearing, Hearing::Alive | Hearing::Subscribed) {
                node_there.queue.push(told);
            }
        }
    }

    /// Takes away what is at the row's key, as protocols that don't work do.
    pub(crate) fn delete(&self, state: &mut State) {
        self.set(state, Key::Row, None);
    }
}
