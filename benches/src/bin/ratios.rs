//! Prints what the benches have measured, in one table: `cargo xtask ratios`.

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("this doesn't run from a target directory")?;
    let rows = benches::read_rows(&target.join("ratios"))?;
    println!("\nratio to the floor: the median of alternating slices, and its 10th and 90th percentile\n");
    for row in &rows {
        println!("{row}");
    }
    let over = rows.iter().filter(|row| row.is_over()).count();
    println!("\n{} rows, {over} over their limit", rows.len());
    Ok(())
}
