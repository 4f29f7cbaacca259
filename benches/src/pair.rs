//! One measured pair.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::record::{Row, write_row};

/// A slice is made long enough that a tick of the clock and a switch of threads don't show.
const SLICE: Duration = Duration::from_millis(8);
/// A slice of tasks that are there all the time: long, beside what they take to begin and to end.
const LONG_SLICE: Duration = Duration::from_millis(100);
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
        let nanos = |took: Duration| took.as_nanos() as f64 / (f64::from(repeat) * operations as f64);
        self.compare(|| nanos(slice(&mut floor, repeat)), || nanos(slice(&mut ours, repeat)));
    }

    /// Runs both for a time at each call, and keeps the ratio of time per operation; each says how many it made. For tasks
    /// that are to be there all the time: with a number for each, the slowest would run alone in the end.
    pub fn run_for(self, mut floor: impl FnMut(Duration) -> u64, mut ours: impl FnMut(Duration) -> u64) {
        self.compare(|| nanos_of_each(&mut floor), || nanos_of_each(&mut ours));
    }

    /// Compares what they say that an operation takes.
    fn compare(self, mut floor: impl FnMut() -> f64, mut ours: impl FnMut() -> f64) {
        let mut ratios = Vec::with_capacity(PAIRS);
        let (mut floors, mut all_ours) = (Vec::with_capacity(2 * PAIRS), Vec::with_capacity(2 * PAIRS));
        for _ in 0..PAIRS {
            let (first, second, third, fourth) = (floor(), ours(), ours(), floor());
            ratios.push((second + third) / (first + fourth));
            floors.extend([first, fourth]);
            all_ours.extend([second, third]);
        }
        for all in [&mut ratios, &mut floors, &mut all_ours] {
            all.sort_by(f64::total_cmp);
        }
        let (low, high) = (ratios[PAIRS / 10], ratios[PAIRS - 1 - PAIRS / 10]);
        self.keep(ratios[PAIRS / 2], low, high, floors[PAIRS], all_ours[PAIRS]);
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

#[expect(clippy::disallowed_methods, reason = "a bench measures time, and decides nothing by it")]
fn nanos_of_each(work: &mut impl FnMut(Duration) -> u64) -> f64 {
    let start = Instant::now();
    let operations = work(LONG_SLICE);
    start.elapsed().as_nanos() as f64 / operations as f64
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
