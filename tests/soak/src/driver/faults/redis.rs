//! What happens to Redis.

use std::thread::sleep;

use anyhow::{Context, Result};

use super::LASTS;
use crate::driver::scene::Scene;
use crate::monotonic::now;
use crate::record::Span;
use crate::worker::settings::{BEHIND, freshness};

pub(super) fn flush(scene: &mut Scene) -> Result<()> {
    for _ in 0..3 {
        scene.redis(&["FLUSHALL"])?;
        sleep(LASTS / 4);
    }
    Ok(())
}

pub(super) fn evict(scene: &mut Scene) -> Result<()> {
    for _ in 0..200 {
        // `(nil)` when there is none, which can be deleted as well.
        let key = scene.redis(&["RANDOMKEY"])?;
        scene.redis(&["DEL", &key])?;
        let special = ["soak:item:!rows", "soak:item:!all"][scene.random.usize(..2)];
        scene.redis(&["DEL", special])?;
    }
    Ok(())
}

fn with_memory(scene: &Scene, most: &str, policy: &str) -> Result<()> {
    scene.redis(&["CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", most])?;
    sleep(LASTS);
    scene.redis(&["CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction"]).map(drop)
}

pub(super) fn lru(scene: &mut Scene) -> Result<()> {
    let memory = scene.redis(&["INFO", "memory"])?;
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    // Less than is used: whatever is stored, something must go.
    let most = used.trim().parse::<u64>()?.saturating_sub(16 << 10);
    with_memory(scene, &most.to_string(), "allkeys-lru")
}

pub(super) fn full(scene: &mut Scene) -> Result<()> {
    with_memory(scene, "1", "noeviction")
}

pub(super) fn read_only(scene: &mut Scene) -> Result<()> {
    // Nobody is at that port: it serves what it has.
    scene.redis(&["REPLICAOF", "127.0.0.1", "1"])?;
    sleep(LASTS);
    scene.redis(&["REPLICAOF", "NO", "ONE"]).map(drop)
}

pub(super) fn no_scripts(scene: &mut Scene) -> Result<()> {
    scene.redis(&["ACL", "SETUSER", "default", "-eval", "-evalsha"])?;
    sleep(LASTS);
    scene.redis(&["ACL", "SETUSER", "default", "+@all"]).map(drop)
}

pub(super) fn stop(scene: &mut Scene) -> Result<()> {
    scene.redis.stop()?;
    sleep(LASTS);
    scene.redis.cont()
}

pub(super) fn restart(scene: &mut Scene) -> Result<()> {
    scene.redis.kill()?;
    sleep(LASTS / 4);
    scene.redis.restart()
}

pub(super) fn kill_clients(scene: &mut Scene) -> Result<()> {
    for _ in 0..4 {
        scene.redis(&["CLIENT", "KILL", "TYPE", "normal"])?;
        scene.redis(&["CLIENT", "KILL", "TYPE", "pubsub"])?;
        sleep(LASTS / 4);
    }
    Ok(())
}

pub(super) fn script_flush(scene: &mut Scene) -> Result<()> {
    for _ in 0..8 {
        scene.redis(&["SCRIPT", "FLUSH"])?;
        sleep(LASTS / 8);
    }
    Ok(())
}

/// What stands in Redis is what stood there a moment ago, values with their ends, and floors that are long gone.
pub(super) fn old_data(scene: &mut Scene) -> Result<()> {
    scene.redis(&["SAVE"])?;
    sleep(LASTS / 2);
    let start = now();
    scene.redis(&["DEBUG", "RELOAD", "NOSAVE"])?;
    // What came back ends with its life, and so does what L1 took of it. The next fault waits for that.
    sleep(freshness().longest() + BEHIND);
    scene.told.restored.push(Span { start, end: now() });
    Ok(())
}
