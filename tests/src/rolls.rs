//! The dice of a simulated run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Draws from one seed; clones share it.
#[derive(Clone, Debug)]
pub struct Rolls(Arc<Mutex<fastrand::Rng>>);

impl Rolls {
    /// What is drawn follows from the seed and the order of the draws.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Rolls(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    fn draw<T>(&self, with: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something that happens so many times in a hundred.
    #[must_use]
    pub fn chance(&self, percent: u32) -> bool {
        self.draw(|rng| rng.u32(..100)) < percent
    }

    /// A number below `end`.
    #[must_use]
    pub fn below(&self, end: usize) -> usize {
        self.draw(|rng| rng.usize(..end))
    }

    /// A step of an unknown length: none, a turn or two of the other tasks, or up to so many milliseconds.
    pub async fn pause(&self, most_ms: u64) {
        let (kind, turns, ms) = self.draw(|rng| (rng.u32(..4), rng.u32(1..4), rng.u64(..=most_ms)));
        match kind {
            0 => {}
            1 => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            _ => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }

    /// Longer than anybody waits.
    pub async fn forever(&self) {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
}
