//! The tasks of this repository: `cargo xtask --help`.

mod mutants;
mod steps;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
The tasks of this repository. `.ci/run` runs all that must hold before a change is taken.

cargo xtask test [--long]   run every test, doctest and example against a private Redis and Postgres, and
                            in a browser, which are installed if need be and end with the run;
                            --long: also the tests that take minutes
cargo xtask ratios [BENCH]  run the benches, or that one, and print their ratios to their floors in one table
cargo xtask soak [OPTION]   several processes, real servers, faults, and a checker of all that was read:
                            --ops N --seed S --faults LIST --processes P; --help says more
cargo xtask mutants         take one mechanism out at a time, and see which checker of answers notices: minutes each
cargo xtask tidy            check the rules of the house that the compiler doesn't: who may depend on whom,
                            rust-version, links in documents, lints

TIERSTACK_REDIS_URL and TIERSTACK_POSTGRES_URL name servers to use instead of private ones.
TIERSTACK_DATA names a directory of test data; without it `../shared/data` is taken if it is there.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["test"] => test::run(test::Length::Short),
        ["test", "--long"] => test::run(test::Length::Long),
        ["ratios"] => ratios(&["bench", "--package", "benches"]),
        ["ratios", bench] => ratios(&["bench", "--package", "benches", "--bench", bench]),
        ["soak", options @ ..] => soak(options),
        ["mutants"] => {
            let root = root()?;
            test::with_servers(&root, |environment| mutants::run(&root, environment))
        }
        ["tidy"] => tidy::run(),
        [] | ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("no task `{}`\n\n{HELP}", other.join(" ")),
    }
}

/// Runs benches, and prints what all of them have left in the target directory.
fn ratios(benches: &[&str]) -> Result<()> {
    let root = root()?;
    test::with_servers(&root, |environment| {
        steps::cargo(benches, &root, environment)?;
        let print = ["run", "--quiet", "--release", "--package", "benches", "--bin", "ratios"];
        steps::cargo(&print, &root, environment)
    })
}

/// Runs the live proof, with servers of its own.
fn soak(options: &[&str]) -> Result<()> {
    let run = ["run", "--quiet", "--release", "--package", "tierstack-soak", "--bin", "soak", "--"];
    steps::cargo(&[&run, options].concat(), &root()?, &test::Environment::new())
}

/// The root of the workspace, and where every step runs.
fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).context("this package is at the root of a file system")
}
