//! Nodes hear of each other's invalidations over a real server, are deaf when they may not hear, and hear again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tierstack_core::{
    Beat, BusSettings, BusStats, Cache, Channel, Entity, ErrorKind, Invalidate, L1, Level, Lookup, Message,
    Namespace, Schema, Tier, Token, origin_fn,
};
use tierstack_redis::{RedisSettings, RedisTier};
use tierstack_servers::Redis;
use tokio::time::{Instant, sleep, timeout};

#[derive(Serialize, Deserialize)]
struct Film {
    film_id: i32,
    version: i64,
}

impl Entity for Film {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "version"])
    }
    fn pk(&self) -> i32 {
        self.film_id
    }
}

/// Nodes over one Redis, and the version that every film has at the origin.
struct Rig {
    redis: Redis,
    version: Arc<AtomicI64>,
}

/// Long enough for any machine, short enough to wait for.
const SOON: Duration = Duration::from_secs(20);

impl Rig {
    fn new() -> Self {
        Rig { redis: Redis::start().unwrap(), version: Arc::default() }
    }

    fn settings(&self) -> RedisSettings {
        let mut settings = RedisSettings::new(self.redis.url());
        (settings.connect_timeout, settings.response_timeout) =
            (Duration::from_millis(500), Duration::from_millis(500));
        settings
    }

    fn films(&self) -> Cache<Film> {
        self.films_over(RedisTier::new(self.settings()).unwrap())
    }

    fn films_over(&self, tier: RedisTier) -> Cache<Film> {
        let mut bus = BusSettings::default();
        (bus.deaf_after, bus.beat_every) = (Duration::from_millis(500), Duration::from_millis(100));
        let version = Arc::clone(&self.version);
        let origin = origin_fn(move |keys: Vec<i32>| {
            let version = version.load(Ordering::SeqCst);
            async move {
                let rows = keys.into_iter().map(|film_id| (film_id, Film { film_id, version }));
                Ok::<_, std::io::Error>(rows.collect())
            }
        });
        let shop = Namespace::builder("shop").l2(tier).bus(bus).build().unwrap();
        shop.cache().l1(L1::capacity(100)).origin(origin).build().unwrap()
    }

    /// Writes, and tells of it on that node.
    async fn write(&self, on: &Cache<Film>) -> i64 {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        on.invalidate([1]).await.unwrap();
        version
    }

    /// A node that hears, and holds film 1.
    async fn hearing(&self) -> Cache<Film> {
        let films = self.films();
        begin(&films).await;
        films
    }
}

fn stats(films: &Cache<Film>) -> BusStats {
    films.namespace().bus_stats().unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < SOON, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn hears(films: &Cache<Film>) {
    until("it hears", async || stats(films).deaf_for.is_none()).await;
}

async fn is_deaf(films: &Cache<Film>) {
    until("it is deaf", async || stats(films).deaf_for.is_some()).await;
}

/// Asks until it hears and L1 holds film 1.
async fn begin(films: &Cache<Film>) {
    films.get(1).await.unwrap();
    hears(films).await;
    // What was taken before it heard is brief.
    films.evict_l1(1);
    films.get(1).await.unwrap();
    assert_eq!(look(films).await.1, Level::L1);
}

/// The version that is answered, and where from.
async fn look(films: &Cache<Film>) -> (i64, Level) {
    let (_, outcome) = films.lookup(Lookup::one(1)).await.unwrap().into_iter().next().unwrap();
    let answer = outcome.unwrap().unwrap();
    (answer.entry.into_present().unwrap().version, answer.source)
}

async fn answers(films: &Cache<Film>, version: i64) {
    until("the row that was written", async || look(films).await.0 == version).await;
}

/// A write on one node leaves the other's L1, again and again.
#[tokio::test]
async fn nodes_hear_of_each_others_writes() {
    let rig = Rig::new();
    let [here, there] = [rig.hearing().await, rig.hearing().await];
    for _ in 0..20 {
        let version = rig.write(&here).await;
        answers(&there, version).await;
        assert_eq!(look(&here).await.0, version);
    }
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions, stats(&there).unreadable), (None, 1, 0));
    // The life of an entry is its own: nothing is written, and a minute's hits are L1's.
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(look(&there).await.1, Level::L1, "longer than a brief entry, while it hears");
}

/// The connection is killed: deaf at once, then a new subscription, and what L1 held is asked of L2.
#[tokio::test]
async fn a_killed_connection_is_replaced() {
    let rig = Rig::new();
    let [here, there] = [rig.hearing().await, rig.hearing().await];
    for round in 2..5 {
        rig.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        let version = rig.write(&here).await;
        until("a new subscription", async || stats(&there).subscriptions >= round).await;
        answers(&there, version).await;
        hears(&there).await;
        begin(&there).await;
    }
}

/// A stopped server says nothing and closes nothing: L1 is suspended, and no old row is answered when it goes on.
#[tokio::test]
async fn a_stopped_server_makes_deaf() {
    let rig = Rig::new();
    let films = rig.hearing().await;
    rig.redis.stop().unwrap();
    let began = Instant::now();
    is_deaf(&films).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    rig.version.fetch_add(1, Ordering::SeqCst);
    assert_eq!(look(&films).await, (1, Level::Origin));
    rig.redis.cont().unwrap();
    hears(&films).await;
    assert!(stats(&films).subscriptions >= 1);
}

/// Another run of the server behind the same address, which forgot what it was told.
#[tokio::test]
async fn a_restarted_server_makes_deaf_and_is_heard_again() {
    let mut rig = Rig::new();
    let [here, there] = [rig.hearing().await, rig.hearing().await];
    rig.redis.kill().unwrap();
    is_deaf(&there).await;
    rig.redis.restart().unwrap();
    hears(&here).await;
    hears(&there).await;
    begin(&there).await;
    let version = rig.write(&here).await;
    answers(&there, version).await;
}

/// A full server takes heartbeats, as it takes invalidations: who can't fill L2 is not deaf for it.
#[tokio::test]
async fn a_full_server_is_heard() {
    let rig = Rig::new();
    let [here, there] = [rig.hearing().await, rig.hearing().await];
    rig.redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    rig.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    sleep(Duration::from_millis(700)).await;
    assert_eq!((stats(&there).deaf_for, stats(&there).subscriptions), (None, 1));
    let version = rig.write(&here).await;
    answers(&there, version).await;
}

/// A server that takes no writes is silent: one with too few replicas, as a master that was cut off, and a replica.
#[tokio::test]
async fn a_server_that_takes_no_writes_makes_deaf() {
    for commands in [["CONFIG", "SET", "min-replicas-to-write", "1"], ["REPLICAOF", "127.0.0.1", "1", ""]] {
        let rig = Rig::new();
        let films = rig.hearing().await;
        let words: Vec<&str> = commands.into_iter().filter(|word| !word.is_empty()).collect();
        rig.redis.cli(&words).unwrap();
        is_deaf(&films).await;
        sleep(Duration::from_millis(600)).await;
        assert!(stats(&films).deaf_for.is_some(), "{words:?}");
        let undone: &[&str] = match words[0] {
            "REPLICAOF" => &["REPLICAOF", "NO", "ONE"],
            _ => &["CONFIG", "SET", "min-replicas-to-write", "0"],
        };
        rig.redis.cli(undone).unwrap();
        hears(&films).await;
    }
}

fn as_user(rig: &Rig, user: &str) -> RedisTier {
    let mut settings = rig.settings();
    settings.url = settings.url.replace("redis://", &format!("redis://{user}:secret@"));
    RedisTier::new(settings).unwrap()
}

/// A user that may not ask for the run of the server hears all the same.
#[tokio::test]
async fn info_is_not_needed() {
    let rig = Rig::new();
    let user = ["ACL", "SETUSER", "plain", "on", ">secret", "~shop:*", "&shop:!bus*", "-@all"];
    let may = "+mget +time +evalsha +eval +get +set +setrange +del +pttl +pexpire +publish +subscribe";
    rig.redis.cli(&[&user[..], &may.split(' ').collect::<Vec<_>>()].concat()).unwrap();
    let [here, there] = [rig.films_over(as_user(&rig, "plain")), rig.films_over(as_user(&rig, "plain"))];
    begin(&here).await;
    begin(&there).await;
    let version = rig.write(&here).await;
    answers(&there, version).await;
}

/// A user without the channel is deaf, and can't invalidate: nobody would be told. L1 answers what is brief.
#[tokio::test]
async fn a_user_without_the_channel_is_deaf_and_told_so() {
    let rig = Rig::new();
    rig.redis.cli(&["ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "resetchannels"]).unwrap();
    let tier = as_user(&rig, "mute");
    let films = rig.films_over(tier.clone());
    films.get(1).await.unwrap();
    assert_eq!(look(&films).await.1, Level::L1, "briefly");
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(look(&films).await.1, Level::L2);
    assert!(stats(&films).deaf_for.is_some());
    let error = films.invalidate([1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undelivered);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("channel"), "{cause}");
    let bus = tier.bus().unwrap();
    let error = bus.subscribe(&Channel::of("shop"), Token::from_bytes([1; 16])).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("+subscribe"), "{error}");
}

/// A subscriber that takes nothing is not waited for: its subscription ends, and what it holds is bounded.
#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_ended() {
    let rig = Rig::new();
    let tier = RedisTier::new(rig.settings()).unwrap();
    let (bus, channel) = (tier.bus().unwrap(), Channel::of("shop"));
    let node = Token::from_bytes([1; 16]);
    let mut told = bus.subscribe(&channel, node).await.unwrap();
    for seq in 0..1_500 {
        bus.beat(&channel, Beat { node, seq }).await.unwrap();
    }
    sleep(Duration::from_millis(100)).await;
    let heard = timeout(SOON, told.by_ref().count()).await.expect("it ends");
    assert_eq!(heard, 1_024);
}

/// More is told at once than Redis keeps for a subscriber: it throws all of them out, again and again. They come back, but not
/// all the time (once in a second, after the first few), and hear when it is over.
#[tokio::test]
async fn subscribers_that_are_thrown_out_do_not_come_back_all_the_time() {
    let rig = Rig::new();
    let [here, there] = [rig.hearing().await, rig.hearing().await];
    let limit = |most| {
        rig.redis
            .cli(&["CONFIG", "SET", "client-output-buffer-limit", &format!("pubsub {most} 0 0")])
            .unwrap();
    };
    limit("1kb");
    // An invalidation of a key that nobody has, of 1,000 bytes.
    let burst = r"local key = string.rep('k', 1000)
        local message = '\241TSB\1I\0\0\3\232' .. key .. string.rep('\0', 16)
        for _ = 1, 200 do redis.call('PUBLISH', KEYS[1], message) end";
    let began = Instant::now();
    let before = stats(&there).subscriptions;
    while began.elapsed() < Duration::from_secs(6) {
        rig.redis.cli(&["EVAL", burst, "1", "shop:!bus"]).unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    let made = stats(&there).subscriptions - before;
    println!("{made} subscriptions in {:?}", began.elapsed());
    assert!(made >= 2 && made <= began.elapsed().as_secs() + 5, "{made}");
    assert_eq!(stats(&there).unreadable, 0);
    limit("32mb");
    hears(&here).await;
    hears(&there).await;
    begin(&there).await;
    let version = rig.write(&here).await;
    answers(&there, version).await;
}

/// What somebody else says on the channel may have been an invalidation.
#[tokio::test]
async fn what_is_no_message_of_ours_is_unreadable() {
    let rig = Rig::new();
    let films = rig.hearing().await;
    rig.redis.cli(&["PUBLISH", "shop:!bus", "hello"]).unwrap();
    until("it is noticed", async || stats(&films).unreadable == 1).await;
    until("a new subscription", async || stats(&films).subscriptions == 2).await;
    hears(&films).await;
}

/// One message for the keys of one call, each with the token there.
#[tokio::test]
async fn one_call_is_one_message() {
    let rig = Rig::new();
    let mut settings = rig.settings();
    settings.max_keys_per_script = 200;
    let tier = RedisTier::new(settings).unwrap();
    let (bus, channel) = (tier.bus().unwrap(), Channel::of("shop"));
    let mut told = bus.subscribe(&channel, Token::from_bytes([1; 16])).await.unwrap();
    let format = Film::schema().key_format("shop", 64).unwrap();
    let wires = format.wire(&(0..500).collect::<Vec<i32>>());
    let token = Token::from_bytes([7; 16]);
    let ask = |key| Invalidate { finished: false, ..Invalidate::finished(key, token, SOON) };
    let asks: Vec<Invalidate> = wires.into_iter().map(|key| ask(key.unwrap())).collect();
    tier.invalidate(&channel, &asks).await;
    for expected in [200, 200, 100] {
        let Some(Message::Invalidated(keys)) = timeout(SOON, told.next()).await.unwrap() else { panic!() };
        assert_eq!(keys.len(), expected);
        assert!(keys.iter().all(|(_, there)| *there == Some(token)));
    }
}

/// A tier on somebody else's pool hears nothing, and L1 over it lives for 5 s.
#[tokio::test]
async fn a_pool_brings_no_bus() {
    let rig = Rig::new();
    let config = deadpool_redis::Config::from_url(rig.redis.url());
    let pool =
        config.builder().unwrap().max_size(2).runtime(deadpool_redis::Runtime::Tokio1).build().unwrap();
    let tier = RedisTier::from_pool(pool, RedisSettings::default()).unwrap();
    let films = rig.films_over(tier);
    films.get(1).await.unwrap();
    assert_eq!(films.namespace().bus_stats(), None);
    assert_eq!(look(&films).await.1, Level::L1);
}

/// A heartbeat bears the run of the server that took it, for a name behind which the server may change.
#[tokio::test]
async fn a_heartbeat_bears_the_run_of_the_server() {
    let rig = Rig::new();
    let tier = RedisTier::new(rig.settings()).unwrap();
    let (bus, channel) = (tier.bus().unwrap(), Channel::of("shop"));
    let beat = Beat { node: Token::from_bytes([1; 16]), seq: 1 };
    let mut told = bus.subscribe(&channel, beat.node).await.unwrap();
    bus.beat(&channel, beat).await.unwrap();
    let info = rig.redis.cli(&["INFO", "server"]).unwrap();
    let run = info.lines().find_map(|line| line.trim().strip_prefix("run_id:")).unwrap();
    assert_eq!(run.len(), 40);
    assert_eq!(timeout(SOON, told.next()).await.unwrap(), Some(Message::Beat(beat, run.into())));
}
