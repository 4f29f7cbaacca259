//! A server ends with its owner, and nothing of it is left, however the owner went.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader};
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
