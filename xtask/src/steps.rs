//! What `cargo xtask test` runs, and how a list of steps is run and told.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::test::Environment;

/// One command of cargo, with the arguments that follow `cargo`.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) cargo: &'static [&'static str],
    /// Variables that it doesn't get, though they are set.
    pub(crate) without: &'static [&'static str],
}

/// Every step of `cargo xtask test`, in order. Examples that must run, and not only compile, have a line here.
pub(crate) const TEST: &[Step] = &[
    Step { name: "tests", cargo: &["test", "--workspace", "--all-features"], without: &[] },
    Step { name: "example: quickstart", cargo: &["run", "--example", "quickstart"], without: &[] },
    Step { name: "example: drop_in", cargo: &["run", "--example", "drop_in"], without: &[] },
    Step { name: "example: storefront", cargo: STOREFRONT, without: &[] },
    Step { name: "example: storefront, catalogue made up", cargo: STOREFRONT, without: &["TIERSTACK_DATA"] },
];

const STOREFRONT: &[&str] = &["run", "--example", "storefront", "--", "--check"];

/// Runs the steps in order, up to the first that fails. What they print is passed through; a table of their seconds comes
/// last.
///
/// # Errors
/// When a step can't be run or fails.
pub(crate) fn run(steps: &[Step], root: &Path, environment: &Environment) -> Result<()> {
    let mut taken = Vec::new();
    let mut outcome = Ok(());
    for step in steps {
        println!("\n==> {}: cargo {}", step.name, step.cargo.join(" "));
        let (seconds, result) = timed(|| run_cargo(step.cargo, step.without, root, environment));
        println!("<== {}: {:.1} s", step.name, seconds.as_secs_f64());
        taken.push((step.name, seconds, result.is_ok()));
        if result.is_err() {
            outcome = result.context(step.name);
            break;
        }
    }
    println!();
    for (name, seconds, well) in &taken {
        println!("{:>8.1} s  {}  {name}", seconds.as_secs_f64(), if *well { "ok    " } else { "FAILED" });
    }
    for step in &steps[taken.len()..] {
        println!("         -  not run  {}", step.name);
    }
    outcome
}

pub(crate) fn cargo(arguments: &[&str], root: &Path, environment: &Environment) -> Result<()> {
    run_cargo(arguments, &[], root, environment)
}

fn run_cargo(arguments: &[&str], without: &[&str], root: &Path, environment: &Environment) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).envs(environment).current_dir(root);
    for variable in without {
        command.env_remove(variable);
    }
    let status = command.status().context("can't run cargo")?;
    if !status.success() {
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step took is for the reader, nothing depends on it"
)]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}
