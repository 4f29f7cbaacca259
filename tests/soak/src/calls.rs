//! What nodes are asked, and how often.

use fastrand::Rng;

use crate::entity::SHELVES;
use crate::write::Change;

/// One call of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `get`.
    Get(u32),
    /// `objects_by_pks`.
    Objects(Vec<u32>),
    /// `lookup` of a batch.
    Lookup(Vec<u32>),
    /// `lookup` of what is fresh only.
    Fresh(u32),
    /// `lookup` past L1.
    PastL1(u32),
    /// The keys on a shelf.
    List(u8),
    /// The rows on a shelf.
    RowsOf(u8),
    /// The key with one of the two slugs of a row.
    Slug(u32, u8),
    /// The row leaves L1.
    Evict(u32),
    /// A write, and its invalidation.
    Write {
        /// The key.
        pk: u32,
        /// What becomes of the row.
        change: Change,
        /// Whether it is taken back.
        rolled_back: bool,
    },
    /// Every row and every list.
    Scan,
}

/// Draws calls, from one seed.
#[derive(Clone, Debug)]
pub struct Draws {
    random: Rng,
    /// The weights of the keys, added up.
    sums: Vec<f64>,
}

impl Draws {
    /// Draws keys of `0..keys` by Zipf's law: each as often as its rank has it, the first the most.
    #[must_use]
    pub fn new(seed: u64, keys: u32) -> Self {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Draws { random: Rng::with_seed(seed), sums: sums.collect() }
    }

    fn key(&mut self) -> u32 {
        let draw = self.random.f64() * self.sums.last().copied().unwrap_or_default();
        let key = self.sums.partition_point(|sum| *sum < draw).min(self.sums.len() - 1);
        u32::try_from(key).unwrap_or_default()
    }

    fn keys(&mut self) -> Vec<u32> {
        let count = self.random.usize(2..7);
        (0..count).map(|_| self.key()).collect()
    }

    /// The next call.
    pub fn call(&mut self) -> Call {
        let pk = self.key();
        let (shelf, parity) = (self.random.u8(..SHELVES), self.random.u8(..2));
        match self.random.u32(..100) {
            0..20 => Call::Get(pk),
            20..40 => Call::Lookup(vec![pk]),
            40..48 => Call::Lookup(self.keys()),
            48..52 => Call::Objects(self.keys()),
            52..55 => Call::Fresh(pk),
            55..60 => Call::PastL1(pk),
            60..65 => Call::List(shelf),
            65..68 => Call::RowsOf(shelf),
            68..74 => Call::Slug(pk, parity),
            74..77 => Call::Evict(pk),
            _ => {
                let change = match self.random.u32(..10) {
                    0 => Change::Delete,
                    1..3 => Change::Insert { shelf, parity },
                    _ => Change::Update { shelf, parity },
                };
                Call::Write { pk, change, rolled_back: self.random.u32(..10) == 0 }
            }
        }
    }
}
