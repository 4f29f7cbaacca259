//! What readers do, step by step. A lookup that only reads is no step: what it would be answered is judged in each state.

use tierstack_core::Filled;

use crate::explore::{Step, Steps, Who};
use crate::l2::{Key, Leased};
use crate::mechanism::Mechanism;
use crate::record::{Body, Floor, Record, Value, Writes};
use crate::scenario::Reader as Kind;
use crate::state::{Hearing, L1, Reader, ReaderAt as At, State, Tx};
use crate::token::Tok;

impl Reader {
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.at, At::Start | At::Done | At::ReadList | At::ReadGround)
    }
}

pub(crate) fn offer(state: &State, steps: &mut Steps<'_>) {
    for place in 0..state.readers.len() {
        let one = One { state, place, node: usize::from(steps.scenario.readers[place]) };
        match steps.scenario.reader {
            Kind::Ours => one.ours(steps),
            kind => one.theirs(kind, steps),
        }
    }
}

/// One reader in one state.
#[derive(Clone, Copy)]
struct One<'a> {
    state: &'a State,
    place: usize,
    node: usize,
}

impl One<'_> {
    fn me(&self) -> &Reader {
        &self.state.readers[self.place]
    }

    fn go(
        &self,
        steps: &mut Steps<'_>,
        what: &'static str,
        at: At,
        change: impl FnOnce(&mut State, &Steps<'_>),
    ) {
        steps.offer(self.state, Step(Who::Reader(self.place), what), |state, steps| {
            state.readers[self.place].at = at;
            change(state, steps);
            let me = &mut state.readers[self.place];
            if me.at == At::Done {
                *me = Reader { at: At::Done, ..Reader::default() };
            }
        });
    }

    fn ours(&self, steps: &mut Steps<'_>) {
        let scenario = steps.scenario;
        match self.me().at {
            At::Start if scenario.l1 => self.go(steps, "reserve", At::Reserved, |_, _| {}),
            At::Start if !scenario.has(Mechanism::RightBeforeLoad) => {
                self.loads(steps, At::Asking);
            }
            At::Start if scenario.list => {
                self.reads_half(steps);
                self.go(steps, "lease dependency", At::Asking, |state, steps| {
                    let right = state.draw();
                    state.readers[self.place].right = right;
                    if steps.scenario.has(Mechanism::DependencyFirst) {
                        self.lease_dependency(state, steps);
                    }
                });
            }
            At::Start => {
                let observed = value_token(self.state);
                self.leases(steps, observed);
            }
            At::Reserved => self.reads(steps),
            At::Asking if scenario.list => self.leases(steps, value_token(self.state)),
            At::Asking if scenario.l1 => self.leases(steps, self.me().observed),
            At::Asking => self.leases(steps, value_token(self.state)),
            At::Unanswered => self.leases(steps, self.me().observed),
            At::Leased => {
                self.loads(steps, At::Loaded);
                self.go(steps, "load fails", At::Done, |state, steps| {
                    steps.fill(state, self.me().right, None);
                });
            }
            At::Barred => self.loads(steps, At::GotBrief),
            At::Loaded => self.fills(steps),
            At::Got => self.publishes(steps, false),
            At::GotBrief => self.publishes(steps, true),
            At::ReadList | At::ReadGround | At::Done => {}
        }
    }

    /// Reads L2: a hit that may go to L1, or one that is to be refreshed, or a miss.
    fn reads(&self, steps: &mut Steps<'_>) {
        let Some(Record { token, body: Body::Value(value), .. }) = self.state.row else {
            return self.go(steps, "L2 miss", At::Asking, |_, _| {});
        };
        self.go(steps, "L2 hit", At::Got, |state, _| {
            let me = &mut state.readers[self.place];
            (me.observed, me.loaded) = (token, value);
        });
        self.go(steps, "L2 stale", At::Asking, |state, _| state.readers[self.place].observed = token);
    }

    /// Reads the list, or what it rests on; the other half is read in whatever state comes.
    fn reads_half(&self, steps: &mut Steps<'_>) {
        let began = (self.state.visible(), self.state.acknowledged());
        if let Some(Record { body: Body::Value(loaded), .. }) = self.state.row {
            self.go(steps, "reads the list", At::ReadList, |state, _| {
                state.readers[self.place] = Reader { at: At::ReadList, loaded, began, ..Reader::default() };
            });
        }
        if let Some(Record { token, body: Body::Floor(ground), .. }) = self.state.dependency {
            let loaded = Value { rests_on: token, ..Value::default() };
            self.go(steps, "reads the dependency", At::ReadGround, |state, _| {
                let at = At::ReadGround;
                state.readers[self.place] = Reader { at, loaded, ground, began, ..Reader::default() };
            });
        }
    }

    fn leases(&self, steps: &mut Steps<'_>, observed: Tok) {
        let mut after = self.state.clone();
        let retries = self.me().at == At::Unanswered && steps.scenario.has(Mechanism::RightRepeated);
        let right = if retries || (steps.scenario.list && self.me().at == At::Asking) {
            self.me().right
        } else if steps.scenario.has(Mechanism::RightApart) {
            after.draw()
        } else {
            after.row.map_or_else(|| after.draw(), |there| there.token)
        };
        let leased = steps.lease(&mut after, Key::Row, right, observed);
        let set = |state: &mut State| {
            *state = after.clone();
            state.readers[self.place].right = right;
        };
        // Who loaded before it asked has what it would load.
        let next = if steps.scenario.has(Mechanism::RightBeforeLoad) { At::Leased } else { At::Loaded };
        match leased {
            Leased::Right => {
                self.go(steps, "lease", next, |state, _| {
                    set(state);
                    let me = &mut state.readers[self.place];
                    (me.at, me.observed) = (next, Tok::NONE);
                });
                if steps.scenario.faults.lost && self.me().at != At::Unanswered {
                    self.go(steps, "lease, answer lost", At::Unanswered, |state, steps| {
                        set(state);
                        let me = &mut state.readers[self.place];
                        (me.at, me.observed) = (At::Unanswered, observed);
                        if !steps.scenario.has(Mechanism::RightRepeated) {
                            me.right = Tok::NONE;
                        }
                    });
                }
            }
            Leased::Record if steps.scenario.l1 => self.go(steps, "lease: a record", At::Got, |state, _| {
                if let Some(Record { token, body: Body::Value(value), .. }) = state.row {
                    let me = &mut state.readers[self.place];
                    (me.observed, me.loaded, me.right) = (token, value, Tok::NONE);
                }
            }),
            Leased::Wait | Leased::Bypass if steps.scenario.l1 => {
                self.go(steps, "no right", At::Barred, |state, _| {
                    let me = &mut state.readers[self.place];
                    (me.observed, me.right) = (Tok::NONE, Tok::NONE);
                });
            }
            // What is found is answered, what is loaded without a right goes nowhere; who waits asks again.
            Leased::Record | Leased::Wait | Leased::Bypass => {}
        }
    }

    fn lease_dependency(&self, state: &mut State, steps: &Steps<'_>) {
        let right = state.readers[self.place].right;
        steps.lease(state, Key::Dependency, right, Tok::NONE);
        if let Some(Record { token, body: Body::Floor(floor), .. }) = state.dependency {
            let me = &mut state.readers[self.place];
            (me.loaded.rests_on, me.ground) = (token, floor);
        }
    }

    fn loads(&self, steps: &mut Steps<'_>, at: At) {
        let scenario = steps.scenario;
        let (visible, ended) = (self.state.visible(), self.state.ended());
        let snapshot = |seen| scenario.has_snapshots().then_some(seen);
        if scenario.standby && scenario.has(Mechanism::PrimaryOnly) && at == At::Loaded {
            // A load on a standby has no right.
            return self.go(steps, "load from the standby", At::Done, |state, steps| {
                steps.fill(state, self.me().right, None);
            });
        }
        if scenario.standby {
            let replayed = self.state.replayed;
            self.load(steps, "load from the standby", at, replayed, snapshot(replayed));
        } else {
            self.load(steps, "load", at, visible, snapshot(ended));
        }
        if !scenario.has(Mechanism::NoLoadInWrite) {
            for (place, writer) in self.state.writers.iter().enumerate() {
                let own = Writes::one(place);
                if writer.tx == Tx::Running && scenario.has_snapshots() {
                    self.load(steps, "load in the write", at, visible.with(own), Some(ended.with(own)));
                }
            }
        }
    }

    fn load(&self, steps: &mut Steps<'_>, what: &'static str, at: At, rows: Writes, stamp: Option<Writes>) {
        self.go(steps, what, at, |state, steps| {
            let old = steps.scenario.l1 && !rows.has_all(state.acknowledged());
            let me = &mut state.readers[self.place];
            (me.loaded, me.old) = (Value { rows, stamp, ..me.loaded }, old);
        });
    }

    fn fills(&self, steps: &mut Steps<'_>) {
        let right = self.me().right;
        let open = !steps.scenario.list
            || !steps.scenario.has(Mechanism::DependencyOpen)
            || self.me().ground.seen_by(self.me().loaded.stamp);
        if !open {
            return self.go(steps, "stores nothing", At::Done, |state, steps| {
                steps.fill(state, right, None);
            });
        }
        self.go(steps, "fill", At::Done, |state, steps| {
            if steps.scenario.list && !steps.scenario.has(Mechanism::DependencyFirst) {
                self.lease_dependency(state, steps);
            }
            let (token, loaded) = (state.draw(), state.readers[self.place].loaded);
            let filled = steps.fill(state, right, Some((token, loaded)));
            if steps.scenario.l1 {
                let me = &mut state.readers[self.place];
                let takes = filled == Filled::Ok || !steps.scenario.has(Mechanism::OnlyAccepted);
                (me.at, me.observed) = if takes { (At::Got, token) } else { (At::GotBrief, Tok::NONE) };
                (me.right, me.loaded.stamp) = (Tok::NONE, None);
            }
        });
    }

    fn publishes(&self, steps: &mut Steps<'_>, brief: bool) {
        self.go(steps, if brief { "publish briefly" } else { "publish" }, At::Done, |state, _| {
            let me = *self.me();
            let node = &mut state.nodes[self.node];
            let suspended = !matches!(node.hearing, Hearing::Alive | Hearing::Cut);
            if !me.void && (brief || !suspended) {
                node.l1 = Some(L1 { token: me.observed, rows: me.loaded.rows, brief, old: brief && me.old });
            }
        });
    }

    /// The readers of protocols that don't work.
    fn theirs(&self, kind: Kind, steps: &mut Steps<'_>) {
        match self.me().at {
            At::Start => self.misses(kind, steps),
            At::Leased => self.loads(steps, At::Loaded),
            At::Loaded => self.sets(kind, steps),
            _ => {}
        }
    }

    fn misses(&self, kind: Kind, steps: &mut Steps<'_>) {
        let floor = |right: Tok| Record {
            token: Tok::NONE,
            right,
            right_stands: true,
            body: Body::Floor(Floor::default()),
        };
        match (kind, self.state.row) {
            (_, Some(Record { body: Body::Value(_), .. })) => {}
            (Kind::Lease, Some(there)) if there.right_stands => {}
            (Kind::Lease | Kind::ClientLease, _) => self.go(steps, "lease", At::Leased, |state, steps| {
                let right = if kind == Kind::Lease { state.draw() } else { Tok::CLIENT };
                state.readers[self.place].right = right;
                steps.set(state, Key::Row, Some(floor(right)));
            }),
            _ => self.go(steps, "miss", At::Leased, |_, _| {}),
        }
    }

    fn sets(&self, kind: Kind, steps: &mut Steps<'_>) {
        let (right, loaded) = (self.me().right, self.me().loaded);
        let may = match (kind, &self.state.row) {
            (Kind::SetIfNothing, there) => there.is_none(),
            (Kind::SetIfNewer, Some(Record { body: Body::Value(there), .. })) => {
                loaded.rows.has_all(there.rows)
            }
            (Kind::Lease | Kind::ClientLease, there) => {
                there.is_some_and(|there| there.as_floor().is_some() && there.right == right)
            }
            _ => true,
        };
        self.go(steps, if may { "set" } else { "set refused" }, At::Done, |state, steps| {
            if may {
                let value = Value { stamp: None, ..loaded };
                steps.set(state, Key::Row, Some(Record::value(Tok::NONE, value)));
            }
        });
    }
}

/// The token of the VALUE in L2, which a lookup that finds it stale brings with its lease.
fn value_token(state: &State) -> Tok {
    match state.row {
        Some(Record { token, body: Body::Value(_), .. }) => token,
        _ => Tok::NONE,
    }
}
