//! A worker's process, from outside.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::checker::Node;
use crate::worker::settings::WorkerSettings;

/// A worker must answer within this.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Process {
    pub(crate) settings: WorkerSettings,
    child: Child,
    input: Option<ChildStdin>,
    ops: Arc<AtomicU64>,
    /// What it says, but for its progress.
    said: Receiver<String>,
}

impl Process {
    pub(crate) fn start(settings: WorkerSettings) -> Result<Process> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .args(settings.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start a worker")?;
        let output = child.stdout.take().context("a worker has no output")?;
        let ops = Arc::new(AtomicU64::new(0));
        let (tell, said) = channel();
        let counted = Arc::clone(&ops);
        // Ends with the worker's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match line.strip_prefix("ops ").and_then(|count| count.parse().ok()) {
                    Some(count) => counted.store(count, Ordering::Relaxed),
                    None => drop(tell.send(line)),
                }
            }
        });
        Ok(Process { input: child.stdin.take(), settings, child, ops, said })
    }

    pub(crate) fn node(&self) -> Node {
        self.settings.node
    }

    pub(crate) fn ops(&self) -> u64 {
        self.ops.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// # Errors
    /// When it has ended by itself.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("node {} ended by itself: {status}", self.node()),
        }
    }

    pub(crate) fn tell(&mut self, word: &str) -> Result<()> {
        let input = self.input.as_mut().context("it was told to end")?;
        Ok(writeln!(input, "{word}")?)
    }

    pub(crate) fn await_word(&self, word: &str) -> Result<()> {
        match self.said.recv_timeout(PATIENCE) {
            Ok(said) if said == word => Ok(()),
            Ok(said) => bail!("node {} said {said:?}, not {word:?}", self.node()),
            Err(RecvTimeoutError::Timeout) => bail!("node {} doesn't say {word:?}", self.node()),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("node {} ended before it said {word:?}", self.node())
            }
        }
    }

    /// Kills it and waits until it is dead.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended as it was told.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { bail!("node {} ended badly: {status}", self.node()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended can't be killed: that is as well.
        let _ = self.kill();
    }
}
