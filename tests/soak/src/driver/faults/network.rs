//! The ways of one node to the servers.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::LASTS;
use crate::driver::proxy::{Mode, Proxy};
use crate::driver::scene::Scene;

fn for_a_while(proxy: &Proxy, mode: Mode) {
    proxy.set(mode);
    sleep(LASTS * 2);
    proxy.set(Mode::Pass);
}

pub(super) fn slow_redis(scene: &mut Scene) -> Result<()> {
    for_a_while(&scene.to_redis, Mode::Delay(Duration::from_millis(30)));
    Ok(())
}

pub(super) fn silent_redis(scene: &mut Scene) -> Result<()> {
    for_a_while(&scene.to_redis, Mode::Silent);
    Ok(())
}

pub(super) fn cut_redis(scene: &mut Scene) -> Result<()> {
    for_a_while(&scene.to_redis, Mode::Cut);
    Ok(())
}

pub(super) fn slow_postgres(scene: &mut Scene) -> Result<()> {
    for_a_while(&scene.to_postgres, Mode::Delay(Duration::from_millis(40)));
    Ok(())
}

pub(super) fn cut_postgres(scene: &mut Scene) -> Result<()> {
    for_a_while(&scene.to_postgres, Mode::Cut);
    Ok(())
}
