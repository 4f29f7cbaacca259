//! A private Redis does what a test of faults asks of it.

use std::net::TcpStream;

use tierstack_servers::Redis;

/// Proves that a command reaches the server and its answers come back, errors included.
#[test]
fn a_command_is_answered() {
    let redis = Redis::start().unwrap();
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["SET", "a key", "line\r\nline"]).unwrap(), "OK");
    assert_eq!(redis.cli(&["GET", "a key"]).unwrap(), "line\r\nline");
    assert_eq!(redis.cli(&["GET", "no"]).unwrap(), "(nil)");
    assert_eq!(redis.cli(&["RPUSH", "list", "a", "b"]).unwrap(), "2");
    assert_eq!(redis.cli(&["LRANGE", "list", "0", "-1"]).unwrap(), "a\nb");
    let error = redis.cli(&["GET", "list"]).unwrap_err();
    assert!(format!("{error:#}").contains("WRONGTYPE"), "{error:#}");
    // Tests of faults stall the server by it.
    assert_eq!(redis.cli(&["DEBUG", "SLEEP", "0"]).unwrap(), "OK");
}

/// Proves that arguments of the test's own reach the server, and reach it again after a restart.
#[test]
fn a_restart_keeps_port_and_arguments_and_loses_the_data() {
    let mut redis = Redis::start_with(&["--maxmemory", "2mb"]).unwrap();
    let (port, pid) = (redis.port(), redis.pid().unwrap());
    redis.cli(&["SET", "k", "v"]).unwrap();
    redis.kill().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "a killed server refuses connections");
    assert!(redis.pid().is_err() && redis.stop().is_err() && redis.kill().is_err());
    redis.restart().unwrap();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid().unwrap(), pid);
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap(), "0");
    assert_eq!(redis.cli(&["CONFIG", "GET", "maxmemory"]).unwrap(), "maxmemory\n2097152");
    // Also from a server that runs.
    redis.cli(&["SET", "k", "v"]).unwrap();
    redis.restart().unwrap();
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap(), "0");
}

/// Proves that a stopped server accepts connections and doesn't answer, and goes on where it was.
#[test]
fn a_stopped_server_is_silent_until_it_goes_on() {
    let redis = Redis::start().unwrap();
    redis.cli(&["SET", "k", "v"]).unwrap();
    redis.stop().unwrap();
    TcpStream::connect(("127.0.0.1", redis.port())).expect("the kernel accepts for a stopped process");
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| redis.cli(&["GET", "k"]));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!answer.is_finished());
        redis.cont().unwrap();
        assert_eq!(answer.join().unwrap().unwrap(), "v");
    });
}

/// Proves that a replica has what its master had, and takes its place: the same port, another run, without what it had not
/// heard of; and that it ends with its owner, and starts again as any other.
#[test]
fn a_replica_takes_its_masters_port() {
    let mut redis = Redis::start().unwrap();
    let run = |redis: &Redis| {
        let says = redis.cli(&["INFO", "server"]).unwrap();
        says.lines().find(|line| line.starts_with("run_id:")).unwrap().to_owned()
    };
    let (port, before) = (redis.port(), run(&redis));
    redis.cli(&["SET", "k", "v"]).unwrap();
    let replica = redis.start_replica().unwrap();
    assert_eq!(replica.cli(&["GET", "k"]).unwrap(), "v");
    replica.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    redis.cli(&["SET", "k", "lost"]).unwrap();
    redis.fail_over_to(replica).unwrap();
    assert_eq!(redis.port(), port);
    assert_ne!(run(&redis), before);
    assert_eq!(redis.cli(&["GET", "k"]).unwrap(), "v");
    redis.cli(&["SET", "k", "w"]).unwrap();
    redis.restart().unwrap();
    assert_eq!(redis.cli(&["GET", "k"]).unwrap(), "(nil)");
}

/// Proves that a server that can't run says why, in its own words.
#[test]
fn a_server_that_refuses_its_arguments_says_so() {
    let error = Redis::start_with(&["--no-such-setting", "1"]).unwrap_err();
    assert!(format!("{error:#}").contains("Bad directive"), "{error:#}");
}
