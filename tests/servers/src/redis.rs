use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::server::{Server, not_yet, on_free_port};
use crate::supervisor::{Launch, Supervised};
use crate::{find, resp};

/// Names a Redis server to use instead of a private one.
const VARIABLE: &str = "TIERSTACK_REDIS_URL";

/// Connections tried before a server that was started is given up: 20 s.
const TRIES: u32 = 1_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The link is there because Debian keeps the server in `redis-check-rdb`, which is a server under this name only.
const BODY: &str = r#"ln -s "$1" redis-server; shift; exec ./redis-server --dir "$0" "$@""#;

/// A Redis server: private and ended with this value, or given by the environment.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    host: String,
    port: u16,
    extra: Vec<String>,
}

impl Redis {
    /// Starts a private server on 127.0.0.1, on a free port, without persistence.
    ///
    /// # Errors
    /// When `redis-server` isn't installed, naming the command that installs it; when it doesn't answer within 20 s,
    /// with the end of its log.
    pub fn start() -> Result<Redis> {
        Redis::start_with(&[])
    }

    /// As [`start`](Redis::start), with arguments added to the server's command line: `["--maxmemory", "2mb"]`.
    ///
    /// # Errors
    /// As [`start`](Redis::start).
    pub fn start_with(extra: &[&str]) -> Result<Redis> {
        let extra: Vec<String> = extra.iter().map(|&word| word.to_owned()).collect();
        on_free_port(|port| {
            let server = Server::Running(launch(port, &extra)?);
            Ok(Redis { server, host: Ipv4Addr::LOCALHOST.to_string(), port, extra: extra.clone() })
        })
    }

    /// Takes the server that `TIERSTACK_REDIS_URL` names (`redis://host:port`), and starts a private one without it.
    ///
    /// # Errors
    /// As [`start`](Redis::start); when the given URL can't be used or nobody answers there.
    pub fn from_env_or_start() -> Result<Redis> {
        let Ok(url) = std::env::var(VARIABLE) else { return Redis::start() };
        let (host, port) = parse(&url).with_context(|| {
            format!("{VARIABLE} is `{url}`; write it as redis://host:port, without a user or a database")
        })?;
        let redis = Redis { server: Server::Given(VARIABLE), host, port, extra: Vec::new() };
        redis.cli(&["PING"]).with_context(|| format!("nobody answers at {VARIABLE}={url}"))?;
        Ok(redis)
    }

    /// The address, as `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.host, self.port)
    }

    /// The port it listens on; the same one after [`restart`](Redis::restart).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The pid of the server itself.
    ///
    /// # Errors
    /// When the server was given by the environment or was killed.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid()
    }

    /// Where the server keeps its files, until it ends.
    ///
    /// # Errors
    /// As [`pid`](Redis::pid).
    pub fn dir(&self) -> Result<&Path> {
        self.server.dir()
    }

    /// Stops the process (SIGSTOP): connections are accepted by the kernel, and nothing answers.
    ///
    /// # Errors
    /// As [`pid`](Redis::pid).
    pub fn stop(&self) -> Result<()> {
        self.server.signal(Signal::STOP)
    }

    /// Lets a stopped process go on (SIGCONT).
    ///
    /// # Errors
    /// As [`pid`](Redis::pid).
    pub fn cont(&self) -> Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// Kills the server (SIGKILL) and returns when it is dead: connections are refused, the data is gone.
    ///
    /// # Errors
    /// As [`pid`](Redis::pid).
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Starts it again on the same port, empty, with the same arguments; kills it first if it still runs.
    ///
    /// # Errors
    /// When it was given by the environment; as [`start`](Redis::start).
    pub fn restart(&mut self) -> Result<()> {
        if !matches!(self.server, Server::Ended) {
            self.kill()?;
        }
        self.server = Server::Running(launch(self.port, &self.extra)?);
        Ok(())
    }

    /// Starts a private replica of this server, which has all that this one holds when this returns, and follows it.
    ///
    /// # Errors
    /// As [`start`](Redis::start).
    pub fn start_replica(&self) -> Result<Redis> {
        // It would wait for more replicas before it serves the first.
        self.cli(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"])?;
        let replica = Redis::start_with(&["--replicaof", &self.host, &self.port.to_string()])?;
        for _ in 0..TRIES {
            let says = replica.cli(&["INFO", "replication"]);
            if says.is_ok_and(|says| says.lines().any(|line| line == "master_link_status:up")) {
                return Ok(replica);
            }
            sleep(BETWEEN_TRIES);
        }
        bail!("the replica on port {} doesn't follow the server on port {}", replica.port, self.port)
    }

    /// A failover: kills this server (SIGKILL), and its replica takes its port, with what it holds.
    ///
    /// # Errors
    /// When this server was given by the environment or was killed; when the replica can't take the port.
    pub fn fail_over_to(&mut self, replica: Redis) -> Result<()> {
        self.kill()?;
        replica.cli(&["REPLICAOF", "NO", "ONE"])?;
        replica.cli(&["CONFIG", "SET", "port", &self.port.to_string()])?;
        self.server = replica.server;
        Ok(())
    }

    /// Runs one command on a connection of its own and gives the answer as text.
    ///
    /// A missing value is `(nil)`; an array is its elements, one a line.
    ///
    /// # Errors
    /// An error answer, in the server's words; no answer within 10 s.
    pub fn cli(&self, command: &[&str]) -> Result<String> {
        resp::exchange((self.host.as_str(), self.port), command)
            .with_context(|| format!("redis on port {}: {}", self.port, command.join(" ")))
    }
}

fn launch(port: u16, extra: &[String]) -> Result<Supervised> {
    let binary = find::redis_server()?;
    let port_text = port.to_string();
    let fixed = ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let debug = ["--enable-debug-command", "yes"];
    let arguments = std::iter::once(binary.into_os_string())
        .chain(fixed.into_iter().chain(debug).map(Into::into))
        .chain(extra.iter().map(Into::into))
        .collect();
    let server =
        Supervised::spawn(&Launch { name: "redis", user: None, signal: "TERM", body: BODY, arguments })?;
    for _ in 0..TRIES {
        match resp::exchange((Ipv4Addr::LOCALHOST, port), &["INFO", "server"]) {
            // Another server may have taken the port between finding it free and binding it.
            Ok(info)
                if info
                    .lines()
                    .any(|line| line == format!("process_id:{}", server.pid().as_raw_nonzero())) =>
            {
                return Ok(server);
            }
            Ok(_) => bail!("port {port} is in use by another Redis"),
            // While it loads a data set, which `extra` may have given it.
            Err(error) if error.to_string().starts_with("LOADING") => {}
            Err(error) if server.is_running() && not_yet(&error) => {}
            Err(error) => {
                bail!("redis-server doesn't serve on port {port} ({error}):\n{}", server.last_words());
            }
        }
        sleep(BETWEEN_TRIES);
    }
    bail!("redis-server doesn't answer on port {port}:\n{}", server.last_words())
}

fn parse(url: &str) -> Result<(String, u16)> {
    let address = url.strip_prefix("redis://").context("not a redis:// address")?.trim_end_matches('/');
    ensure!(!address.contains(['@', '/', '?']), "more than a host and a port");
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
    ensure!(!host.is_empty(), "no host");
    Ok((host.trim_matches(['[', ']']).to_owned(), port.parse().context("the port isn't a number")?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (url, host, port) in [
            ("redis://127.0.0.1:7000", "127.0.0.1", 7000),
            ("redis://cache/", "cache", 6379),
            ("redis://[::1]:7000", "::1", 7000),
        ] {
            assert_eq!(parse(url).expect(url), (host.to_owned(), port));
        }
        for url in [
            "127.0.0.1:7000",
            "rediss://a:1",
            "redis://:1",
            "redis://u:p@a:1",
            "redis://a:1/2",
            "redis://a:b",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
