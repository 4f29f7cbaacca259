//! Ties the life of a server to the life of the process that owns it.
//!
//! The server runs below a shell (`supervisor.sh`) whose standard input is a pipe that only this process holds. However
//! this process ends, the kernel closes the pipe, and the shell ends the server, waits for it and removes its files. No
//! signal handler and no `atexit` could promise that for SIGKILL.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long one look at a process that ends waits for the next.
const LOOK: Duration = Duration::from_millis(10);

/// Looks before a supervisor that doesn't end is given up: 40 s, longer than it takes to resort to SIGKILL.
const LOOKS: u32 = 4_000;

/// One server to start.
pub(crate) struct Launch<'a> {
    /// Names the directory: `tierstack-<name>-…`.
    pub(crate) name: &'a str,
    /// The user to become, when it isn't this one.
    pub(crate) user: Option<&'a str>,
    /// The signal that ends the server at once.
    pub(crate) signal: &'a str,
    /// Shell that `exec`s the server. `$0` is its directory, and where it runs; `$@` are the arguments.
    pub(crate) body: &'a str,
    pub(crate) arguments: Vec<OsString>,
}

/// A server that runs, and ends when this is dropped or this process dies.
#[derive(Debug)]
pub(crate) struct Supervised {
    shell: Child,
    /// Never written to: that it is open says that we live.
    life: Option<ChildStdin>,
    words: BufReader<ChildStdout>,
    pid: Pid,
    dir: PathBuf,
}

impl Supervised {
    /// Starts the server's process; whether it serves yet is for the caller to ask it.
    ///
    /// # Errors
    /// When the shell, the directory or the process can't be had; the text carries what they said.
    pub(crate) fn spawn(launch: &Launch<'_>) -> Result<Supervised> {
        let dir = std::env::temp_dir().join(format!(
            "tierstack-{}-{:016x}",
            launch.name,
            RandomState::new().hash_one(0)
        ));
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(include_str!("supervisor.sh"))
            .arg(format!("tierstack-{}", launch.name))
            .arg(&dir)
            .args([launch.user.unwrap_or_default(), launch.signal, launch.body])
            .args(&launch.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A Ctrl-C in the terminal is for the owner; the supervisor follows when the owner is gone.
            .process_group(0)
            .spawn()
            .context("can't run `sh`")?;
        let life = shell.stdin.take();
        let mut words = BufReader::new(shell.stdout.take().context("the supervisor has no standard output")?);
        let mut first = String::new();
        words.read_line(&mut first)?;
        let pid = first.trim().strip_prefix("pid ").and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else {
            drop(life);
            words.read_to_string(&mut first)?;
            shell.wait()?;
            bail!("{} didn't start: {}", launch.name, first.trim());
        };
        Ok(Supervised { shell, life, words, pid, dir })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn is_running(&self) -> bool {
        // The supervisor removes this file before anything else once the server was waited for, so that a pid that the
        // kernel gave to another process meanwhile is never signalled.
        self.dir.join("pid").exists()
    }

    /// Sends a signal to the server itself.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.is_running(), "the server with pid {} has ended", self.pid.as_raw_nonzero());
        kill_process(self.pid, signal).with_context(|| format!("can't send {signal:?}"))
    }

    /// Ends the server by SIGKILL and waits until its process and its directory are gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.finish()
    }

    /// Ends the server and says what it wrote last: for the error of a server that doesn't serve.
    pub(crate) fn last_words(mut self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        self.life = None;
        let mut words = String::new();
        // Nothing to be done about a supervisor that can't be read: the log may have been enough.
        let _ = self.words.read_to_string(&mut words);
        let lines: Vec<&str> = if words.trim().is_empty() { log.lines() } else { words.lines() }.collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Waits for the supervisor, which waits for the server.
    fn finish(&mut self) -> Result<()> {
        self.life = None;
        for _ in 0..LOOKS {
            if self.shell.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(LOOK);
        }
        bail!("the server with pid {} doesn't end", self.pid.as_raw_nonzero())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            eprintln!("{error:#}");
        }
    }
}
