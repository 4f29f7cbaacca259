//! Mechanisms that a build of the tests can switch off, one at a time, to see which of its checkers notices.
//!
//! In every other build [`is_off`] is `false` at compile time, and nothing of this is left.

/// What can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A fill is taken whoever has the right to it.
    Right,
    /// A fill is taken whatever its load has seen, and a derived entry answers whatever it has seen.
    Snapshot,
    /// L1 takes what was asked for before an invalidation.
    Reservation,
    /// L1 answers though it may be deaf.
    Heartbeat,
    /// An invalidation deletes, and leaves nothing.
    Floor,
}

impl Mechanism {
    /// All of them, in a fixed order.
    pub const ALL: [Mechanism; 5] = [
        Mechanism::Right,
        Mechanism::Snapshot,
        Mechanism::Reservation,
        Mechanism::Heartbeat,
        Mechanism::Floor,
    ];

    /// Its name, as the variable [`VARIABLE`] takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::Right => "right",
            Mechanism::Snapshot => "snapshot",
            Mechanism::Reservation => "reservation",
            Mechanism::Heartbeat => "heartbeat",
            Mechanism::Floor => "floor",
        }
    }
}

/// Names the mechanism that is off, in a build with `--cfg tierstack_mutants`.
pub const VARIABLE: &str = "TIERSTACK_MUTANT";

/// Whether that mechanism is off.
#[cfg(not(tierstack_mutants))]
#[inline]
#[must_use]
pub const fn is_off(_: Mechanism) -> bool {
    false
}

/// Whether that mechanism is off.
#[cfg(tierstack_mutants)]
#[must_use]
pub fn is_off(mechanism: Mechanism) -> bool {
    use std::sync::LazyLock;
    static OFF: LazyLock<Option<Mechanism>> = LazyLock::new(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let named = Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name);
        assert!(named.is_some(), "{VARIABLE} is {name:?}: no such mechanism");
        named
    });
    *OFF == Some(mechanism)
}
