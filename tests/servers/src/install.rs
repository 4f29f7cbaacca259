//! Installs the servers where that can be done without asking, and never starts or leaves a system service.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::find;

/// What brings a server, by package manager.
struct Package {
    /// The server's process.
    process: &'static str,
    apt: &'static str,
    brew: &'static str,
}

/// `redis-tools` has the same binary as `redis-server` (see `find`), without the service that the latter starts. Debian's
/// means against that service were tried: `RUNLEVEL=1` doesn't hold it back.
const REDIS: Package = Package { process: "redis-server", apt: "redis-tools", brew: "redis" };

const POSTGRES: Package = Package { process: "postgres", apt: "postgresql", brew: "postgresql@17" };

/// The driver depends on the browser of its very version. Homebrew's drives a Chrome that has to be there.
const CHROMIUM: Package = Package { process: "chromedriver", apt: "chromium-driver", brew: "chromedriver" };

/// Finds `redis-server`, and installs it by apt or Homebrew when there is none.
///
/// # Errors
/// When it can't be installed, with the command to run.
pub fn ensure_redis() -> Result<()> {
    ensure_package(&REDIS, find::redis_server)
}

/// Finds the programs of Postgres, and installs them by apt or Homebrew when there are none.
///
/// # Errors
/// When they can't be installed, with the command to run.
pub fn ensure_postgres() -> Result<()> {
    ensure_package(&POSTGRES, find::postgres_programs)
}

/// Finds Chromium and its driver, and installs them by apt, or the driver by Homebrew, when there are none.
///
/// # Errors
/// When they can't be installed, with the command to run.
pub fn ensure_chromium() -> Result<()> {
    ensure_package(&CHROMIUM, || find::chromium().and_then(|_| find::chromedriver()))
}

fn ensure_package(package: &Package, find: fn() -> Result<PathBuf>) -> Result<()> {
    if let Ok(found) = find() {
        println!("{}: {}", package.process, found.display());
        return Ok(());
    }
    let before = pids_of(package.process);
    if find::on_path("apt-get").is_some() {
        apt(package)?;
    } else if find::on_path("brew").is_some() {
        run(Command::new("brew").args(["install", package.brew]))
            .with_context(|| format!("run `brew install {}`", package.brew))?;
    } else {
        bail!(
            "{} is missing and there is neither apt-get nor brew: install it and put it on the PATH",
            package.process
        );
    }
    for pid in pids_of(package.process).difference(&before) {
        println!(
            "note: {} runs as pid {pid} since the package was installed; nothing here uses it",
            package.process
        );
    }
    println!("{}: {}", package.process, find()?.display());
    Ok(())
}

fn apt(package: &Package) -> Result<()> {
    let by_hand = format!("install it: `sudo apt-get install {}`", package.apt);
    let root = rustix::process::geteuid().is_root();
    ensure!(
        root || sudo_asks_nothing(),
        "{} is missing and this user can't install it; {by_hand}",
        package.process
    );
    // Debian's Postgres creates a cluster and starts every cluster that isn't marked `manual`.
    let no_service = NoService::new()?;
    let apt_get = |arguments: &[&str]| {
        let mut command = if root { Command::new("env") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "env"]);
        }
        command
            .arg("DEBIAN_FRONTEND=noninteractive")
            .arg(format!("PGSYSCONFDIR={}", no_service.dir.display()))
            .args(["apt-get", "-o", "DPkg::Lock::Timeout=300"])
            .args(arguments);
        run(&mut command)
    };
    let install = ["install", "-y", "--no-install-recommends", package.apt];
    // A bare machine has no package lists, and one that was used has perhaps old ones.
    if apt_get(&install).is_ok() {
        return Ok(());
    }
    apt_get(&["update"]).and_then(|()| apt_get(&install)).context(by_hand)
}

fn sudo_asks_nothing() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    println!("running {command:?}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("can't run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Settings that mark the cluster which the Postgres package creates as one that nobody starts.
struct NoService {
    dir: PathBuf,
}

impl NoService {
    fn new() -> Result<NoService> {
        let dir = std::env::temp_dir().join(format!("tierstack-install-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("createcluster.conf"), "start_conf = 'manual'\n")?;
        Ok(NoService { dir })
    }
}

impl Drop for NoService {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The processes of this name; none where there is no `/proc`.
fn pids_of(process: &str) -> BTreeSet<u32> {
    let entries = fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == process)
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
