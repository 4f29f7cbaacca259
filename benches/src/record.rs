//! The record of a run: one file of rows per bench, under the target directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A measured ratio.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The bench it belongs to.
    pub bench: String,
    /// The row of the table in docs/performance.md.
    pub row: u32,
    /// What is measured.
    pub what: String,
    /// What stands beside it.
    pub floor: String,
    /// The most that the ratio may be, where the table says so.
    pub limit: Option<f64>,
    /// Median of the ratios.
    pub ratio: f64,
    /// Their tenth part from below, and from above.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// Median of the floor: nanoseconds per operation, or bytes.
    pub floor_value: f64,
    /// Median of ours.
    pub our_value: f64,
}

impl Row {
    /// Whether the ratio is above its limit.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.ratio > limit)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { row, what, floor, limit, ratio, low, high, floor_value, our_value, .. } = self;
        let mark = if self.is_over() { '!' } else { ' ' };
        let limit = limit.map_or(String::new(), |limit| format!("≤ {limit:.2}"));
        write!(
            f,
            "{mark} {row:>2}  {what:<52} {ratio:>6.2} × ({low:.2}–{high:.2}) {limit:>7}  {floor} ({floor_value:.1} → {our_value:.1})"
        )
    }
}

/// Where rows are kept: `ratios` in the target directory of the build.
fn directory() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().find(|path| path.ends_with("release") || path.ends_with("debug"));
    let target = target.and_then(Path::parent).context("the bench doesn't run from a target directory")?;
    Ok(target.join("ratios"))
}

pub(crate) fn write_row(row: &Row) -> Result<()> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    let mut rows = read(&directory.join(&row.bench).with_extension("json")).unwrap_or_default();
    rows.retain(|there: &Row| there.what != row.what);
    rows.push(row.clone());
    fs::write(directory.join(&row.bench).with_extension("json"), serde_json::to_vec_pretty(&rows)?)?;
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Row>> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// All rows that benches have left in that directory, by row of the table.
///
/// # Errors
/// When the directory or a file in it can't be read.
pub fn read_rows(directory: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for file in fs::read_dir(directory)
        .with_context(|| format!("no record in {}: run a bench", directory.display()))?
    {
        rows.extend(read(&file?.path())?);
    }
    rows.sort_by_key(|row: &Row| row.row);
    Ok(rows)
}
