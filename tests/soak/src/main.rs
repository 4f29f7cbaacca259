//! `soak`: the driver of a run, and, when it is started by it, a worker.

use std::process::ExitCode;

use anyhow::Result;
use tierstack_soak::driver::{self, Options};
use tierstack_soak::worker::{self, settings::WorkerSettings};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was found.
fn run(words: &[String]) -> Result<bool> {
    match words {
        [first, rest @ ..] if first == "worker" => {
            worker::run(WorkerSettings::parse(rest)?)?;
            Ok(true)
        }
        [first, ..] if first == "--help" || first == "-h" => {
            println!("{}", driver::HELP);
            Ok(true)
        }
        _ => driver::run(&Options::parse(words)?),
    }
}
