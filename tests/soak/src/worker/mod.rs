//! A worker process: one node, which reads and writes at random until it is told to stop.
//!
//! The driver speaks on standard input, a word a line; the worker says on standard output how many operations it has done.
//! `drain`: no operation begins, and undelivered invalidations are delivered; answered `drained`. `scan`: every key is
//! read; answered `scanned`. `end`, or the end of input: it ends.

mod node;
pub mod settings;
mod write;

use std::io::{BufRead, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use node::Node;
use settings::{Role, WorkerSettings};
use tierstack_core::Accept;
use tierstack_postgres::PgEntity;
use tokio::sync::mpsc;
use write::Change;

use crate::entity::{Item, ItemMark, KEYS, NextItem, SHELVES, Shape};

/// Tasks that call at once.
const TASKS: u64 = 8;

/// How often progress is told, and what was not delivered repeated.
const BEAT: Duration = Duration::from_millis(20);

/// Beats before it is given up that all can be delivered: 20 s.
const DRAIN_BEATS: u32 = 1_000;

/// Runs a worker until it is told to end.
///
/// # Errors
/// When its settings are wrong or its file can't be written.
pub fn run(settings: WorkerSettings) -> Result<()> {
    // One that stands still when its driver dies would stay for ever.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (tell, told) = mpsc::channel(8);
    // A thread of its own, as standard input can't be waited for otherwise.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if tell.blocking_send(line).is_err() {
                return;
            }
        }
    });
    runtime.block_on(async move {
        match settings.role {
            Role::Whole | Role::Plain => work::<Item>(settings, told).await,
            Role::Next => work::<NextItem>(settings, told).await,
            Role::Mark => work::<ItemMark>(settings, told).await,
        }
    })
}

async fn work<E: Shape + PgEntity>(settings: WorkerSettings, mut told: mpsc::Receiver<String>) -> Result<()> {
    let seed = settings.seed;
    let node = Arc::new(Node::<E>::new(settings)?);
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (node, done, stop) = (Arc::clone(&node), Arc::clone(&done), Arc::clone(&stop));
        let mut random = Picks::new(seed ^ task << 56);
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                operation(&node, &mut random).await?;
                done.fetch_add(1, Ordering::Relaxed);
                // A hit never waits: others would never run.
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        }));
    }
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                node.deliver().await?;
                say(&format!("ops {}", done.load(Ordering::Relaxed)))?;
            }
            word = told.recv() => match word.as_deref() {
                Some("drain") => {
                    stop.store(true, Ordering::Relaxed);
                    for task in tasks.drain(..) {
                        task.await??;
                    }
                    let mut beats = 0;
                    while !node.deliver().await? {
                        beats += 1;
                        ensure!(beats < DRAIN_BEATS, "invalidations can't be delivered");
                        beat.tick().await;
                    }
                    say("drained")?;
                }
                Some("scan") => {
                    node.scan().await?;
                    say("scanned")?;
                }
                _ => return node.end().await,
            },
        }
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

async fn operation<E: Shape + PgEntity>(node: &Node<E>, random: &mut Picks) -> Result<()> {
    let pk = random.key();
    match random.0.u32(..100) {
        0..20 => node.get(pk).await,
        20..40 => node.lookup(&[pk], Accept::Stale, false).await,
        40..48 => node.lookup(&random.keys(), Accept::Stale, false).await,
        48..52 => node.objects(&random.keys()).await,
        52..55 => node.lookup(&[pk], Accept::Fresh, false).await,
        55..60 => node.lookup(&[pk], Accept::Stale, true).await,
        60..65 => node.list(random.0.u8(..SHELVES)).await,
        65..68 => node.rows_of(random.0.u8(..SHELVES)).await,
        68..74 => node.slug(pk, random.0.u8(..2)).await,
        74..77 => {
            node.evict(pk);
            Ok(())
        }
        _ => {
            let (shelf, parity) = (random.0.u8(..SHELVES), random.0.u8(..2));
            let change = match random.0.u32(..10) {
                0 => Change::Delete,
                1..3 => Change::Insert { shelf, parity },
                _ => Change::Update { shelf, parity },
            };
            let rolled_back = random.0.u32(..10) == 0;
            node.write(pk, change, rolled_back).await
        }
    }
}

/// Draws, from one seed.
struct Picks(fastrand::Rng, Vec<f64>);

impl Picks {
    /// Keys by Zipf's law: the most asked is asked a hundred times as often as the least.
    fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=KEYS).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Picks(fastrand::Rng::with_seed(seed), sums.collect())
    }

    fn key(&mut self) -> u32 {
        let Picks(random, sums) = self;
        let draw = random.f64() * sums.last().copied().unwrap_or_default();
        u32::try_from(sums.partition_point(|sum| *sum < draw)).unwrap_or(0).min(KEYS - 1)
    }

    fn keys(&mut self) -> Vec<u32> {
        let count = self.0.usize(2..7);
        (0..count).map(|_| self.key()).collect()
    }
}
