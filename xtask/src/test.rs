//! `cargo xtask test`: everything that can be run, against servers of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use tierstack_servers::{Postgres, Redis, ensure_chromium, ensure_postgres, ensure_redis};

use crate::steps::{self, timed};

/// Variables for the commands that are run.
pub(crate) type Environment = BTreeMap<&'static str, OsString>;

/// How much time the tests may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Short,
    Long,
}

/// # Errors
/// When a server or a browser can't be had, or a step fails.
pub(crate) fn run(length: Length) -> Result<()> {
    let root = crate::root()?;
    println!("==> browser");
    let (seconds, browser) = timed(ensure_chromium);
    browser?;
    println!("<== browser: {:.1} s", seconds.as_secs_f64());
    with_servers(&root, |environment| {
        if length == Length::Long {
            environment.insert("TIERSTACK_LONG", "1".into());
        }
        steps::run(steps::TEST, &root, environment)
    })
}

/// Does `work` with a private Redis and Postgres, which the environment it is given names, and the test data.
///
/// # Errors
/// When a server can't be had or `work` fails.
pub(crate) fn with_servers(root: &Path, work: impl FnOnce(&mut Environment) -> Result<()>) -> Result<()> {
    println!("==> servers");
    let (seconds, servers) = timed(start);
    // They end with this process, whatever ends it; on the way out they are waited for, too.
    let (redis, postgres) = servers?;
    println!("redis at {}, postgres at {}", redis.url(), postgres.url());
    println!("<== servers: {:.1} s", seconds.as_secs_f64());

    let mut environment = BTreeMap::from([
        ("TIERSTACK_REDIS_URL", OsString::from(redis.url())),
        ("TIERSTACK_POSTGRES_URL", OsString::from(postgres.url())),
    ]);
    let data = root.join("../shared/data");
    if std::env::var_os("TIERSTACK_DATA").is_none() && data.is_dir() {
        environment.insert("TIERSTACK_DATA", data.canonicalize()?.into_os_string());
    }
    work(&mut environment)
}

fn start() -> Result<(Redis, Postgres)> {
    if std::env::var_os("TIERSTACK_REDIS_URL").is_none() {
        ensure_redis()?;
    }
    if std::env::var_os("TIERSTACK_POSTGRES_URL").is_none() {
        ensure_postgres()?;
    }
    Ok((Redis::from_env_or_start()?, Postgres::from_env_or_start()?))
}
