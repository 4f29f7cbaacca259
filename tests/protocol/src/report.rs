//! Explores the catalogue, and writes what was found as Markdown.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::anomaly::Anomaly;
use crate::catalogue::{Table, Taken};
use crate::explore::{Explored, explore};
use crate::scenario::{Faults, Scenario};

/// Explores scenarios, equal ones once, on as many threads as there are processors; the results in their order.
///
/// # Panics
/// If a scenario is too large, or Redis does what no script should.
pub(crate) fn explore_all(scenarios: &[Scenario]) -> Vec<Explored> {
    let firsts: Vec<usize> = scenarios
        .iter()
        .map(|one| scenarios.iter().position(|other| other == one).expect("it is equal to itself"))
        .collect();
    let next = AtomicUsize::new(0);
    let found: Vec<Mutex<Explored>> = scenarios.iter().map(|_| Mutex::default()).collect();
    let result = |place: usize| found[place].lock().unwrap_or_else(PoisonError::into_inner);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(place) else { break };
                    if firsts[place] == place {
                        *result(place) = explore(scenario);
                    }
                }
            });
        }
    });
    firsts.iter().map(|first| result(*first).clone()).collect()
}

/// What was found for a row.
#[derive(Clone, Debug)]
pub(crate) struct FoundRow {
    /// For each column, what each scenario showed.
    pub(crate) cells: Vec<Vec<Explored>>,
}

impl FoundRow {
    pub(crate) fn states(&self) -> usize {
        self.cells.iter().flatten().map(|one| one.states).sum()
    }

    /// The letters of a cell.
    pub(crate) fn letters(&self, column: usize) -> String {
        let each = self.cells[column].iter().map(|one| one.anomalies);
        each.fold(crate::anomaly::Anomalies::default(), crate::anomaly::Anomalies::with).to_string()
    }

    /// The shortest way to an anomaly of a cell.
    pub(crate) fn trace(&self, column: usize, anomaly: Anomaly) -> Option<String> {
        self.cells[column].iter().filter_map(|one| one.trace(anomaly)).min_by_key(String::len)
    }
}

/// Explores tables.
pub(crate) fn explore_tables(tables: &[Table]) -> Vec<Vec<FoundRow>> {
    let cells = || tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.cells);
    let scenarios: Vec<Scenario> = cells().flat_map(|(scenarios, _)| scenarios).cloned().collect();
    let mut found = explore_all(&scenarios).into_iter();
    let mut row = |row: &crate::catalogue::Row| FoundRow {
        cells: row
            .cells
            .iter()
            .map(|(scenarios, _)| found.by_ref().take(scenarios.len()).collect())
            .collect(),
    };
    tables.iter().map(|table| table.rows.iter().map(&mut row).collect()).collect()
}

const LETTERS: [Anomaly; 9] = Anomaly::ALL;

/// The whole document.
pub(crate) fn document(tables: &[(Table, Vec<FoundRow>)], mechanisms: &[(Taken, Explored)]) -> String {
    let mut out = String::from(HEAD);
    for anomaly in LETTERS {
        let _ = writeln!(out, "| {} | {} |", anomaly.letter(), anomaly.meaning());
    }
    for (table, found) in tables {
        let _ = write!(out, "\n## {}\n\n| |", table.title);
        table.columns.iter().for_each(|column| write!(out, " {column} |").unwrap_or_default());
        let _ = writeln!(out, " states |\n|{}", "---|".repeat(table.columns.len() + 2));
        for (row, found) in table.rows.iter().zip(found) {
            let _ = write!(out, "| {} |", row.name);
            (0..row.cells.len())
                .for_each(|column| write!(out, " {} |", found.letters(column)).unwrap_or_default());
            let _ = writeln!(out, " {} |", thousands(found.states()));
        }
    }
    out.push_str(MECHANISMS);
    for (taken, found) in mechanisms {
        let without: Vec<String> = taken.without.iter().map(|one| format!("{one:?}")).collect();
        let _ = write!(out, "\n* **{}**, without {}", taken.name, without.join(" and "));
        let _ = writeln!(out, ", {}:", faults(&taken.scenario.faults));
        for anomaly in taken.shows {
            let trace = found.trace(*anomaly).unwrap_or_else(|| "not found".to_owned());
            let _ = writeln!(out, "  {}: {trace}.", anomaly.letter());
        }
    }
    out
}

fn faults(faults: &Faults) -> String {
    let Faults { crash, evict, failover, lost, cut, reorder } = *faults;
    let each = [
        (crash, "writer dies"),
        (evict, "evictions"),
        (failover > 0, "failover"),
        (lost, "answers lost"),
        (cut, "bus cut"),
        (reorder, "messages overtake"),
    ];
    let named: Vec<&str> = each.iter().filter(|(may, _)| *may).map(|(_, name)| *name).collect();
    if named.is_empty() { "no fault".to_owned() } else { named.join(", ") }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

const HEAD: &str = "\
# What the model finds

Written by `tests/protocol`, which says what is modelled; do not edit, run its tests with `TIERSTACK_WRITE_TABLE=1`.

Every reachable state was visited, of two or three writers and one to three readers of one key. In every column, any
transaction may abort, any load fail, and any life end at any moment. A dash: no state shows anything of this:

| | a lookup that begins and reads in that state |
|---|---|
";

const MECHANISMS: &str = "
## Each mechanism, taken out

What is found then, by the shortest way, and is not found with it. `C` numbers are those of the specification.
";
