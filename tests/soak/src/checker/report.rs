//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;

use super::Anomaly;
use super::judge::Staleness;
use crate::record::{Outcome, Source};

/// Examples told of each class of anomaly.
const EXAMPLES: usize = 3;

/// Less than this share of reads during a write to the same key, and nothing was tried.
const TAME: f64 = 0.01;

/// What a run read and wrote, and what was wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    writes: BTreeMap<Option<Outcome>, u64>,
    sources: BTreeMap<Source, Figures>,
    /// Reads of rows.
    pub reads: u64,
    /// Of those, such as overlapped a write to the same key.
    pub overlapping: u64,
    /// Reads of lists.
    pub lists: u64,
    /// Reads by a secondary key.
    pub slugs: u64,
    /// Reads that failed.
    pub failed: u64,
    anomalies: BTreeMap<Anomaly, (u64, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    reads: u64,
    stale: u64,
    worst: u64,
    behind: u64,
}

impl Report {
    pub(super) fn new(writes: BTreeMap<Option<Outcome>, u64>) -> Self {
        Report { writes, ..Report::default() }
    }

    pub(super) fn one_read(&mut self, source: Source, overlaps: bool) {
        self.reads += 1;
        self.overlapping += u64::from(overlaps);
        self.sources.entry(source).or_default().reads += 1;
    }

    pub(super) fn staleness(&mut self, source: Source, staleness: Staleness) {
        let figures = self.sources.entry(source).or_default();
        figures.stale += u64::from(staleness.delta > 0);
        figures.worst = figures.worst.max(staleness.delta);
        figures.behind = figures.behind.max(staleness.behind);
    }

    pub(super) fn anomaly(&mut self, anomaly: Anomaly, text: impl FnOnce() -> String) {
        let (count, examples) = self.anomalies.entry(anomaly).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(text());
        }
    }

    /// How many reads had that anomaly.
    #[must_use]
    pub fn count(&self, anomaly: Anomaly) -> u64 {
        self.anomalies.get(&anomaly).map_or(0, |(count, _)| *count)
    }

    /// How many reads had any.
    #[must_use]
    pub fn anomalies(&self) -> u64 {
        Anomaly::ALL.iter().map(|anomaly| self.count(*anomaly)).sum()
    }

    /// Whether too few reads overlapped a write to mean something.
    #[must_use]
    pub fn is_tame(&self) -> bool {
        self.overlapping as f64 <= self.reads as f64 * TAME
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes: u64 = self.writes.values().sum();
        let ended = |outcome| self.writes.get(&outcome).copied().unwrap_or_default();
        writeln!(
            f,
            "{} reads of rows, {} of lists, {} by slug, {} failed; {:.1} % of reads overlapped a write of the same key",
            self.reads,
            self.lists,
            self.slugs,
            self.failed,
            100.0 * self.overlapping as f64 / self.reads.max(1) as f64
        )?;
        writeln!(
            f,
            "{writes} writes: {} committed, {} rolled back, {} of unknown outcome, {} cut off by their node's end",
            ended(Some(Outcome::Committed)),
            ended(Some(Outcome::RolledBack)),
            ended(Some(Outcome::Unknown)),
            ended(None)
        )?;
        writeln!(f, "{:>10} {:>10} {:>10} {:>12} {:>6}", "answers by", "rows", "stale", "worst ms", "k")?;
        for (source, Figures { reads, stale, worst, behind }) in &self.sources {
            let (source, worst) = (format!("{source:?}"), *worst as f64 / 1e6);
            writeln!(f, "{source:>10} {reads:>10} {stale:>10} {worst:>12.3} {behind:>6}")?;
        }
        write!(f, "anomalies:")?;
        for anomaly in Anomaly::ALL {
            write!(f, " {} {}", format!("{anomaly:?}").to_lowercase(), self.count(anomaly))?;
        }
        for (anomaly, (_, examples)) in &self.anomalies {
            for example in examples {
                write!(f, "\n  {anomaly:?}: {example}")?;
            }
        }
        Ok(())
    }
}
