//! What is explored: the rows of the tables.

use crate::anomaly::Anomaly::{self, *};
use crate::mechanism::Mechanism::{self, *};
use crate::scenario::{Faults, Reader, Scenario, Writer};

const STRICT: Writer = Writer::Strict { put: false };
const STRICT_PUT: Writer = Writer::Strict { put: true };
const FAST: Writer = Writer::Fast { put: false };
const HOLD: Writer = Writer::Hold { put: false };
const HOLD_PUT: Writer = Writer::Hold { put: true };

const NO_FAULT: Faults =
    Faults { crash: false, evict: false, failover: 0, lost: false, cut: false, reorder: false };
const CRASH: Faults = Faults { crash: true, ..NO_FAULT };
const EVICT: Faults = Faults { evict: true, ..NO_FAULT };
const LOST: Faults = Faults { lost: true, ..NO_FAULT };
const CUT: Faults = Faults { cut: true, ..NO_FAULT };

/// A mechanism, and what is found without it.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The sentence of the specification.
    pub name: &'static str,
    pub without: &'static [Mechanism],
    pub scenario: Scenario,
    pub shows: &'static [Anomaly],
}

impl Taken {
    /// The same with every mechanism at work.
    #[must_use]
    pub fn whole(&self) -> Scenario {
        self.scenario.clone().without(&[])
    }
}

fn l2(writer: Writer, writers: usize, readers: usize, faults: Faults) -> Scenario {
    Scenario::new(writer, writers, Reader::Ours, readers).with(faults)
}

/// A writer on node A, a reader on each node.
fn nodes(writer: Writer, faults: Faults) -> Scenario {
    Scenario { l1: true, readers: vec![0, 1], ..l2(writer, 1, 2, faults) }
}

/// Writers of rows of their own, which one list shows.
fn list(writer: Writer, writers: usize, faults: Faults) -> Scenario {
    Scenario { list: true, one_row: false, ..l2(writer, writers, 1, faults) }
}

/// Each mechanism, in the smallest scenario that shows what it is there for.
#[must_use]
pub fn mechanisms() -> Vec<Taken> {
    let rows_apart = |scenario| Scenario { one_row: false, ..scenario };
    let standby = |scenario| Scenario { standby: true, ..scenario };
    let beside = |faults| Scenario {
        writers: vec![(STRICT, 0), (Writer::Bystander, 0)],
        ..l2(STRICT, 2, 1, faults)
    };
    let cases: Vec<(&'static str, &'static [Mechanism], Scenario, &'static [Anomaly])> = vec![
        ("C1", &[ToldAlways], nodes(FAST, NO_FAULT), &[Delivered]),
        ("C1, second form", &[ToldAlways], nodes(STRICT, EVICT), &[Delivered]),
        ("C2", &[OnlyAccepted, ToldAlways], nodes(STRICT, NO_FAULT), &[Delivered]),
        ("C2", &[OnlyAccepted], nodes(STRICT, CRASH), &[Delivered]),
        ("C3", &[RightApart, FillEndsRight], l2(STRICT, 2, 2, NO_FAULT), &[ForGood]),
        ("C3, rights apart", &[FillEndsRight], l2(STRICT, 1, 1, NO_FAULT), &[Unfillable]),
        ("C4", &[MarksUnited], l2(STRICT, 2, 1, NO_FAULT), &[Visible]),
        ("C4, rows apart", &[MarksUnited], rows_apart(l2(STRICT, 2, 1, NO_FAULT)), &[Visible]),
        ("C4, rows apart", &[MarksUnited], rows_apart(l2(STRICT, 2, 1, CRASH)), &[ForGood]),
        ("C4, `invalidate`", &[MarksUnited], beside(NO_FAULT), &[Visible]),
        ("C5", &[FloorRenewed], l2(STRICT, 1, 1, NO_FAULT), &[Visible]),
        ("C5", &[FloorRenewed], l2(STRICT, 1, 1, CRASH), &[ForGood]),
        ("C6", &[NoLoadInWrite], l2(STRICT, 1, 2, NO_FAULT), &[Dirty, ForGood]),
        ("C7", &[PrimaryOnly], standby(l2(STRICT, 1, 2, NO_FAULT)), &[ForGood]),
        ("C8", &[RightBeforeLoad], l2(STRICT, 1, 1, NO_FAULT), &[Acknowledged, ForGood]),
        ("C9", &[HoldEach], l2(HOLD, 2, 1, CRASH), &[ForGood]),
        ("C10", &[GuardLeavesHold], l2(HOLD, 1, 1, LOST), &[ForGood]),
        ("C11", &[HoldOutlivesWrite], l2(HOLD, 1, 1, CRASH), &[ForGood]),
        ("C12", &[DependencyFirst], list(Writer::Manual, 1, NO_FAULT), &[Acknowledged, ForGood]),
        ("C12", &[DependencyFirst], list(STRICT, 1, EVICT), &[Acknowledged, ForGood]),
        ("C12, tokens alone", &[DependencyMarks, DependencyOpen], list(STRICT, 1, NO_FAULT), &[Visible]),
        ("C13", &[RightApart], l2(STRICT, 1, 2, NO_FAULT), &[TwoFills]),
        ("C14", &[RightReleased], l2(STRICT, 1, 1, NO_FAULT), &[Unfillable]),
        ("C15", &[RightRepeated], l2(STRICT, 1, 1, LOST), &[Unfillable]),
        ("C16", &[L2First], nodes(FAST, NO_FAULT), &[Own]),
        ("C17", &[FlightDetached], nodes(STRICT, NO_FAULT), &[Joined]),
        ("C18, subscribe first", &[SubscribeFirst], nodes(FAST, CUT), &[Delivered]),
        ("C18, check", &[EntriesChecked], nodes(FAST, CUT), &[Delivered]),
        ("C18, generation", &[NewGeneration], nodes(FAST, CUT), &[Delivered, Joined]),
        ("C19", &[CommitStatus], l2(STRICT, 1, 1, Faults { evict: true, ..LOST }), &[ForGood]),
        ("floors before COMMIT", &[FloorFirst], l2(STRICT, 1, 1, NO_FAULT), &[Visible]),
        ("floors before COMMIT", &[FloorFirst], l2(STRICT, 1, 1, CRASH), &[ForGood]),
        ("snapshot", &[MarksSeen], l2(STRICT, 1, 1, NO_FAULT), &[Visible]),
        ("snapshot", &[MarksSeen], l2(STRICT, 1, 1, CRASH), &[ForGood]),
        ("reservation", &[ReservationVoid], nodes(FAST, NO_FAULT), &[Delivered, Own]),
        ("hearing", &[HeardDropped], nodes(FAST, NO_FAULT), &[Delivered]),
        ("heartbeat", &[Deafness], nodes(FAST, CUT), &[Delivered]),
        ("claim given up", &[ClaimReleased], l2(STRICT_PUT, 1, 1, NO_FAULT), &[Unfillable]),
        ("claim alone", &[ClaimAlone], l2(HOLD_PUT, 2, 1, NO_FAULT), &[Visible]),
        ("claim alone", &[ClaimAlone], l2(HOLD_PUT, 2, 1, CRASH), &[ForGood]),
        ("open ground", &[DependencyOpen], list(HOLD, 1, CRASH), &[ForGood]),
        ("open ground", &[DependencyOpen], list(HOLD, 1, NO_FAULT), &[Visible]),
    ];
    let taken = |(name, without, scenario, shows): (_, &'static [Mechanism], Scenario, _)| Taken {
        name,
        without,
        scenario: scenario.named(name).without(without),
        shows,
    };
    cases.into_iter().map(taken).collect()
}
