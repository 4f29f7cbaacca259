//! A server that is ours, or somebody else's, or has ended.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::supervisor::Supervised;

/// Ports tried before it is given up: between finding a port free and binding it, another process may take it.
const PORTS: u32 = 5;

#[derive(Debug)]
pub(crate) enum Server {
    /// Named by this environment variable; not ours to signal.
    Given(&'static str),
    Running(Supervised),
    /// Ended by `kill`, until `restart`.
    Ended,
}

impl Server {
    pub(crate) fn running(&self) -> Result<&Supervised> {
        match self {
            Server::Running(supervised) => Ok(supervised),
            Server::Given(variable) => bail!(
                "the server was given by {variable} and isn't ours to look into: start a private one for this, with `start`"
            ),
            Server::Ended => bail!("the server was killed: `restart` starts it again"),
        }
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(u32::try_from(self.running()?.pid().as_raw_nonzero().get())?)
    }

    pub(crate) fn dir(&self) -> Result<&Path> {
        Ok(self.running()?.dir())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.running()?.signal(signal)
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.running()?;
        match std::mem::replace(self, Server::Ended) {
            Server::Running(supervised) => supervised.kill(),
            Server::Given(_) | Server::Ended => Ok(()),
        }
    }
}

/// Starts a server on a port that is free, and on another when somebody took that one first.
pub(crate) fn on_free_port<T>(start: impl Fn(u16) -> Result<T>) -> Result<T> {
    let mut tried = 1;
    loop {
        match start(free_port()?) {
            Err(error) if tried < PORTS && format!("{error:#}").contains("in use") => tried += 1,
            other => return other,
        }
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Whether an error of a connection says that the server isn't there yet, as opposed to answering wrongly.
pub(crate) fn not_yet(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::UnexpectedEof
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock
    )
}
