//! Row 7: eight processes, each with a thousand callers, ask for one cold key; beside the loader alone. Over a private Redis,
//! which also counts the loads.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use benches::{Film, Pair, film};
use redis::aio::MultiplexedConnection;
use tierstack_core::{Cache, L1, Namespace, origin_fn};
use tierstack_redis::{RedisSettings, RedisTier};

const PROCESSES: usize = 8;
const CALLERS: usize = 1_000;
/// What a load takes.
const LOAD: Duration = Duration::from_millis(50);
const LOADS: &str = "loads";

/// Counts, and takes its time.
async fn load(mut connection: MultiplexedConnection) -> redis::RedisResult<()> {
    let () = redis::cmd("INCR").arg(LOADS).query_async(&mut connection).await?;
    tokio::time::sleep(LOAD).await;
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [word, url] if word == "node" => node(url),
        _ => measure(),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// One of the processes: each line on its input is a key that all its callers ask for; it answers when all were answered.
fn node(url: &str) -> Result<()> {
    let runtime = runtime()?;
    let connecting = redis::Client::open(url)?;
    let connection = runtime.block_on(connecting.get_multiplexed_async_connection())?;
    let films: Cache<Film> = {
        let _inside = runtime.enter();
        let shop = Namespace::builder("shop").l2(RedisTier::new(RedisSettings::new(url))?).build()?;
        let origin = origin_fn(move |keys: Vec<i32>| {
            let loading = load(connection.clone());
            async move {
                loading.await?;
                Ok::<_, redis::RedisError>(keys.into_iter().map(|key| (key, film(key))).collect())
            }
        });
        shop.cache().l1(L1::capacity(10_000)).origin(origin).build()?
    };
    for line in std::io::stdin().lines() {
        let key: i32 = line?.parse()?;
        runtime.block_on(async {
            let ask = || {
                let films = films.clone();
                tokio::spawn(async move { films.get(key).await })
            };
            for caller in (0..CALLERS).map(|_| ask()).collect::<Vec<_>>() {
                caller.await??.context("every film is there")?;
            }
            anyhow::Ok(())
        })?;
        println!("answered");
    }
    Ok(())
}

/// A process, from outside.
struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(url: &str) -> Result<Node> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["node", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.context("it has no output")?);
        Ok(Node { child, input: input.context("it has no input")?, output })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended can't be killed: that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(nodes: &mut [Node], key: i32) {
    for node in nodes.iter_mut() {
        writeln!(node.input, "{key}").expect("the process takes its key");
    }
    for node in nodes {
        let mut line = String::new();
        node.output.read_line(&mut line).expect("the process answers");
        assert_eq!(line, "answered\n");
    }
}

fn measure() -> Result<()> {
    let redis = tierstack_servers::Redis::start()?;
    let runtime = runtime()?;
    let connecting = redis::Client::open(redis.url())?;
    let connection = runtime.block_on(connecting.get_multiplexed_async_connection())?;
    let mut nodes = (0..PROCESSES).map(|_| Node::start(&redis.url())).collect::<Result<Vec<_>>>()?;
    let next = AtomicI32::new(0);
    let loads = || -> Result<f64> { Ok(redis.cli(&["GET", LOADS])?.parse()?) };
    let alone = || runtime.block_on(load(connection.clone())).expect("Redis is up");
    // Their connections open with the first key.
    let mut cold = || ask(&mut nodes, next.fetch_add(1, Ordering::Relaxed));
    cold();
    let pair = |what, floor, limit| Pair { bench: "fleet_lookup", row: 7, what, floor, limit };
    let what = "one cold key, 8 processes × 1,000 callers, 50 ms";
    pair(what, "the loader alone", None).run(alone, &mut cold, 1);
    let (before, asked) = (loads()?, next.load(Ordering::Relaxed));
    for _ in 0..20 {
        cold();
    }
    let keys = f64::from(next.load(Ordering::Relaxed) - asked);
    pair("loads for a cold key of 8 processes", "one", Some(1.0)).count(1.0, (loads()? - before) / keys);
    Ok(())
}
