//! One measured pair.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::record::{Row, write_row};

/// A slice is made long enough that a tick of the clock and a switch of threads don't show.
const SLICE: Duration = Duration::from_millis(8);
/// Pairs that are measured; the median of their ratios is the figure.
const PAIRS: usize = 31;

/// Something to compare with its floor.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The bench it belongs to.
    pub bench: &'static str,
    /// The row of the table in docs/performance.md.
    pub row: u32,
    /// What is measured.
    pub what: &'static str,
    /// What stands beside it.
    pub floor: &'static str,
    /// The most that the ratio may be, where the table says so.
    pub limit: Option<f64>,
}

impl Pair {
    /// Runs both, `operations` at each call, and keeps the ratio of time per operation.
    pub fn run(self, mut floor: impl FnMut(), mut ours: impl FnMut(), operations: u64) {
        let repeat = calls_per_slice(&mut floor).max(calls_per_slice(&mut ours));
        let mut ratios = Vec::with_capacity(PAIRS);
        let (mut floors, mut all_ours) = (Vec::with_capacity(2 * PAIRS), Vec::with_capacity(2 * PAIRS));
        for _ in 0..PAIRS {
            let first = slice(&mut floor, repeat);
            let second = slice(&mut ours, repeat);
            let third = slice(&mut ours, repeat);
            let fourth = slice(&mut floor, repeat);
            ratios.push((second + third).as_secs_f64() / (first + fourth).as_secs_f64());
            floors.extend([first, fourth]);
            all_ours.extend([second, third]);
        }
        ratios.sort_by(f64::total_cmp);
        let nanos = |slices: &mut Vec<Duration>| {
            slices.sort();
            slices[slices.len() / 2].as_nanos() as f64 / (f64::from(repeat) * operations as f64)
        };
        self.keep(
            ratios[PAIRS / 2],
            ratios[PAIRS / 10],
            ratios[PAIRS - 1 - PAIRS / 10],
            nanos(&mut floors),
            nanos(&mut all_ours),
        );
    }

    /// Keeps a ratio that was counted, not timed.
    pub fn count(self, floor: f64, ours: f64) {
        let ratio = ours / floor;
        self.keep(ratio, ratio, ratio, floor, ours);
    }

    fn keep(self, ratio: f64, low: f64, high: f64, floor_value: f64, our_value: f64) {
        let Pair { bench, row, what, floor, limit } = self;
        let row = Row {
            bench: bench.into(),
            row,
            what: what.into(),
            floor: floor.into(),
            limit,
            ratio,
            low,
            high,
            floor_value,
            our_value,
        };
        println!("{row}");
        if let Err(error) = write_row(&row) {
            println!("  the record of this run can't be written: {error:#}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time, and decides nothing by it")]
fn slice(work: &mut impl FnMut(), repeat: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..repeat {
        work();
    }
    start.elapsed()
}

fn calls_per_slice(work: &mut impl FnMut()) -> u32 {
    let mut repeat = 1;
    while slice(work, repeat) < SLICE / 2 {
        repeat = repeat.saturating_mul(2);
    }
    repeat
}

/// Runs `work` on as many threads at once, and waits for all.
pub fn threads(count: usize, work: impl Fn(usize) + Sync) {
    let work = &work;
    std::thread::scope(|scope| {
        for thread in 0..count {
            scope.spawn(move || work(black_box(thread)));
        }
    });
}
