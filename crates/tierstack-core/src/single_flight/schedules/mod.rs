//! Single flight as it ships, under a scheduler that tries many interleavings at every lock and every await.
//!
//! Each test is one small scene, played in [`RANDOM`] schedules drawn at random and [`PRIORITIES`] in which few tasks are
//! held back at a few points. A lost wakeup is a deadlock, which the scheduler reports; a failure prints its schedule, which
//! `shuttle::replay` plays again. The deadlines of lookups are left out: a lookup that goes is one that is dropped.

mod bounds;
mod detaching;
mod leaving;
mod rig;
mod sharing;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rig::Rig;

use crate::sync::Handle;

/// How many schedules are drawn at random for each test.
const RANDOM: usize = 10_000;
/// How many more are drawn with priorities, and at how many points these change.
const PRIORITIES: usize = 2_000;
const CHANGES: usize = 3;
/// How many are played twice, to see that nothing but the schedule decides what happens.
const TWICE: usize = 200;

/// Plays a scene in every schedule. At its end nothing is left behind, and a key still answers.
fn play<F: Future<Output = Rig>>(scene: impl Fn() -> F + Send + Sync + 'static) {
    let played = Arc::new(AtomicUsize::new(0));
    let play = {
        let played = Arc::clone(&played);
        move || {
            Handle::start();
            shuttle::future::block_on(async { scene().await.end().await });
            played.fetch_add(1, Ordering::Relaxed);
        }
    };
    let play = Arc::new(play);
    let (again, twice) = (Arc::clone(&play), Arc::clone(&play));
    shuttle::check_random(move || play(), RANDOM);
    shuttle::check_pct(move || again(), PRIORITIES, CHANGES);
    shuttle::check_uncontrolled_nondeterminism(move || twice(), TWICE);
    let played = played.load(Ordering::Relaxed);
    println!("{played} schedules");
    assert!(played >= RANDOM, "only {played} schedules ran to their end");
}
