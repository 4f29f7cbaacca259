//! Nodes, L1s, L2 and origin in one process, thousands of times: each run is drawn from a seed, whatever can fail does, and
//! the checker of the live proof judges every answer.
//!
//! A run has two or three nodes, of which some have another schema or a projection, over one tier; four clients that make
//! five calls each; and an origin with transactions. Drawn are the calls, how long each step takes, which requests are
//! lost, late, repeated or answered into the void, which records are evicted, when a node is cut off for ever, when a
//! caller goes away, and between which two awaits.
//!
//! `TIERSTACK_SEED=7 cargo test -p tests --test sim -- storm` runs that seed alone, and prints what was noted.

mod database;
mod faulty_bus;
mod faulty_tier;
mod history;
mod run;

use std::fmt::Write as _;

use run::{Sabotage, Storm};

/// How many runs there are, unless `TIERSTACK_SEEDS` says so.
const SEEDS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// No seed of many finds an answer that was not to be given.
#[test]
fn no_answer_of_any_run_was_not_to_be_given() {
    if let Some(seed) = number("TIERSTACK_SEED") {
        let storm = Storm::run(seed, Sabotage::None);
        println!("{}{}", storm.told(), storm.report());
        assert_eq!(storm.report().anomalies(), 0, "seed {seed}");
        return;
    }
    let seeds = number("TIERSTACK_SEEDS").unwrap_or(match std::env::var_os("TIERSTACK_LONG") {
        Some(_) => 20 * SEEDS,
        None => SEEDS,
    });
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let (reads, overlapping) = std::thread::scope(|scope| {
        let run = |first| {
            scope.spawn(move || (first..seeds).step_by(threads as usize).map(counts).fold((0, 0), sum))
        };
        let runs: Vec<_> = (0..threads).map(run).collect();
        runs.into_iter().map(|run| run.join().expect("a seed failed: see above")).fold((0, 0), sum)
    });
    println!("{seeds} seeds, {reads} reads of rows, {overlapping} of them during a write of the same key");
    assert!(overlapping * 100 >= reads, "too tame");
}

fn sum(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    (one.0 + other.0, one.1 + other.1)
}

/// How many reads of rows a seed has, and how many of them overlap a write; fails if one was not to be answered so.
fn counts(seed: u64) -> (u64, u64) {
    let storm = Storm::run(seed, Sabotage::None);
    let report = storm.report();
    assert_eq!(
        report.anomalies(),
        0,
        "{}{report}\nreplay it: TIERSTACK_SEED={seed} cargo test -p tests --test sim -- storm",
        storm.told()
    );
    (report.reads, report.overlapping)
}

/// One seed is one run, to the last note.
#[test]
fn a_seed_replays() {
    for seed in 0..200 {
        let told = || Storm::run(seed, Sabotage::None).told();
        let (first, second) = (told(), told());
        let differs = first.lines().zip(second.lines()).position(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}:\n{first}\nand then\n{second}");
        assert_eq!(first, second, "seed {seed}");
    }
}

/// What is broken on purpose is found, and soon.
#[test]
fn what_is_broken_is_found() {
    let mut told = String::new();
    for sabotage in Sabotage::ALL {
        let found = (0..2_000).find(|seed| Storm::run(*seed, sabotage).report().anomalies() > 0);
        writeln!(told, "{sabotage:?}: found by seed {found:?}").unwrap();
        assert!(found.is_some(), "{sabotage:?}: not found by 2,000 seeds");
    }
    println!("{told}");
}
