//! Random draws, as an argument: one seed replays a run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Token;

/// A source of random draws: the thread's own generator, or one seed shared by all clones.
#[derive(Clone, Default)]
pub struct Random(Option<Arc<Mutex<fastrand::Rng>>>);

impl Random {
    /// Draws from a generator of the thread, seeded by the system.
    #[must_use]
    pub fn system() -> Self {
        Random(None)
    }

    /// Draws from one generator started with `seed`; clones share it.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Random(Some(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)))))
    }

    fn draw<T>(&self, with: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        match &self.0 {
            None => with(&mut fastrand::Rng::new()),
            Some(rng) => with(&mut rng.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// A new token.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::from_bytes(self.draw(|rng| rng.u128(1..)).to_be_bytes())
    }

    /// A number in `0.0..1.0`.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.draw(fastrand::Rng::f64)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Random(seeded)" } else { "Random(system)" })
    }
}
