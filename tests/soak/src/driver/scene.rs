//! The servers and nodes of a run, and what the driver knows of them.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tierstack_servers::{Postgres, Redis, ensure_postgres, ensure_redis};
use tokio::runtime::Runtime;

use super::Options;
use super::process::Process;
use super::proxy::Proxy;
use crate::checker::Node;
use crate::entity::{KEYS, SHELVES, slug};
use crate::monotonic::now;
use crate::record::Span;
use crate::worker::settings::{Role, WorkerSettings};

/// The database of the run.
const DATABASE: &str = "soak";

/// The node whose ways to the servers lead over proxies.
const BEHIND_PROXIES: usize = 1;

/// How long one look waits for the next.
const LOOK: Duration = Duration::from_millis(20);

/// What the checker is told besides the records.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) gone: Vec<(Node, u64)>,
    pub(crate) restored: Vec<Span>,
    pub(crate) paused: Vec<(Node, Span)>,
}

pub(crate) struct Scene {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) to_redis: Proxy,
    pub(crate) to_postgres: Proxy,
    pub(crate) nodes: Vec<Process>,
    pub(crate) random: fastrand::Rng,
    pub(crate) told: Told,
    /// Files of notes, with the node that wrote each.
    pub(crate) histories: Vec<(Node, PathBuf)>,
    /// Operations of nodes that are gone.
    past_ops: u64,
    options: Options,
    directory: PathBuf,
    // Last, as the proxies run in it.
    _runtime: Runtime,
}

impl Scene {
    /// Starts the servers, fills the table, and starts the nodes.
    pub(crate) fn start(options: &Options) -> Result<Scene> {
        ensure_postgres()?;
        ensure_redis()?;
        let postgres = Postgres::start()?;
        let redis = Redis::start()?;
        postgres.create_database(DATABASE)?;
        postgres.psql(DATABASE, include_str!("../schema.sql"))?;
        // A quarter of the keys has no row at first.
        let rows: Vec<String> = (0..KEYS)
            .filter(|pk| pk % 4 != 3)
            .map(|pk| format!("({pk}, '{}', {}, 0, 0)", slug(pk, 0), pk % u32::from(SHELVES)))
            .collect();
        let fill = format!("SET soak.op = '0'; INSERT INTO item VALUES {}", rows.join(", "));
        postgres.psql(DATABASE, &fill)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let directory = std::env::temp_dir().join(format!("tierstack-soak-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&directory)?;
        let mut scene = Scene {
            to_redis: Proxy::start(&runtime, redis.port())?,
            to_postgres: Proxy::start(&runtime, postgres.port())?,
            redis,
            postgres,
            nodes: Vec::new(),
            random: fastrand::Rng::with_seed(options.seed),
            told: Told::default(),
            histories: Vec::new(),
            past_ops: 0,
            options: options.clone(),
            directory,
            _runtime: runtime,
        };
        for place in 0..options.processes {
            let node = scene.start_node(place)?;
            scene.nodes.push(node);
        }
        Ok(scene)
    }

    fn start_node(&mut self, place: usize) -> Result<Process> {
        let node = Node::try_from(self.histories.len() + 1)?;
        let history = self.directory.join(format!("node-{node}"));
        self.histories.push((node, history.clone()));
        let proxied = place == BEHIND_PROXIES;
        let database = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/{DATABASE}");
        let (redis, postgres) = if proxied {
            (format!("redis://127.0.0.1:{}", self.to_redis.port), database(self.to_postgres.port))
        } else {
            (self.redis.url(), database(self.postgres.port()))
        };
        Process::start(WorkerSettings {
            node,
            role: Role::ALL[place % Role::ALL.len()],
            redis,
            postgres,
            history,
            seed: self.options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(node.into()),
            mute: self.options.mute && place == 0,
            deaf: self.options.deaf && place == 0,
        })
    }

    /// Operations of all nodes up to now.
    pub(crate) fn ops(&mut self) -> Result<u64> {
        self.nodes.iter_mut().try_for_each(Process::must_run)?;
        Ok(self.past_ops + self.nodes.iter().map(Process::ops).sum::<u64>())
    }

    /// Kills a node, whatever it is about, waits until its sessions are gone, and starts another in its place.
    pub(crate) fn replace_node(&mut self, place: usize) -> Result<()> {
        let node = self.nodes[place].node();
        self.nodes[place].kill()?;
        self.past_ops += self.nodes[place].ops();
        let sessions =
            format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soak-{node}'");
        self.until("the sessions of a node that was killed end", |scene| {
            Ok(scene.psql(&sessions)?.trim() == "0")
        })?;
        self.told.gone.push((node, now()));
        self.nodes[place] = self.start_node(place)?;
        Ok(())
    }

    pub(crate) fn any_place(&mut self) -> usize {
        self.random.usize(..self.nodes.len())
    }

    pub(crate) fn psql(&self, sql: &str) -> Result<String> {
        self.postgres.psql(DATABASE, sql)
    }

    pub(crate) fn redis(&self, command: &[&str]) -> Result<String> {
        self.redis.cli(command)
    }

    /// Lets `done` be asked until it says so, up to 20 s.
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Scene) -> Result<bool>) -> Result<()> {
        for _ in 0..1_000 {
            if done(self)? {
                return Ok(());
            }
            sleep(LOOK);
        }
        anyhow::bail!("in vain: {what}")
    }

    /// All nodes do as they are told, and then say so.
    pub(crate) fn all(&mut self, word: &str, answer: &str) -> Result<()> {
        self.nodes.iter_mut().try_for_each(|node| node.tell(word))?;
        self.nodes.iter().try_for_each(|node| node.await_word(answer))
    }

    /// Ends the nodes, and gives what was committed.
    pub(crate) fn end(&mut self) -> Result<String> {
        self.nodes.iter_mut().try_for_each(Process::end)?;
        self.nodes.clear();
        let log = self.psql("SELECT item_id, version, op, shelf, slug FROM item_log")?;
        ensure!(!log.is_empty(), "nothing was written");
        Ok(log)
    }

    /// Where the notes are.
    pub(crate) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    pub(crate) fn forget_histories(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.directory).context("the notes can't be removed")
    }
}
