//! What happens to Redis.

use std::collections::BTreeSet;
use std::thread::sleep;

use anyhow::{Context, Result, ensure};

use super::LASTS;
use crate::driver::scene::Scene;
use crate::monotonic::now;
use crate::record::Span;
use crate::worker::settings::{BEHIND, freshness, settings};

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

/// 200 invalidations, in one step, of a key that nobody has: of 1,000 bytes, as much as no socket is to take at once.
const BURST: &str = r"local key = string.rep('k', 1000)
local message = '\241TSB\1I\0\0\3\232' .. key .. string.rep('\0', 16)
for _ = 1, 200 do redis.call('PUBLISH', KEYS[1], message) end";

fn subscribers(scene: &Scene) -> Result<BTreeSet<String>> {
    let clients = scene.redis(&["CLIENT", "LIST", "TYPE", "pubsub"])?;
    Ok(clients.lines().filter_map(|client| client.split(' ').next()).map(str::to_owned).collect())
}

/// More is told at once than Redis keeps for a subscriber: it ends all of them.
pub(super) fn output_buffer(scene: &mut Scene) -> Result<()> {
    let limit = |most| {
        let limit = format!("pubsub {most} 0 0");
        scene.redis(&["CONFIG", "SET", "client-output-buffer-limit", &limit]).map(drop)
    };
    limit("1kb")?;
    for _ in 0..4 {
        scene.until("the nodes subscribe", |scene| Ok(!subscribers(scene)?.is_empty()))?;
        let before = subscribers(scene)?;
        scene.redis(&["EVAL", BURST, "1", "soak:!bus"])?;
        ensure!(before.is_disjoint(&subscribers(scene)?), "a subscriber outlived what it can't have taken");
        sleep(LASTS / 4);
    }
    limit("32mb")
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

fn offset(says: &str) -> Result<u64> {
    let offset = says.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    offset.and_then(|offset| offset.trim().parse().ok()).context("no offset of replication")
}

fn run(says: &str) -> Option<&str> {
    says.lines().find(|line| line.starts_with("run_id:"))
}

/// The master dies, and its replica takes its place, with neither what was written a moment before nor what was invalidated.
pub(super) fn failover(scene: &mut Scene) -> Result<()> {
    let replica = scene.redis.start_replica()?;
    let run_before = scene.redis(&["INFO", "server"])?;
    // From here on the replica follows nobody: whatever the master acknowledges is lost.
    let start = now();
    replica.cli(&["REPLICAOF", "NO", "ONE"])?;
    let kept = offset(&replica.cli(&["INFO", "replication"])?)?;
    sleep(LASTS / 4);
    scene.until("what will be lost is acknowledged", |scene| {
        Ok(offset(&scene.redis(&["INFO", "replication"])?)? > kept)
    })?;
    scene.redis.fail_over_to(replica)?;
    ensure!(run(&run_before) != run(&scene.redis(&["INFO", "server"])?), "the same server answers");
    // What it had ends with its life, also what was being loaded under a right that came back; and what L1 took of it.
    sleep(settings().load_timeout + freshness().longest() + BEHIND);
    scene.told.restored.push(Span { start, end: now() });
    Ok(())
}
