//! Starts servers and nodes, lets faults strike, and has the checker judge what the nodes have noted.

mod faults;
mod options;
mod process;
mod proxy;
mod scene;

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
pub use options::{HELP, Options};
use scene::Scene;

use crate::checker::{Bounds, Report, State, Timeline, Written};
use crate::entity::parity;
use crate::monotonic::now;
use crate::record;
use crate::worker::settings::{BEHIND, freshness, settings};

/// How long the driver sleeps between two looks at the nodes, and between two faults.
const REST: Duration = Duration::from_millis(250);

/// The coarse clock by which L1 judges ticks this often, at worst.
const TICK: Duration = Duration::from_millis(12);

/// What a busy machine may add to times that nothing but a clock bounds.
const BUSY: Duration = Duration::from_secs(1);

/// Runs, prints the figures, and says whether nothing was found.
///
/// # Errors
/// When a server or a node fails in a way that no fault explains.
pub fn run(options: &Options) -> Result<bool> {
    let names: Vec<&str> = options.faults.iter().map(|fault| fault.name).collect();
    let Options { ops, seed, processes, .. } = options;
    println!("soak: {ops} operations, seed {seed}, {processes} processes, faults: {}", names.join(","));
    let start = now();
    let mut scene = Scene::start(options)?;
    let begun = now();
    let mut struck = 0;
    loop {
        sleep(REST);
        let done = scene.ops()?;
        if done >= *ops && struck >= options.faults.len() {
            break;
        }
        if let Some(fault) = options.faults.get(struck % options.faults.len().max(1)) {
            let at = now();
            (fault.strike)(&mut scene).with_context(|| format!("fault {}", fault.name))?;
            struck += 1;
            println!("  {:>7.1} s  {:<18} {:.1} s", seconds(begun, at), fault.name, seconds(at, now()));
        }
    }
    let done = scene.ops()?;
    let took = seconds(begun, now());
    scene.all("drain", "drained")?;
    // Whatever was never told of lives no longer than this.
    let bounds = bounds(options);
    sleep(freshness().longest() + settings().load_timeout + TICK);
    scene.all("scan", "scanned")?;
    let log = scene.end()?;
    let report = judge(&scene, bounds, &log)?;
    println!("{done} operations in {took:.1} s, {:.0} a second; {struck} faults struck", done as f64 / took);
    println!("{report}");
    let mut complaints = Vec::new();
    if report.anomalies() > 0 {
        complaints.push(format!("{} anomalies", report.anomalies()));
    }
    if report.is_tame() {
        complaints
            .push("too tame: fewer than 1 % of the reads overlapped a write to the same key".to_owned());
    }
    if options.faults.is_empty() && report.failed > 0 {
        complaints.push(format!("{} reads failed, and there was no fault", report.failed));
    }
    println!("all: {:.1} s", seconds(start, now()));
    if complaints.is_empty() {
        scene.forget_histories()?;
        return Ok(true);
    }
    println!("FAILED: {}; the notes are in {}", complaints.join("; "), scene.directory().display());
    Ok(false)
}

fn seconds(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to - from).as_secs_f64()
}

fn bounds(options: &Options) -> Bounds {
    let settings = settings();
    // A load that stands still in the middle is that much older when it is stored.
    let stands = options.faults.iter().map(|fault| fault.stands_still).max().unwrap_or_default();
    Bounds {
        l1: BEHIND + TICK,
        life: settings.load_timeout + freshness().longest() + stands + BUSY,
        deadline: settings.lookup_timeout + BUSY,
        strict: !options.faults.iter().any(|fault| fault.forgets),
    }
}

/// Two passes over the notes: what was written, and then what was read.
fn judge(scene: &Scene, bounds: Bounds, log: &str) -> Result<Report> {
    let log: Vec<Written> = log.lines().map(written).collect::<Result<_>>()?;
    let mut timeline = Timeline::new(bounds, log);
    for (node, path) in &scene.histories {
        record::read(path, |record| timeline.note(*node, &record))?;
    }
    for (node, at) in &scene.told.gone {
        timeline.gone(*node, *at);
    }
    for when in &scene.told.restored {
        timeline.restored(*when);
    }
    for (node, when) in &scene.told.paused {
        timeline.paused(*node, *when);
    }
    let mut judge = timeline.finish().map_err(anyhow::Error::msg)?;
    for (node, path) in &scene.histories {
        record::read(path, |record| judge.read(*node, &record))?;
    }
    Ok(judge.report())
}

/// A line of the log.
fn written(line: &str) -> Result<Written> {
    let fields: Vec<&str> = line.split('|').collect();
    let [pk, version, op, shelf, slug] = fields[..] else { anyhow::bail!("no line of a log: {line}") };
    let pk = pk.parse()?;
    let state = match shelf {
        "" => None,
        shelf => {
            let parity = parity(pk, slug).with_context(|| format!("no slug of that row: {line}"))?;
            Some(State { shelf: shelf.parse()?, parity })
        }
    };
    Ok(Written { pk, version: version.parse()?, op: op.parse()?, state })
}
