//! Takes one mechanism out at a time, and sees which checker of answers notices.
//!
//! One build of the tests, with a flag that no release has, reads from a variable what is off: see
//! `tierstack_core::mutants`. A suite counts only if its checker of answers said what was wrong, not if anything else
//! failed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::steps::{ENCODED_FLAGS, flags};
use crate::test::Environment;

/// As `tierstack_core::mutants::Mechanism` names them.
const MECHANISMS: [&str; 5] = ["right", "snapshot", "reservation", "heartbeat", "floor"];

/// A suite that judges answers.
struct Suite {
    name: &'static str,
    cargo: &'static [&'static str],
    with: &'static [(&'static str, &'static str)],
    /// What it says if answers were wrong, and not otherwise.
    verdict: &'static str,
}

const SUITES: [Suite; 3] = [
    Suite {
        name: "model",
        cargo: &["test", "--package", "tests-protocol", "--", "what_is_found"],
        with: &[],
        verdict: ", not ",
    },
    Suite {
        name: "simulation",
        cargo: &["test", "--package", "tests", "--test", "sim", "--", "storm::no_answer"],
        with: &[("TIERSTACK_SEEDS", "4000")],
        verdict: "replay it:",
    },
    Suite {
        name: "live",
        cargo: &[
            "run",
            "--package",
            "tierstack-soak",
            "--bin",
            "soak",
            "--",
            "--ops",
            "60000",
            "--seed",
            "1",
            "--faults",
            "all",
        ],
        with: &[],
        verdict: "anomalies:",
    },
];

/// Runs all suites without each mechanism, and with all of them; prints which suite noticed what.
///
/// # Errors
/// When a suite fails with all mechanisms in place, or none notices that one is missing.
pub(crate) fn run(root: &Path, environment: &Environment) -> Result<()> {
    let mut rows = Vec::new();
    for off in [None].into_iter().chain(MECHANISMS.map(Some)) {
        let mut noticed = Vec::new();
        for suite in &SUITES {
            let found = judge(suite, off, root, environment)?;
            println!(
                "{:>12}  {:<12} {}",
                off.unwrap_or("-"),
                suite.name,
                if found { "RED" } else { "green" }
            );
            noticed.push(found);
        }
        rows.push((off, noticed));
    }
    println!("\n| without | {} |", SUITES.map(|suite| suite.name).join(" | "));
    println!("|---|{}", "---|".repeat(SUITES.len()));
    for (off, noticed) in &rows {
        let cells = noticed.iter().map(|found| if *found { "noticed" } else { "" });
        println!("| {} | {} |", off.unwrap_or("nothing"), cells.collect::<Vec<_>>().join(" | "));
    }
    for (off, noticed) in &rows {
        match off {
            None => ensure!(!noticed.contains(&true), "a suite fails though nothing is switched off"),
            Some(off) => ensure!(noticed.contains(&true), "no suite notices that `{off}` is missing"),
        }
    }
    Ok(())
}

/// Whether the suite says that answers were wrong.
fn judge(suite: &Suite, off: Option<&str>, root: &Path, environment: &Environment) -> Result<bool> {
    let set = |variable| std::env::var(variable).ok();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(suite.cargo).envs(environment).envs(suite.with.iter().copied()).current_dir(root);
    command.env("CARGO_TARGET_DIR", "target/mutants");
    command.env(ENCODED_FLAGS, flags(set(ENCODED_FLAGS), set("RUSTFLAGS"), &["--cfg", "tierstack_mutants"]));
    command.env_remove("TIERSTACK_MUTANT").envs(off.map(|off| ("TIERSTACK_MUTANT", off)));
    let output = command.stderr(Stdio::piped()).output().context("can't run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let found = !output.status.success() && said.contains(suite.verdict);
    ensure!(
        found || output.status.success(),
        "{} without {} fails, and not for an answer:\n{said}",
        suite.name,
        off.unwrap_or("nothing")
    );
    Ok(found)
}
