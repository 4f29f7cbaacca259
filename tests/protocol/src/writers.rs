//! What writers do, step by step.

use crate::explore::{Step, Steps, Who};
use crate::l2::Invalidation;
use crate::mechanism::Mechanism;
use crate::record::{Each, Value, Writes};
use crate::scenario::Writer as Kind;
use crate::state::{State, Tx, Writer, WriterAt as At};
use crate::token::Tok;

pub(crate) fn offer(state: &State, steps: &mut Steps<'_>) {
    for place in 0..state.writers.len() {
        let (kind, node) = steps.scenario.writers[place];
        let one = One { state, place, node: usize::from(node) };
        one.crash(steps);
        one.put_late(steps);
        match kind {
            Kind::Strict { put } if steps.scenario.has(Mechanism::FloorFirst) => one.strict(put, steps),
            Kind::Strict { .. } => one.after(Some(false), steps),
            Kind::Fast { put } => one.after(Some(put), steps),
            Kind::Manual => one.after(None, steps),
            Kind::Feed => one.silent(steps),
            Kind::Bystander => one.invalidates(steps),
            Kind::Hold { put } => one.hold(put, steps),
            Kind::DeleteAfter => one.deletes(false, true, steps),
            Kind::DeleteInside => one.deletes(true, false, steps),
            Kind::DeleteTwice => one.deletes(true, true, steps),
        }
    }
}

/// One writer in one state.
#[derive(Clone, Copy)]
struct One<'a> {
    state: &'a State,
    place: usize,
    node: usize,
}

impl One<'_> {
    fn me(&self) -> &Writer {
        &self.state.writers[self.place]
    }

    fn own(&self) -> Writes {
        Writes::one(self.place)
    }

    /// Offers a step to `at`.
    fn go(
        &self,
        steps: &mut Steps<'_>,
        what: &'static str,
        at: At,
        change: impl FnOnce(&mut State, &Steps<'_>),
    ) {
        steps.offer(self.state, Step(Who::Writer(self.place), what), |state, steps| {
            state.writers[self.place].at = at;
            change(state, steps);
            let me = &mut state.writers[self.place];
            let over = matches!(me.at, At::Acknowledged | At::Quit | At::Crashed);
            if over && !me.late {
                (me.claim, me.puts) = (Tok::NONE, Value::default());
            }
            if over {
                me.spares = Tok::NONE;
            }
            if me.at == At::Acknowledged && !me.late {
                me.hold = Tok::NONE;
            }
        });
    }

    fn set_tx(&self, state: &mut State, tx: Tx) {
        state.writers[self.place].tx = tx;
    }

    fn crash(&self, steps: &mut Steps<'_>) {
        let over = matches!(self.me().at, At::Start | At::Acknowledged | At::Quit | At::Crashed);
        if steps.scenario.faults.crash && !over {
            self.go(steps, "crashes", At::Crashed, |_, _| {});
        }
    }

    /// The update, which waits for the row's lock.
    fn update(&self, steps: &mut Steps<'_>) {
        if !steps.scenario.one_row || self.state.under_way().is_empty() {
            self.go(steps, "update", At::Updated, |state, _| self.set_tx(state, Tx::Running));
        }
    }

    fn commit(&self, steps: &mut Steps<'_>) {
        self.go(steps, "commit", At::Sent, |state, _| self.set_tx(state, Tx::Durable));
    }

    fn answered(&self, at: At, steps: &mut Steps<'_>) {
        if self.me().tx == Tx::Visible {
            self.go(steps, "answered", at, |_, _| {});
        }
        if steps.scenario.faults.lost {
            self.go(steps, "answer lost", At::Unknown, |_, _| {});
        }
    }

    /// What this transaction may put: its snapshot counts its own write as seen, and it has the row's lock.
    fn note_put(&self, state: &mut State) {
        let rows = state.visible().with(self.own());
        let stamp = Some(state.ended().with(self.own()));
        state.writers[self.place].puts = Value { rows, stamp, rests_on: Tok::NONE };
    }

    /// The token of what is there then; none if it was refused.
    fn put(&self, right: Tok, steps: &Steps<'_>, state: &mut State) -> Tok {
        let (token, puts) = (state.draw(), self.me().puts);
        let filled = steps.fill(state, right, Some((token, puts)));
        if filled == tierstack_core::Filled::Ok { token } else { Tok::NONE }
    }

    /// A put that is sent, given up, and arrives when it does: after all that comes after it, too.
    fn put_late(&self, steps: &mut Steps<'_>) {
        let me = *self.me();
        if me.at == At::Putting && steps.scenario.faults.lost {
            self.go(steps, "put, unanswered", At::Answered, |state, _| state.writers[self.place].late = true);
        }
        if me.late {
            self.go(steps, "put arrives", me.at, |state, steps| {
                state.writers[self.place].late = false;
                self.put(if me.hold.is_none() { me.claim } else { me.hold }, steps, state);
            });
        }
    }

    /// Tells L2, then this node, then whoever writes; where there are no nodes, the two are one step.
    fn tell(&self, what: &'static str, ask: Invalidation, put: bool, steps: &mut Steps<'_>) {
        let scenario = steps.scenario;
        let to = |state: &mut State, steps: &Steps<'_>| {
            let ask = Invalidation { token: state.draw(), finished: true, ..ask };
            steps.invalidate(state, ask, Some(self.node));
        };
        if scenario.l1 && !scenario.has(Mechanism::L2First) {
            if self.me().at == At::NodeTold {
                self.go(steps, what, At::Acknowledged, to);
            } else {
                self.go(steps, "node forgets", At::NodeTold, |state, steps| {
                    forget(state, self.node, None, steps)
                });
            }
        } else {
            let at = match (put, scenario.l1) {
                (true, _) => At::Putting,
                (false, true) => At::Told,
                (false, false) => At::Acknowledged,
            };
            self.go(steps, what, at, to);
        }
    }

    /// This node forgets, and the write is acknowledged.
    fn told(&self, steps: &mut Steps<'_>) {
        let spares = Some(self.me().spares).filter(|token| !token.is_none());
        self.go(steps, "node forgets, acknowledged", At::Acknowledged, |state, steps| {
            forget(state, self.node, spares, steps);
        });
    }

    fn strict(&self, put: bool, steps: &mut Steps<'_>) {
        let ours = Invalidation { xids: self.own(), ..Invalidation::default() };
        let over = if put { At::Putting } else { At::Answered };
        match self.me().at {
            At::Start => self.update(steps),
            At::Updated => {
                self.go(steps, "abort", At::Quit, |state, _| self.set_tx(state, Tx::Aborted));
                self.go(steps, "floor", At::Floored, |state, steps| {
                    let mut ask = Invalidation { token: state.draw(), ..ours };
                    if put {
                        ask.claim = state.draw();
                        state.writers[self.place].claim = ask.claim;
                        self.note_put(state);
                    }
                    steps.invalidate(state, ask, Some(self.node));
                });
            }
            At::Floored => {
                self.commit(steps);
                let at = if put { At::Quitting } else { At::Quit };
                self.go(steps, "abort", at, |state, _| self.set_tx(state, Tx::Aborted));
            }
            At::Quitting => self.go(steps, "claim given up", At::Quit, |state, steps| {
                if steps.scenario.has(Mechanism::ClaimReleased) {
                    steps.fill(state, self.me().claim, None);
                }
            }),
            At::Sent => self.answered(over, steps),
            At::Unknown if !steps.scenario.has(Mechanism::CommitStatus) => {
                self.go(steps, "told as finished", At::Quit, |state, steps| {
                    let ask = Invalidation { token: state.draw(), finished: true, ..ours };
                    steps.invalidate(state, ask, Some(self.node));
                });
            }
            At::Unknown if self.me().tx == Tx::Visible => {
                self.go(steps, "status: committed", over, |_, _| {})
            }
            At::Putting => self.go(steps, "put", At::Answered, |state, steps| {
                self.put(self.me().claim, steps, state);
            }),
            At::Answered | At::NodeTold => self.tell("floor again", ours, false, steps),
            At::Told => self.told(steps),
            _ => {}
        }
    }

    /// Tells after the write alone: with its xid, or without.
    fn after(&self, put: Option<bool>, steps: &mut Steps<'_>) {
        let (puts, xids) = put.map_or((false, Writes::NONE), |put| (put, self.own()));
        match self.me().at {
            At::Start => self.update(steps),
            At::Updated => {
                self.go(steps, "abort", At::Quit, |state, _| self.set_tx(state, Tx::Aborted));
                self.go(steps, "commit", At::Sent, |state, _| {
                    self.set_tx(state, Tx::Durable);
                    if puts {
                        self.note_put(state);
                        state.writers[self.place].claim = state.draw();
                    }
                });
            }
            At::Sent => self.answered(At::Answered, steps),
            At::Unknown if self.me().tx == Tx::Visible => {
                self.go(steps, "status: committed", At::Answered, |_, _| {});
            }
            At::Answered | At::NodeTold => {
                let ask = Invalidation { xids, claim: self.me().claim, ..Invalidation::default() };
                self.tell("floor after", ask, puts, steps);
            }
            At::Putting => {
                let at = if steps.scenario.l1 { At::Told } else { At::Acknowledged };
                self.go(steps, "put", at, |state, steps| {
                    self.put(self.me().claim, steps, state);
                });
            }
            At::Told => self.told(steps),
            _ => {}
        }
    }

    fn silent(&self, steps: &mut Steps<'_>) {
        match self.me().at {
            At::Start => self.update(steps),
            At::Updated => {
                self.go(steps, "abort", At::Quit, |state, _| self.set_tx(state, Tx::Aborted));
                self.commit(steps);
            }
            At::Sent => self.answered(At::Acknowledged, steps),
            _ => {}
        }
    }

    fn invalidates(&self, steps: &mut Steps<'_>) {
        if self.me().at == At::Start {
            self.go(steps, "invalidate", At::Quit, |state, steps| {
                let ask = Invalidation { token: state.draw(), finished: true, ..Invalidation::default() };
                steps.invalidate(state, ask, Some(self.node));
            });
        }
    }

    fn hold(&self, put: bool, steps: &mut Steps<'_>) {
        let hold = self.me().hold;
        match self.me().at {
            At::Start => self.go(steps, "begin", At::Floored, |state, steps| {
                let (token, hold) = (state.draw(), state.draw());
                state.writers[self.place].hold = hold;
                let claim = if put { hold } else { Tok::NONE };
                let ask = Invalidation { hold, claim, token, ..Invalidation::default() };
                steps.invalidate(state, ask, Some(self.node));
            }),
            At::Floored => {
                self.go(steps, "send", At::Sent, |state, _| self.set_tx(state, Tx::Running));
                self.go(steps, "rollback", At::Quit, |state, steps| self.open(state, steps));
            }
            At::Sent => {
                let over = if put { At::Putting } else { At::Answered };
                match self.me().tx {
                    Tx::Visible => self.go(steps, "answered", over, |_, _| {}),
                    Tx::Aborted => {
                        self.go(steps, "rollback", At::Quit, |state, steps| self.open(state, steps));
                    }
                    _ => {}
                }
                if steps.scenario.faults.lost {
                    self.go(steps, "times out, guard dropped", At::Quit, |state, steps| {
                        if !steps.scenario.has(Mechanism::GuardLeavesHold) {
                            self.open(state, steps);
                        }
                    });
                }
            }
            At::Putting => self.go(steps, "put", At::Answered, |state, steps| {
                let spares = self.put(hold, steps, state);
                let me = &mut state.writers[self.place];
                me.spares = spares;
                if !spares.is_none() && !steps.scenario.has(Mechanism::SparedTold) {
                    me.at = At::Told;
                }
            }),
            At::Answered | At::NodeTold => {
                let (drops, spares) = (self.drops(self.state, steps), self.me().spares);
                self.tell("commit", Invalidation { drops, spares, ..Invalidation::default() }, false, steps);
            }
            At::Told => self.told(steps),
            _ => {}
        }
    }

    /// The holds that the end of this write drops: its own.
    fn drops(&self, state: &State, steps: &Steps<'_>) -> Each<Tok> {
        let mut drops = Each::<Tok>::default();
        drops[0] = self.me().hold;
        let cell = if steps.scenario.list { &state.dependency } else { &state.row };
        if let (false, Some(record)) = (steps.scenario.has(Mechanism::HoldEach), cell)
            && let Some(floor) = record.as_floor()
        {
            drops = floor.holds.map(|hold| hold.id);
        }
        drops
    }

    fn open(&self, state: &mut State, steps: &Steps<'_>) {
        let drops = self.drops(state, steps);
        let ask = Invalidation { drops, token: state.draw(), finished: true, ..Invalidation::default() };
        steps.invalidate(state, ask, Some(self.node));
        state.writers[self.place].hold = Tok::NONE;
    }

    fn deletes(&self, before: bool, after: bool, steps: &mut Steps<'_>) {
        match self.me().at {
            At::Start => self.update(steps),
            At::Updated => {
                self.go(steps, "abort", At::Quit, |state, _| self.set_tx(state, Tx::Aborted));
                if before {
                    self.go(steps, "delete", At::Floored, |state, steps| steps.delete(state));
                } else {
                    self.commit(steps);
                }
            }
            At::Floored => {
                self.go(steps, "abort", At::Quit, |state, _| self.set_tx(state, Tx::Aborted));
                self.commit(steps);
            }
            At::Sent => self.answered(if after { At::Answered } else { At::Acknowledged }, steps),
            At::Answered => self.go(steps, "delete", At::Acknowledged, |state, steps| steps.delete(state)),
            _ => {}
        }
    }
}

/// What a node does that invalidates, or hears of it: nobody joins the flights of the key, their reservations are void, and
/// its entry goes, unless it bears the token that is there now.
pub(crate) fn forget(state: &mut State, node: usize, there: Option<Tok>, steps: &Steps<'_>) {
    let Some(entry) = state.nodes.get_mut(node).map(|node| &mut node.l1) else { return };
    if entry.is_some_and(|entry| entry.brief || Some(entry.token) != there) {
        *entry = None;
    }
    let on_node = state.readers.iter_mut().zip(&steps.scenario.readers);
    for (reader, _) in on_node.filter(|(reader, on)| usize::from(**on) == node && reader.is_under_way()) {
        reader.void |= steps.scenario.has(Mechanism::ReservationVoid);
        reader.detached |= steps.scenario.has(Mechanism::FlightDetached);
    }
}
