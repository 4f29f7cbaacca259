//! A server ends with its owner, and nothing of it is left, however the owner went.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use tierstack_servers::{Postgres, Redis};

/// A server as seen from outside.
struct Seen {
    pid: Pid,
    dir: PathBuf,
}

impl Seen {
    fn is_there(&self) -> bool {
        test_kill_process(self.pid) != Err(Errno::SRCH) || self.dir.exists()
    }

    fn assert_goes(&self) {
        assert!(soon(|| !self.is_there()), "pid {:?} or {} is left", self.pid, self.dir.display());
    }
}

fn pid(raw: u32) -> Pid {
    Pid::from_raw(i32::try_from(raw).unwrap()).unwrap()
}

fn soon(mut done: impl FnMut() -> bool) -> bool {
    (0..750).any(|_| {
        sleep(Duration::from_millis(20));
        done()
    })
}

/// A process that owns one server of each kind, in a process group of its own, as a terminal would have it.
fn owner() -> (Child, Vec<Seen>) {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_tierstack-servers"))
        .args(["redis", "postgres"])
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().take(2);
    let seen: Vec<Seen> = lines
        .map(|line| {
            let line = line.unwrap();
            let [_, _, raw, dir] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            Seen { pid: pid(raw.parse().unwrap()), dir: dir.into() }
        })
        .collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(Seen::is_there));
    (owner, seen)
}

/// Proves that not even a SIGKILL of the owner leaves a server, though one of them is stopped and can't hear a signal.
#[test]
fn servers_end_with_an_owner_that_is_killed() {
    let (mut owner, seen) = owner();
    kill_process(seen[0].pid, Signal::STOP).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    seen.iter().for_each(Seen::assert_goes);
}

/// Proves that a signal to every process of the owner's group, as a terminal's Ctrl-C is, leaves nothing. TERM stands for
/// INT, which whatever a shell started in the background ignores.
#[test]
fn servers_end_with_an_owner_whose_group_is_signalled() {
    let (mut owner, seen) = owner();
    kill_process_group(pid(owner.id()), Signal::TERM).unwrap();
    assert!(soon(|| owner.try_wait().unwrap().is_some()));
    seen.iter().for_each(Seen::assert_goes);
}

/// Proves that an owner that dies while its server is still being made leaves nothing either.
#[test]
fn a_half_made_server_ends_with_its_owner() {
    let root = std::env::temp_dir().join(format!("tierstack-half-{}", std::process::id()));
    std::fs::create_dir(&root).unwrap();
    let mut owner = Command::new(env!("CARGO_BIN_EXE_tierstack-servers"))
        .arg("postgres")
        .env("TMPDIR", &root)
        .spawn()
        .unwrap();
    assert!(soon(|| dirs(&root) == 1), "the server's directory appears");
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(soon(|| dirs(&root) == 0), "something is left in {}", root.display());
    std::fs::remove_dir(root).unwrap();
}

fn dirs(root: &Path) -> usize {
    std::fs::read_dir(root).unwrap().count()
}

/// Proves that dropping the value returns only when the server and its files are gone, stopped or not.
#[test]
fn a_dropped_server_is_gone() {
    for stopped in [false, true] {
        let redis = Redis::start().unwrap();
        let postgres = Postgres::start().unwrap();
        let seen = [
            Seen { pid: pid(redis.pid().unwrap()), dir: redis.dir().unwrap().to_owned() },
            Seen { pid: pid(postgres.pid().unwrap()), dir: postgres.dir().unwrap().to_owned() },
        ];
        if stopped {
            redis.stop().unwrap();
            postgres.stop().unwrap();
        }
        drop((redis, postgres));
        assert!(!seen.iter().any(Seen::is_there), "stopped: {stopped}");
    }
}

/// Proves that nothing waits for a server that died by itself.
#[test]
fn a_server_that_dies_takes_its_files_along() {
    let redis = Redis::start().unwrap();
    let seen = Seen { pid: pid(redis.pid().unwrap()), dir: redis.dir().unwrap().to_owned() };
    kill_process(seen.pid, Signal::KILL).unwrap();
    seen.assert_goes();
    assert!(redis.stop().is_err(), "its pid may be somebody else's by now");
}

/// Proves that a browser doesn't outlive the owner of its driver, either.
#[test]
fn a_browser_ends_with_an_owner_that_is_killed() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_tierstack-servers"))
        .arg("chromium")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let [_, url, driver, dir] = line.trim().split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let dir = PathBuf::from(dir);
    let browser = Seen { pid: pid(begin_session(url, &dir)), dir: dir.clone() };
    let driver = Seen { pid: pid(driver.parse().unwrap()), dir };
    assert!(driver.is_there() && browser.is_there());

    owner.kill().unwrap();
    owner.wait().unwrap();
    driver.assert_goes();
    browser.assert_goes();
}

/// The pid of a browser that a new session begins, which the driver tells among its capabilities.
fn begin_session(url: &str, dir: &Path) -> u32 {
    let flags = ["headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"];
    let flags = flags.map(|flag| format!("\"--{flag}\"")).join(",");
    let body = format!(
        r#"{{"capabilities":{{"alwaysMatch":{{"goog:chromeOptions":{{"args":[{flags},"--user-data-dir={}"]}}}}}}}}"#,
        dir.join("profile").display()
    );
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "POST /session HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    // The driver keeps the connection open: its answer ends with its own last brace.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (mut answer, mut part) = (String::new(), [0; 4_096]);
    while !answer.ends_with("}}") {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "no session: {answer}");
        answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    let told = answer.split_once("\"goog:processID\":").unwrap_or_else(|| panic!("no session: {answer}")).1;
    told.split(|next: char| !next.is_ascii_digit()).next().unwrap().parse().unwrap()
}
