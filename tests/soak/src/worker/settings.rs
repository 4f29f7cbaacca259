//! What a node is told by the driver, as words of a command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tierstack_core::{BusSettings, Freshness, Settings};

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whole rows; strict transactions.
    Whole,
    /// Another schema of the entity: the next release; fast transactions.
    Next,
    /// A projection; strict transactions.
    Mark,
    /// Whole rows; writes on a plain connection, and invalidates.
    Plain,
}

impl Role {
    /// All of them; the nodes of a run have them in turn.
    pub const ALL: [Role; 4] = [Role::Whole, Role::Next, Role::Mark, Role::Plain];

    fn name(self) -> &'static str {
        match self {
            Role::Whole => "whole",
            Role::Next => "next",
            Role::Mark => "mark",
            Role::Plain => "plain",
        }
    }
}

/// What one node is told.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Its number in the run.
    pub node: u32,
    /// What it is for.
    pub role: Role,
    /// Where Redis is.
    pub redis: String,
    /// Where the database is.
    pub postgres: String,
    /// The file of its notes.
    pub history: PathBuf,
    /// What it does follows from this.
    pub seed: u64,
    /// It says of each write that it was told, and tells nobody. The checker must find that.
    pub mute: bool,
    /// It hears nobody, and its L1 answers nevertheless. The checker must find that.
    pub deaf: bool,
}

impl WorkerSettings {
    /// As words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let WorkerSettings { node, role, redis, postgres, history, seed, mute, deaf } = self;
        vec![
            node.to_string(),
            role.name().into(),
            redis.clone(),
            postgres.clone(),
            history.display().to_string(),
            seed.to_string(),
            mute.to_string(),
            deaf.to_string(),
        ]
    }

    /// From the words.
    ///
    /// # Errors
    /// When they aren't those of [`words`](Self::words).
    pub fn parse(words: &[String]) -> Result<Self> {
        let [node, role, redis, postgres, history, seed, mute, deaf] = words else {
            bail!("a worker is started by the driver: run `soak --help`");
        };
        let role = Role::ALL.into_iter().find(|known| known.name() == role).context("no such role")?;
        Ok(WorkerSettings {
            node: node.parse()?,
            role,
            redis: redis.clone(),
            postgres: postgres.clone(),
            history: history.into(),
            seed: seed.parse()?,
            mute: mute.parse()?,
            deaf: deaf.parse()?,
        })
    }
}

/// How far a node may be behind another's write: what is brief, and what a deaf node's L1 holds, answers no longer.
pub const BEHIND: Duration = Duration::from_millis(200);

/// How nodes hear of each other.
#[must_use]
pub fn bus() -> BusSettings {
    let mut settings = BusSettings::default();
    settings.deaf_after = BEHIND;
    settings.beat_every = Duration::from_millis(40);
    settings.retry_after = Duration::from_millis(20);
    settings.retry_after_at_most = Duration::from_millis(100);
    settings.subscribe_timeout = Duration::from_millis(500);
    settings
}

/// Lives of entries: short, so that all ends are met in a run of seconds.
#[must_use]
pub fn freshness() -> Freshness {
    Freshness::default()
        .fresh_for(Duration::from_millis(1_200))
        .stale_for(Duration::from_millis(400))
        .absent_for(Duration::from_millis(600))
}

/// Limits and times of the caches.
#[must_use]
pub fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.lookup_timeout = Duration::from_secs(3);
    settings.l2_timeout = Duration::from_millis(150);
    settings.load_timeout = Duration::from_millis(700);
    settings.wait_for_load = Duration::from_millis(500);
    settings.brief_for = BEHIND;
    settings
}
