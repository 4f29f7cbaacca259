//! A private Redis for one test, with the shape of `tierstack_servers::Redis`.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Error, Result};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server on a free port of 127.0.0.1, without persistence; killed by its pid when dropped.
pub(crate) struct Redis {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
    extra: Vec<String>,
}

impl Redis {
    pub(crate) fn start() -> Result<Redis> {
        Redis::start_with(&[])
    }

    pub(crate) fn start_with(extra: &[&str]) -> Result<Redis> {
        let dir = tempfile::tempdir()?;
        let extra: Vec<String> = extra.iter().map(|&word| word.to_owned()).collect();
        for _ in 0..5 {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let process = launch(port, &dir, &extra);
            let mut redis = Redis { process, port, dir: tempfile::tempdir()?, extra: extra.clone() };
            if redis.answers() {
                redis.dir = dir;
                return Ok(redis);
            }
        }
        Err(Error::other("redis-server did not start on any of five free ports"))
    }

    /// Whether the server there is ours, within 10 s; no if it ended.
    fn answers(&mut self) -> bool {
        for _ in 0..500 {
            let ours = format!("process_id:{}", self.process.id());
            match self.cli(&["INFO", "server"]) {
                Ok(info) if info.lines().any(|line| line.trim() == ours) => return true,
                _ if self.process.try_wait().is_ok_and(|ended| ended.is_some()) => return false,
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        false
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.process.id())
    }

    /// SIGSTOP: connections are accepted by the kernel, and nothing answers.
    pub(crate) fn stop(&self) -> Result<()> {
        self.signal("-STOP")
    }

    pub(crate) fn cont(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.pid()?.to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(Error::other("kill failed")) }
    }

    /// Connections are refused and the data is gone when this returns.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Starts it again, empty, on the same port.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = launch(self.port, &self.dir, &self.extra);
        if self.answers() { Ok(()) } else { Err(Error::other("redis-server did not start again")) }
    }

    /// The answer to one command, as text; an error answer is an error.
    pub(crate) fn cli(&self, command: &[&str]) -> Result<String> {
        let output =
            Command::new("redis-cli").args(["-e", "-p", &self.port.to_string()]).args(command).output()?;
        if !output.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

fn launch(port: u16, dir: &tempfile::TempDir, extra: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(dir.path())
        .args(extra)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server isn't installed: apt-get install redis-server")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
