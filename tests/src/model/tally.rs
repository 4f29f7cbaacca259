//! How often it did.

use std::fmt;

/// How often what happened, over all cases of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Keys looked up, one by one or in batches and lists.
    pub lookups: u64,
    /// Keys answered by L1, L2 and the origin.
    pub sources: [u64; 3],
    /// Keys answered as absent.
    pub absent: u64,
    /// Keys that a lookup found in neither tier, and was not to load.
    pub unknown: u64,
    /// Entries taken out of L1 or L2.
    pub evictions: u64,
    /// Keys looked up during an outage.
    pub in_outage: u64,
    /// Nodes restarted.
    pub restarts: u64,
    /// Clocks stepped.
    pub steps: u64,
    /// Lookups that ran while their key was written.
    pub races: u64,
    /// Invalidations that did not reach L2.
    pub undelivered: u64,
    /// Invalidations that did, and a node that was deaf did not hear.
    pub unheard: u64,
}

impl Tally {
    /// Adds another case's counts.
    pub fn add(&mut self, other: &Tally) {
        let Tally {
            lookups,
            sources,
            absent,
            unknown,
            evictions,
            in_outage,
            restarts,
            steps,
            races,
            undelivered,
            unheard,
        } = other;
        self.lookups += lookups;
        (0..3).for_each(|at| self.sources[at] += sources[at]);
        self.absent += absent;
        self.unknown += unknown;
        self.evictions += evictions;
        self.in_outage += in_outage;
        self.restarts += restarts;
        self.steps += steps;
        self.races += races;
        self.undelivered += undelivered;
        self.unheard += unheard;
    }

    fn shares(&self) -> [(&'static str, u64); 12] {
        [
            ("from L1", self.sources[0]),
            ("from L2", self.sources[1]),
            ("from the origin", self.sources[2]),
            ("absent", self.absent),
            ("not known", self.unknown),
            ("evictions", self.evictions),
            ("in an outage", self.in_outage),
            ("restarts", self.restarts),
            ("clock steps", self.steps),
            ("races", self.races),
            ("undelivered", self.undelivered),
            ("unheard", self.unheard),
        ]
    }

    /// Which event is too rare for the run to mean something: under 1 % of lookups.
    #[must_use]
    pub fn too_rare(&self) -> Vec<&'static str> {
        let must = [
            "from L1",
            "from L2",
            "from the origin",
            "absent",
            "evictions",
            "in an outage",
            "restarts",
            "clock steps",
        ];
        let rare = |(name, count): &(&'static str, u64)| must.contains(name) && count * 100 <= self.lookups;
        self.shares().iter().filter(|share| rare(share)).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10} keys looked up", self.lookups)?;
        for (name, count) in self.shares() {
            writeln!(f, "{count:>10} {name} ({:.1} %)", 100.0 * count as f64 / self.lookups.max(1) as f64)?;
        }
        Ok(())
    }
}
