//! The mechanisms of the protocol, each of which can be taken out.

/// A sentence of the protocol. Without it, the model finds what the sentence is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Mechanism {
    /// An invalidation is told in every case, even where it changes nothing.
    ToldAlways,
    /// L1 takes only what L2 holds: a hit, or a fill that was answered ok; the rest is brief.
    OnlyAccepted,
    /// A fill takes the right off the record.
    FillEndsRight,
    /// The marks of a floor are united with those that are there.
    MarksUnited,
    /// Floors are renewed until their COMMIT is answered.
    FloorRenewed,
    /// A load on the connection of a write that is under way has no right.
    NoLoadInWrite,
    /// A load that may fill asks the primary.
    PrimaryOnly,
    /// No load begins before its right was granted.
    RightBeforeLoad,
    /// Each write has a hold of its own.
    HoldEach,
    /// A guard that is dropped leaves its hold.
    GuardLeavesHold,
    /// A write is sent only while its hold lasts longer than the write may take.
    HoldOutlivesWrite,
    /// What a list rests on is read before the list is loaded.
    DependencyFirst,
    /// A list answers only while it has seen the marks of what it rests on.
    DependencyMarks,
    /// A list is stored only if what it rests on was open to its load.
    DependencyOpen,
    /// A right is an id of its own, not the token of what is there.
    RightApart,
    /// A load that fails gives its right up.
    RightReleased,
    /// A lease that is repeated asks for the same right.
    RightRepeated,
    /// A write that comes to nothing gives up the right that it claimed.
    ClaimReleased,
    /// The right that is a hold's fills only if no other write held the floor, ended or not.
    ClaimAlone,
    /// An invalidation reaches L2 before this node.
    L2First,
    /// An invalidation voids the reservations of L1.
    ReservationVoid,
    /// An invalidation detaches the flights under way.
    FlightDetached,
    /// A row that was put, and that the end of its write spares, is told like all that a write ends.
    SparedTold,
    /// A node that hears of an invalidation drops its entry, unless it bears the token told.
    HeardDropped,
    /// A node that has not heard its heartbeat is suspended.
    Deafness,
    /// A node that hears again subscribes before it checks its entries.
    SubscribeFirst,
    /// A node that hears again checks its entries.
    EntriesChecked,
    /// A node that hears again voids its reservations.
    NewGeneration,
    /// A COMMIT without an answer is not finished.
    CommitStatus,
    /// Floors are made before COMMIT.
    FloorFirst,
    /// A fill must have seen the marks.
    MarksSeen,
}

/// The mechanisms that are taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Without(u64);

impl Without {
    pub(crate) fn none() -> Self {
        Without(0)
    }

    pub(crate) fn of(mechanisms: &[Mechanism]) -> Self {
        Without(mechanisms.iter().fold(0, |all, one| all | 1 << *one as u8))
    }

    /// Whether that one is at work.
    pub(crate) fn has(self, mechanism: Mechanism) -> bool {
        self.0 >> mechanism as u8 & 1 == 0
    }
}
