use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::find;
use crate::server::{Server, not_yet, on_free_port};
use crate::supervisor::{Launch, Supervised};

/// Names a Postgres server to use instead of a private one.
const VARIABLE: &str = "TIERSTACK_POSTGRES_URL";

/// Connections tried before a server that was started is given up: 60 s, `initdb` included.
const TRIES: u32 = 1_200;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A first connection may meet a server that is busy starting; it isn't the one to wait long for.
const PATIENCE: Duration = Duration::from_secs(5);

const STATEMENTS: &str = "pg_stat_statements";

/// `$1` is where the programs are. The C locale and UTF-8 are the same on every machine.
const BODY: &str = r#"bin=$1; shift
"$bin/initdb" -A trust -U postgres -E UTF8 --locale=C --no-sync -D "$0/data" &&
exec "$bin/postgres" -D "$0/data" -c unix_socket_directories="$0" "$@""#;

/// `$2` is the address of the primary. `-R` makes it follow that one.
const STANDBY: &str = r#"bin=$1 primary=$2; shift 2
"$bin/pg_basebackup" -d "$primary" -R -c fast --no-sync -D "$0/data" &&
exec "$bin/postgres" -D "$0/data" -c unix_socket_directories="$0" "$@""#;

/// A Postgres server: private and ended with this value, or given by the environment.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    /// The address of the database `postgres`, or of the one that was given.
    url: String,
    port: u16,
}

impl Postgres {
    /// Starts a private server on 127.0.0.1, on a free port, without fsync, with prepared transactions, and with
    /// `pg_stat_statements` where it is installed. Root becomes the user `postgres` for it, since Postgres refuses to run as root.
    ///
    /// # Errors
    /// When Postgres isn't installed, naming the command that installs it; when it doesn't accept connections within a
    /// minute, with the end of its log.
    pub fn start() -> Result<Postgres> {
        Postgres::start_with(&[])
    }

    /// As [`start`](Postgres::start), with arguments added to the server's command line: `["-c", "wal_level=logical"]`.
    ///
    /// # Errors
    /// As [`start`](Postgres::start).
    pub fn start_with(extra: &[&str]) -> Result<Postgres> {
        on_free_port(|port| {
            let server = match launch(port, None, STATEMENTS, extra) {
                // Not beside this server: `require_statements` says so to whoever needs it.
                Err(error) if format!("{error:#}").contains(STATEMENTS) => launch(port, None, "", extra)?,
                other => other?,
            };
            let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
            Ok(Postgres { server: Server::Running(server), url, port })
        })
    }

    /// Starts a private standby of this server: a copy of all its databases, which follows it until it is promoted, and
    /// answers queries meanwhile.
    ///
    /// # Errors
    /// When this server lets nobody replicate; else as [`start`](Postgres::start).
    pub fn start_standby(&self) -> Result<Postgres> {
        on_free_port(|port| {
            let server = Server::Running(launch(port, Some(&self.url), "", &[])?);
            let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
            Ok(Postgres { server, url, port })
        })
    }

    /// Takes the server that `TIERSTACK_POSTGRES_URL` names (`postgres://user@host:port/database`), and starts a private
    /// one without it.
    ///
    /// # Errors
    /// As [`start`](Postgres::start); when nobody answers at the given address.
    pub fn from_env_or_start() -> Result<Postgres> {
        let Ok(url) = std::env::var(VARIABLE) else { return Postgres::start() };
        let port = port(&url).with_context(|| {
            format!("{VARIABLE} is `{url}`; write it as postgres://user@host:port/database")
        })?;
        let postgres = Postgres { server: Server::Given(VARIABLE), url, port };
        postgres
            .psql_url(&postgres.url, &["-c", "select 1"])
            .with_context(|| format!("no use of {VARIABLE}"))?;
        Ok(postgres)
    }

    /// The address of the first database: `postgres://postgres@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of another database of this server.
    pub fn url_for(&self, database: &str) -> String {
        let (server, rest) = self.url.rsplit_once('/').unwrap_or((&self.url, ""));
        let parameters = rest.find('?').map_or("", |at| &rest[at..]);
        format!("{server}/{database}{parameters}")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The pid of the postmaster.
    ///
    /// # Errors
    /// When the server was given by the environment.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid()
    }

    /// Where the server keeps its files and its socket, until it ends.
    ///
    /// # Errors
    /// As [`pid`](Postgres::pid).
    pub fn dir(&self) -> Result<&Path> {
        self.server.dir()
    }

    /// Stops the postmaster (SIGSTOP): sessions go on, new connections hang.
    ///
    /// # Errors
    /// As [`pid`](Postgres::pid).
    pub fn stop(&self) -> Result<()> {
        self.server.signal(Signal::STOP)
    }

    /// Lets a stopped postmaster go on (SIGCONT).
    ///
    /// # Errors
    /// As [`pid`](Postgres::pid).
    pub fn cont(&self) -> Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// Creates a database.
    ///
    /// # Errors
    /// When it is there already, in the server's words.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let quoted = name.replace('"', "\"\"");
        self.psql_url(&self.url, &["-c", &format!("create database \"{quoted}\"")]).map(drop)
    }

    /// Runs SQL in a database and gives the rows, fields separated by `|`, one row a line.
    ///
    /// # Errors
    /// What `psql` says; the first statement that fails ends it.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        self.psql_url(&self.url_for(database), &["-c", sql])
    }

    /// Runs a file of SQL in a database, up to the first statement that fails.
    ///
    /// # Errors
    /// What `psql` says.
    pub fn load_file(&self, database: &str, path: &Path) -> Result<()> {
        let file = path.to_str().with_context(|| format!("the path {} isn't UTF-8", path.display()))?;
        self.psql_url(&self.url_for(database), &["-f", file]).map(drop)
    }

    /// Says whether `pg_stat_statements` counts here, for tests that count statements.
    ///
    /// # Errors
    /// When it doesn't, with what to do.
    pub fn require_statements(&self) -> Result<()> {
        let preloaded = self.psql_url(&self.url, &["-c", "show shared_preload_libraries"])?;
        ensure!(
            preloaded.contains(STATEMENTS),
            "{STATEMENTS} isn't loaded in the Postgres on port {}: install the contrib modules of the server \
             (apt-get install postgresql-contrib), or give a server that preloads it in {VARIABLE}",
            self.port
        );
        Ok(())
    }

    fn psql_url(&self, url: &str, what: &[&str]) -> Result<String> {
        let output = Command::new(find::psql()?)
            .args(["--no-psqlrc", "--no-password", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url])
            .args(what)
            .stdin(Stdio::null())
            .output()
            .context("can't run psql")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql {}: {}", what.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
    }
}

fn launch(port: u16, primary: Option<&str>, preload: &str, extra: &[&str]) -> Result<Supervised> {
    let programs = find::postgres_programs()?;
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "fsync=off".to_owned(),
        format!("shared_preload_libraries={preload}"),
        "max_connections=100".to_owned(),
        "max_prepared_transactions=20".to_owned(),
    ];
    let mut arguments = vec![programs.into_os_string()];
    arguments.extend(primary.map(OsString::from));
    for setting in settings {
        arguments.extend([OsString::from("-c"), OsString::from(setting)]);
    }
    arguments.extend(extra.iter().map(OsString::from));
    let user = rustix::process::geteuid().is_root().then_some("postgres");
    let body = if primary.is_some() { STANDBY } else { BODY };
    let server = Supervised::spawn(&Launch { name: "postgres", user, signal: "QUIT", body, arguments })?;
    for _ in 0..TRIES {
        match knock(port) {
            Ok(true) if server.is_running() => return Ok(server),
            Ok(false) if server.is_running() => {}
            Err(error) if server.is_running() && not_yet(&error) => {}
            Err(error) if server.is_running() => {
                bail!("postgres doesn't serve on port {port} ({error}):\n{}", server.last_words())
            }
            _ => bail!("postgres ended:\n{}", server.last_words()),
        }
        sleep(BETWEEN_TRIES);
    }
    bail!("postgres accepts no connection on port {port}:\n{}", server.last_words())
}

/// Opens a session and leaves it: whether the server lets us in by now.
///
/// <https://www.postgresql.org/docs/current/protocol-flow.html>: a startup packet is answered by `R` (authentication; its
/// code is 0 when there is nothing to prove) or by `E` (an error, such as "the database system is starting up").
fn knock(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let protocol = 196_608_u32.to_be_bytes();
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(4 + protocol.len() + parameters.len()).unwrap_or(u32::MAX).to_be_bytes();
    stream.write_all(&[&length, &protocol, &parameters[..]].concat())?;
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    stream.write_all(b"X\0\0\0\x04")?;
    Ok(head[0] == b'R' && head[5..] == [0; 4])
}

fn port(url: &str) -> Result<u16> {
    let rest = url.split_once("://").context("no scheme")?.1;
    let (server, database) = rest.split_once('/').context("no database")?;
    ensure!(!database.is_empty(), "no database");
    let (_, port) = server.rsplit_once(':').context("no port")?;
    port.parse().context("the port isn't a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_another_database_keeps_the_rest() {
        for (url, other) in [
            ("postgres://postgres@127.0.0.1:5/postgres", "postgres://postgres@127.0.0.1:5/shop"),
            ("postgres://u:p@h:5/a?sslmode=disable", "postgres://u:p@h:5/shop?sslmode=disable"),
        ] {
            let postgres = Postgres { server: Server::Ended, url: url.to_owned(), port: 5 };
            assert_eq!(postgres.url_for("shop"), other);
            assert_eq!(port(url).expect(url), 5);
        }
        for url in
            ["127.0.0.1:5/a", "postgres://h:5", "postgres://h/a", "postgres://h:5/", "postgres://h:x/a"]
        {
            assert!(port(url).is_err(), "{url}");
        }
    }
}
