//! A node in a process of its own, for the live tests: `live_node NAME REDIS POSTGRES`.
//!
//! It says `ready` once it hears. On `ask KEY` on its standard input, a thousand callers ask for that key at once; it says
//! `asked` when all have, and then how many were told what. It ends with its input.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a node that can't go on fails its test")]

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use tests::crowd::Crowd;
use tests::{Film, steady};
use tierstack_core::{Cache, L1, Namespace, Settings};
use tierstack_postgres::PgOrigin;
use tierstack_postgres::deadpool_postgres::{Config, PoolConfig, Runtime};
use tierstack_postgres::tokio_postgres::NoTls;
use tierstack_redis::{RedisSettings, RedisTier};

const CALLERS: usize = 1_000;

/// Servers may take their time. Whoever waits for another node does so for longer than any right lasts: who is freed is freed
/// by the end of the right.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.lookup_timeout = Duration::from_secs(60);
    settings.l2_timeout = Duration::from_secs(10);
    settings.wait_for_load = 3 * settings.right_life();
    settings
}

fn films(name: &str, redis: &str, postgres: &str) -> Cache<Film> {
    let mut config = Config::new();
    config.url = Some(postgres.to_owned());
    config.application_name = Some(name.to_owned());
    config.pool = Some(PoolConfig::new(2));
    let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap();
    let mut redis = RedisSettings::new(redis);
    redis.response_timeout = Duration::from_secs(20);
    let shop = Namespace::builder("shop").l2(RedisTier::new(redis).unwrap()).bus(steady()).build().unwrap();
    shop.cache().l1(L1::capacity(1_000)).origin(PgOrigin::new(pool)).settings(settings()).build().unwrap()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

async fn ask(films: &Cache<Film>, key: i32) {
    let crowd = Crowd::ask(films, std::iter::repeat_n(key, CALLERS));
    crowd.has_asked().await;
    say("asked");
    let mut told = BTreeMap::<String, usize>::new();
    for found in crowd.found().await {
        *told.entry(format!("{found:?}")).or_default() += 1;
    }
    let told: Vec<String> = told.into_iter().map(|(what, callers)| format!("{callers} × {what}")).collect();
    say(&told.join(", "));
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, redis, postgres] = &words[..] else { panic!("it is started by a test") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let films = {
        let _inside = runtime.enter();
        films(name, redis, postgres)
    };
    runtime.block_on(async {
        films.get(-1).await.unwrap();
        while films.namespace().bus_stats().unwrap().deaf_for.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    say("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let key = line.strip_prefix("ask ").and_then(|key| key.parse().ok());
        runtime.block_on(ask(&films, key.unwrap()));
    }
}
