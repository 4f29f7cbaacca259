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
    without: &'static [&'static str],
    /// Variables that it gets.
    with: &'static [(&'static str, &'static str)],
    /// Flags of the compiler, besides those that are set.
    flags: &'static [&'static str],
}

impl Step {
    const fn new(name: &'static str, cargo: &'static [&'static str]) -> Self {
        Step { name, cargo, without: &[], with: &[], flags: &[] }
    }
}

/// Every step of `cargo xtask test`, in order. Examples that must run, and not only compile, have a line here.
pub(crate) const TEST: &[Step] = &[
    Step::new("tests", &["test", "--workspace", "--all-features"]),
    SCHEDULES,
    Step::new("soak", SOAK),
    Step::new("soak: every fault", SOAK_FAULTS),
    Step::new("example: quickstart", &["run", "--example", "quickstart"]),
    Step::new("example: drop_in", &["run", "--example", "drop_in"]),
    Step::new("example: batch", &["run", "--example", "batch"]),
    Step::new("example: lists", &["run", "--example", "lists"]),
    Step::new("example: write_paths", &["run", "--example", "write_paths"]),
    Step::new("example: custom_tier", &["run", "--example", "custom_tier"]),
    Step::new("example: grpc", &["run", "--example", "grpc"]),
    Step::new("example: otel", &["run", "--example", "otel"]),
    Step::new("example: storefront", STOREFRONT),
    Step { without: &["TIERSTACK_DATA"], ..Step::new("example: storefront, catalogue made up", STOREFRONT) },
    Step::new("example: storefront, in a browser", STOREFRONT_PAGE),
];

/// Single flight under a scheduler that tries many interleavings, and how many. With its flag all dependencies are built
/// again, so it has a directory of its own; optimised, it takes a tenth of the time.
const SCHEDULES: Step = Step {
    with: &[("CARGO_TARGET_DIR", "target/shuttle"), ("CARGO_PROFILE_TEST_OPT_LEVEL", "1")],
    flags: &["--cfg", "shuttle"],
    ..Step::new(
        "schedules",
        &["test", "--package", "tierstack-core", "--lib", "--", "schedules", "--show-output"],
    )
};

/// 100,000 operations of several processes, with every read checked: first with nothing wrong, then with all that can be.
const SOAK: &[&str] = &["run", "--package", "tierstack-soak", "--bin", "soak", "--", "--ops", "30000"];
const SOAK_FAULTS: &[&str] =
    &["run", "--package", "tierstack-soak", "--bin", "soak", "--", "--ops", "70000", "--faults", "all"];

const STOREFRONT: &[&str] = &["run", "--example", "storefront", "--", "--check"];
const STOREFRONT_PAGE: &[&str] = &["run", "--example", "storefront", "--", "--check-page"];

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
        let (seconds, result) = timed(|| run_step(step, root, environment));
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

/// Runs cargo with these arguments.
///
/// # Errors
/// When it can't be run or fails.
pub(crate) fn cargo(arguments: &[&str], root: &Path, environment: &Environment) -> Result<()> {
    run_command(&mut command(arguments, root, environment))
}

fn run_step(step: &Step, root: &Path, environment: &Environment) -> Result<()> {
    let mut command = command(step.cargo, root, environment);
    command.envs(step.with.iter().copied());
    for variable in step.without {
        command.env_remove(variable);
    }
    if !step.flags.is_empty() {
        let set = |variable| std::env::var(variable).ok();
        command.env(ENCODED_FLAGS, flags(set(ENCODED_FLAGS), set("RUSTFLAGS"), step.flags));
    }
    run_command(&mut command)
}

fn command(arguments: &[&str], root: &Path, environment: &Environment) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).envs(environment).current_dir(root);
    command
}

fn run_command(command: &mut Command) -> Result<()> {
    let status = command.status().context("can't run cargo")?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Where cargo looks for flags of the compiler first; `RUSTFLAGS`, with spaces between them, comes second.
pub(crate) const ENCODED_FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";

/// Those that are set in either variable, as cargo would take them, and `more`: encoded.
pub(crate) fn flags(encoded: Option<String>, plain: Option<String>, more: &[&str]) -> String {
    const SEPARATOR: char = '\u{1f}';
    let set = match (&encoded, &plain) {
        (Some(encoded), _) => encoded.split(SEPARATOR).collect(),
        (None, Some(plain)) => plain.split_whitespace().collect(),
        (None, None) => Vec::new(),
    };
    let all = set.iter().chain(more).copied().filter(|flag| !flag.is_empty());
    all.collect::<Vec<_>>().join(&SEPARATOR.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_step_are_added_to_those_that_are_set() {
        let with = |encoded: Option<&str>, plain: Option<&str>| {
            flags(encoded.map(String::from), plain.map(String::from), &["--cfg", "shuttle"])
        };
        assert_eq!(with(None, None), "--cfg\u{1f}shuttle");
        assert_eq!(with(None, Some("-D  warnings ")), "-D\u{1f}warnings\u{1f}--cfg\u{1f}shuttle");
        assert_eq!(with(Some("-C\u{1f}a=b c"), Some("-g")), "-C\u{1f}a=b c\u{1f}--cfg\u{1f}shuttle");
        assert_eq!(with(Some(""), None), "--cfg\u{1f}shuttle");
    }
}
