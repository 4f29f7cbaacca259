//! Where the programs of the servers are on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Where Homebrew links what it installs, on ARM and on Intel.
const BREW: [&str; 2] = ["/opt/homebrew", "/usr/local"];

/// Where macOS has Chrome, whose driver Homebrew brings.
const CHROME_APP: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// # Errors
/// When there is none, with the command that installs it.
pub(crate) fn redis_server() -> Result<PathBuf> {
    // Debian's `redis-tools` has the server under this other name: `redis-server` adds a link, and a system service.
    ["redis-server", "redis-check-rdb"].into_iter().find_map(on_path).context(
        "redis-server was not found: `cargo xtask test` installs what is missing, or run `apt-get install redis-server`",
    )
}

/// The directory with `initdb` and `postgres`.
///
/// # Errors
/// When there is none, with the command that installs it.
pub(crate) fn postgres_programs() -> Result<PathBuf> {
    let configured = output_of("pg_config", "--bindir").into_iter();
    let debian = numbered("/usr/lib/postgresql");
    let path = on_path("postgres").and_then(|program| program.parent().map(Path::to_owned));
    let brew = BREW.iter().flat_map(|prefix| numbered_kegs(Path::new(prefix)));
    configured
        .chain(debian)
        .chain(path)
        .chain(brew)
        // A client's `pg_config` names a directory where the server may be missing.
        .find(|directory| is_program(&directory.join("initdb")) && is_program(&directory.join("postgres")))
        .context(
            "initdb and postgres were not found: `cargo xtask test` installs what is missing, or run \
             `apt-get install postgresql`",
        )
}

/// # Errors
/// When there is none, with the command that installs it.
pub(crate) fn psql() -> Result<PathBuf> {
    postgres_programs()
        .ok()
        .map(|directory| directory.join("psql"))
        .filter(|program| is_program(program))
        .or_else(|| on_path("psql"))
        .context("psql was not found: run `apt-get install postgresql-client`")
}

/// The WebDriver server of Chromium.
///
/// # Errors
/// When there is none, with the command that installs it.
pub(crate) fn chromedriver() -> Result<PathBuf> {
    on_path("chromedriver").context(
        "chromedriver was not found: `cargo xtask test` installs what is missing, or run `apt-get install chromium-driver`",
    )
}

/// # Errors
/// When there is none, with the command that installs it.
pub(crate) fn chromium() -> Result<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .into_iter()
        .find_map(on_path)
        .or_else(|| Some(PathBuf::from(CHROME_APP)).filter(|program| is_program(program)))
        .context(
            "chromium was not found: `cargo xtask test` installs what is missing, or run `apt-get install chromium`",
        )
}

/// A program by its name. System directories that a plain user's `PATH` may lack are looked into, too.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .chain(BREW.map(|prefix| Path::new(prefix).join("bin")))
        .map(|directory| directory.join(name))
        .find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    // Follows links, so that a link to nothing is nothing.
    path.is_file()
}

fn output_of(program: &str, argument: &str) -> Option<PathBuf> {
    let output =
        Command::new(program).arg(argument).output().ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// `<root>/<version>/bin`, the newest version first.
fn numbered(root: &str) -> Vec<PathBuf> {
    newest_first(Path::new(root), |name| name.parse().ok())
}

/// `<prefix>/opt/postgresql@<version>/bin`, the newest version first.
fn numbered_kegs(prefix: &Path) -> Vec<PathBuf> {
    newest_first(&prefix.join("opt"), |name| name.strip_prefix("postgresql@")?.parse().ok())
}

fn newest_first(root: &Path, version: impl Fn(&str) -> Option<u32>) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path().join("bin"))))
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, directory)| directory).collect()
}
