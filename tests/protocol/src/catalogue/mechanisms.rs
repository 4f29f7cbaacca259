//! Each mechanism, and what is found without it.

use super::*;
use crate::anomaly::Anomaly::{self, *};
use crate::mechanism::Mechanism::{self, *};

/// A mechanism, and what is found without it.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// The sentence of the specification.
    pub(crate) name: &'static str,
    pub(crate) without: &'static [Mechanism],
    pub(crate) scenario: Scenario,
    pub(crate) shows: &'static [Anomaly],
}

impl Taken {
    /// The same with every mechanism at work.
    pub(crate) fn whole(&self) -> Scenario {
        self.scenario.clone().without(&[]).named("all mechanisms")
    }
}

/// Each mechanism, in the smallest scenario that shows what it is there for.
pub(crate) fn mechanisms() -> Vec<Taken> {
    let rows_apart = |scenario| Scenario { one_row: false, ..scenario };
    let standby = |scenario| Scenario { standby: true, ..scenario };
    let beside =
        |faults| Scenario { writers: vec![(STRICT, 0), (Writer::Bystander, 0)], ..l2(STRICT, 2, 1, faults) };
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
        ("C12", &[DependencyFirst], list(Writer::Manual, 1, 1, NO_FAULT), &[Acknowledged, ForGood]),
        ("C12", &[DependencyFirst], list(STRICT, 1, 1, EVICT), &[Acknowledged, ForGood]),
        ("C12, tokens alone", &[DependencyMarks, DependencyOpen], list(STRICT, 1, 1, NO_FAULT), &[Visible]),
        ("C13", &[RightApart], l2(STRICT, 1, 2, NO_FAULT), &[TwoFills]),
        ("C14", &[RightReleased], l2(STRICT, 1, 1, NO_FAULT), &[Unfillable]),
        ("C15", &[RightRepeated], l2(STRICT, 1, 1, LOST), &[Unfillable]),
        ("C16", &[L2First], nodes(FAST, NO_FAULT), &[Own]),
        ("C17", &[FlightDetached], nodes(STRICT, NO_FAULT), &[Joined]),
        ("a row that is spared is told", &[SparedTold], nodes(HOLD_PUT, NO_FAULT), &[Joined]),
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
        ("open ground", &[DependencyOpen], list(HOLD, 1, 1, CRASH), &[ForGood]),
        ("open ground", &[DependencyOpen], list(HOLD, 1, 1, NO_FAULT), &[Visible]),
    ];
    let taken = |(name, without, scenario, shows): (_, &'static [Mechanism], Scenario, _)| Taken {
        name,
        without,
        scenario: scenario.named(name).without(without),
        shows,
    };
    cases.into_iter().map(taken).collect()
}
