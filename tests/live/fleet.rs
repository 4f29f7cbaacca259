//! Eight processes at once over one Redis and one Postgres, by the servers' own statistics.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tests::{Film, film};

use crate::rig::Rig;
use crate::stampede::Costs;

const PROCESSES: usize = 8;
const KEYS: i32 = 10;

/// A process with a thousand callers.
struct Node {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(rig: &Rig, number: usize) -> Self {
        let name = format!("node-{number}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_live_node"))
            .args([&name, &rig.redis.url(), &rig.postgres_url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Node { name, child, input, output: BufReader::new(output) }
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn is_told(&mut self, row: &Film) {
        assert_eq!(self.says(), format!("1000 × Ok(Some({row:?}))"), "{}", self.name);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Eight of them, which hear.
fn fleet(rig: &Rig) -> Vec<Node> {
    let mut nodes: Vec<Node> = (0..PROCESSES).map(|number| Node::start(rig, number)).collect();
    nodes.iter_mut().for_each(|node| assert_eq!(node.says(), "ready"));
    nodes
}

/// All are let go at once, and have asked when this returns.
fn ask(nodes: &mut [Node], key: i32) {
    nodes.iter_mut().for_each(|node| writeln!(node.input, "ask {key}").unwrap());
    nodes.iter_mut().for_each(|node| assert_eq!(node.says(), "asked"));
}

/// Eight thousand callers in eight processes ask for one cold key, and it is loaded once: one right is granted, and all
/// others wait for the row. Ten rounds, each with a key of its own; in every second one the load takes its time, so that all
/// eight processes ask for the right.
#[tokio::test(flavor = "multi_thread")]
async fn one_cold_key_is_loaded_once_by_eight_processes() {
    let rig = Rig::new();
    rig.insert(&(0..KEYS).map(film).collect::<Vec<_>>()).await;
    let mut nodes = fleet(&rig);
    let mut costs = Costs::of(&rig);
    for slow in [false, true] {
        if slow {
            rig.slow_down(Duration::from_millis(500)).await;
            costs.since(&rig);
        }
        for key in (0..KEYS).filter(|key| (key % 2 == 1) == slow) {
            ask(&mut nodes, key);
            nodes.iter_mut().for_each(|node| node.is_told(&film(key)));
            let cost = costs.since(&rig);
            println!("key {key}, slow: {slow}: {cost:?}");
            assert_eq!((cost.selects, cost.rows), (1, 1), "key {key}");
            // Each process leases once at most, with one script call more if it read too early to see the other's lease; one
            // fills. While they wait they read, ever more seldom.
            let (processes, leases) = (PROCESSES as u64, cost.scripts - 1);
            let least = if slow { processes } else { 1 };
            assert!((least..2 * processes).contains(&leases), "{cost:?}");
            assert!(cost.mgets < 50 * PROCESSES as u64, "{cost:?}");
        }
    }
}

/// The process that has the right is killed while it loads. The others' callers wait until the right ends, and not for
/// as long as they would wait for a live one: then one of them is granted it, and loads.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_with_the_right_is_replaced_by_one() {
    let rig = Rig::new();
    rig.insert(&[film(1)]).await;
    let mut nodes = fleet(&rig);
    let mut costs = Costs::of(&rig);
    let mut lock = rig.pool.get().await.unwrap();
    let lock = lock.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE film").await.unwrap();
    ask(&mut nodes, 1);
    let first = one_loads(&rig, "").await;
    let place = nodes.iter().position(|node| node.name == first).unwrap();
    drop(nodes.remove(place));
    // Its session would go on, and be counted or not.
    rig.text(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{first}'"
    ));
    let second = one_loads(&rig, &first).await;
    lock.commit().await.unwrap();
    nodes.iter_mut().for_each(|node| node.is_told(&film(1)));
    assert!(nodes.iter().any(|node| node.name == second));
    assert_eq!(costs.since(&rig).selects, 1, "and the one that was ended");
}

/// The nodes whose loads wait for the table.
fn loading(rig: &Rig) -> BTreeSet<String> {
    let names = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name LIKE 'node-%' AND wait_event_type = 'Lock'";
    rig.text(names).lines().map(str::to_owned).collect()
}

/// Waits until a node other than `but` loads: it is the only one.
async fn one_loads(rig: &Rig, but: &str) -> String {
    for _ in 0..2_000 {
        let mut names = loading(rig);
        names.remove(but);
        if let Some(name) = names.pop_first() {
            assert!(names.is_empty(), "{name} loads, and {names:?}");
            return name;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody loads");
}
