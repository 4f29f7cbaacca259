//! Nodes that die, or stand still.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::driver::scene::Scene;
use crate::monotonic::now;
use crate::record::Span;

/// Twice the life of a right.
pub(super) const PAUSE: Duration = Duration::from_millis(3_400);

pub(super) fn kill(scene: &mut Scene) -> Result<()> {
    let place = scene.any_place();
    scene.replace_node(place)
}

pub(super) fn pause(scene: &mut Scene) -> Result<()> {
    let place = scene.any_place();
    let node = &scene.nodes[place];
    let start = now();
    node.signal(Signal::STOP)?;
    sleep(PAUSE);
    node.signal(Signal::CONT)?;
    let when = Span { start, end: now() };
    let node = node.node();
    scene.told.paused.push((node, when));
    Ok(())
}
