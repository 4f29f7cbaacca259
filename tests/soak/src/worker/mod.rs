//! A worker process: one node, which reads and writes at random until it is told to stop.
//!
//! The driver speaks on standard input, a word a line; the worker says on standard output how many operations it has done.
//! `drain`: no operation begins, and undelivered invalidations are delivered; answered `drained`. `scan`: every key is
//! read; answered `scanned`. `end`, or the end of input: it ends.

mod deafened;
mod plain;
pub mod settings;
mod transactional;

use std::io::{BufRead, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use deafened::Deafened;
use plain::Plain;
use settings::{Role, WorkerSettings, bus, freshness, settings as limits};
use tierstack_core::{L1, Namespace};
use tierstack_postgres::deadpool_postgres::{Config, Pool, PoolConfig, Runtime};
use tierstack_postgres::tokio_postgres::NoTls;
use tierstack_postgres::transactions::Mode;
use tierstack_postgres::{PgEntity, PgOrigin};
use tierstack_redis::{RedisSettings, RedisTier};
use tokio::sync::mpsc;
use transactional::Transactional;

use crate::calls::{Call, Draws};
use crate::entity::{Item, ItemMark, KEYS, NextItem, Shape};
use crate::monotonic;
use crate::node::{Calls, Node, Notes};
use crate::record::{Record, Recorder};
use crate::write::Writer;

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

impl Notes for Recorder {
    fn now(&self) -> u64 {
        monotonic::now()
    }

    fn note(&self, record: &Record) -> Result<()> {
        Ok(Recorder::note(self, record)?)
    }
}

fn pool(settings: &WorkerSettings, most: usize) -> Result<Pool> {
    let mut config = Config::new();
    config.url = Some(settings.postgres.clone());
    config.application_name = Some(format!("soak-{}", settings.node));
    config.connect_timeout = Some(Duration::from_secs(2));
    config.pool = Some(PoolConfig::new(most));
    Ok(config.create_pool(Some(Runtime::Tokio1), NoTls)?)
}

async fn work<E: Shape + PgEntity>(settings: WorkerSettings, mut told: mpsc::Receiver<String>) -> Result<()> {
    let seed = settings.seed;
    let mut redis = RedisSettings::new(settings.redis.clone());
    redis.response_timeout = Duration::from_millis(500);
    redis.retry_connect_after = Duration::from_millis(20);
    let tier = RedisTier::new(redis)?;
    let builder = Namespace::builder("soak").bus(bus());
    let builder = if settings.deaf { builder.l2(Deafened(tier)) } else { builder.l2(tier) };
    let namespace = builder.build()?;
    let items = namespace
        .cache::<E>()
        .l1(L1::capacity(10_000))
        .origin(PgOrigin::new(pool(&settings, 8)?))
        .freshness(freshness())
        .settings(limits())
        .build()?;
    let recorder = Arc::new(Recorder::create(&settings.history)?);
    let connections = pool(&settings, 4)?;
    let writer: Box<dyn Writer> = match settings.role {
        // One that is to tell nobody can't write by what tells.
        _ if settings.mute => Box::new(Plain(connections)),
        Role::Plain => Box::new(Plain(connections)),
        Role::Next => Box::new(Transactional::new(&namespace, connections, Mode::Fast)?),
        Role::Whole | Role::Mark => Box::new(Transactional::new(&namespace, connections, Mode::Strict)?),
    };
    let node = Node::new(settings.node, items, writer, recorder.clone(), KEYS)?.mute(settings.mute);
    let node = Arc::new(node);
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (node, done, stop) = (Arc::clone(&node), Arc::clone(&done), Arc::clone(&stop));
        let mut draws = Draws::new(seed ^ task << 56, KEYS);
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                node.call(draws.call()).await?;
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
                    node.call(Call::Scan).await?;
                    say("scanned")?;
                }
                _ => {
                    namespace.shutdown().await;
                    return Ok(recorder.flush()?);
                }
            },
        }
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
