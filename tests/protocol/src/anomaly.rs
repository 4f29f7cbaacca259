//! What must not be.

use std::fmt;

/// What a state shows to a lookup that begins and reads in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Anomaly {
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
    pub(crate) const ALL: [Anomaly; 9] = [
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
    pub(crate) fn letter(self) -> char {
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

impl Anomaly {
    /// What the table says of its letter.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Anomaly::ForGood => {
                "finds an old value in L2, and nothing but the end of its life will remove it"
            }
            Anomaly::Acknowledged => "is answered from L2 what is older than an acknowledged write",
            Anomaly::Visible => "is answered from L2 what is older than a visible write",
            Anomaly::Unfillable => "can't fill the key, though nobody is at work on it",
            Anomaly::Delivered => "is answered from L1 what is older than a write of which all is delivered",
            Anomaly::Own => "is answered from L1 what is older than a write acknowledged on that very node",
            Anomaly::Joined => "joins a load that is older than such a write",
            Anomaly::TwoFills => "is one of two that may fill at once",
            Anomaly::Dirty => "is answered from L2 what was never committed",
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Anomalies(u16);

impl Anomalies {
    pub(crate) fn add(&mut self, one: Anomaly, shown: bool) {
        self.0 |= u16::from(shown) << one as u8;
    }

    pub(crate) fn has(self, one: Anomaly) -> bool {
        self.0 >> one as u8 & 1 == 1
    }

    pub(crate) fn with(self, other: Anomalies) -> Self {
        Anomalies(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Anomalies) -> Self {
        Anomalies(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn each(self) -> impl Iterator<Item = Anomaly> {
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
