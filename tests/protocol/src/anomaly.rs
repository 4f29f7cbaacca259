//! What must not be.

use std::fmt;

/// What a state shows to a lookup that begins and reads in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Anomaly {
    /// An old value stays in L2, and nothing but the end of its life will remove it.
    ForGood,
    /// L2 answers what is older than an acknowledged write.
    Acknowledged,
    /// L2 answers what is older than a visible write.
    Visible,
    /// The key can't be filled, though nobody is at work on it.
    Unfillable,
    /// L1 answers what is older than an acknowledged write of which all is delivered.
    Delivered,
    /// L1 answers what is older than a write acknowledged on this very node.
    Own,
    /// A caller joins a load that is older than a write acknowledged here, or of which all is delivered.
    Joined,
    /// Two loads may fill at once.
    TwoFills,
    /// L2 answers what was never committed.
    Dirty,
}

impl Anomaly {
    pub const ALL: [Anomaly; 9] = [
        Anomaly::ForGood,
        Anomaly::Acknowledged,
        Anomaly::Visible,
        Anomaly::Unfillable,
        Anomaly::Delivered,
        Anomaly::Own,
        Anomaly::Joined,
        Anomaly::TwoFills,
        Anomaly::Dirty,
    ];

    /// Its letter in the table.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Anomaly::ForGood => 'F',
            Anomaly::Acknowledged => 'A',
            Anomaly::Visible => 'H',
            Anomaly::Unfillable => 'N',
            Anomaly::Delivered => 'L',
            Anomaly::Own => 'O',
            Anomaly::Joined => 'J',
            Anomaly::TwoFills => 'T',
            Anomaly::Dirty => 'D',
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Anomalies(u16);

impl Anomalies {
    #[must_use]
    pub fn of(each: &[Anomaly]) -> Self {
        Anomalies(each.iter().fold(0, |all, one| all | 1 << *one as u8))
    }

    pub fn add(&mut self, one: Anomaly, shown: bool) {
        self.0 |= u16::from(shown) << one as u8;
    }

    #[must_use]
    pub fn has(self, one: Anomaly) -> bool {
        self.0 >> one as u8 & 1 == 1
    }

    #[must_use]
    pub fn with(self, other: Anomalies) -> Self {
        Anomalies(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Anomalies) -> Self {
        Anomalies(self.0 & !other.0)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn each(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.into_iter().filter(move |one| self.has(*one))
    }
}

impl fmt::Display for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("–");
        }
        let letters: Vec<String> = self.each().map(|one| one.letter().to_string()).collect();
        f.write_str(&letters.join(" "))
    }
}

impl fmt::Debug for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
