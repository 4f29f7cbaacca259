//! What happens to Postgres.

use std::thread::sleep;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::LASTS;
use crate::driver::scene::Scene;

pub(super) fn slow_commit(scene: &mut Scene) -> Result<()> {
    scene.psql("UPDATE slow_commit SET ms = 300")?;
    sleep(LASTS * 2);
    scene.psql("UPDATE slow_commit SET ms = 0").map(drop)
}

const OF_NODES: &str = "FROM pg_stat_activity WHERE application_name LIKE 'soak-%'";

pub(super) fn kill_sessions(scene: &mut Scene) -> Result<()> {
    for _ in 0..3 {
        scene.psql(&format!("SELECT count(pg_terminate_backend(pid)) {OF_NODES}"))?;
        sleep(LASTS / 2);
    }
    Ok(())
}

/// The postmaster takes the death of a backend for damage to the shared memory: it ends all sessions, and recovers.
pub(super) fn crash(scene: &mut Scene) -> Result<()> {
    let pid = scene.psql(&format!("SELECT pid {OF_NODES} LIMIT 1"))?;
    let pid = Pid::from_raw(pid.trim().parse().context("no session of a node")?).context("no process")?;
    kill_process(pid, Signal::KILL)?;
    // It answers until it has noticed.
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", pid.as_raw_nonzero());
    scene
        .until("Postgres recovers", |scene| Ok(scene.psql(&there).is_ok_and(|count| count.trim() == "0")))?;
    // The nodes open their connections anew.
    sleep(LASTS);
    Ok(())
}
