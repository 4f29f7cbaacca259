//! The tier: batches cut into commands, and replies put back into the order of their keys.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;
use redis::{Cmd, Pipeline, Value};
use tierstack_core::{
    BoxFuture, Bus, Channel, Error, Fill, Filled, Invalidate, Invalidated, LeaseFor, Leased, Reply, System,
    Tier, WireKey,
};

use crate::ask::{self, Ask};
use crate::bus::RedisBus;
use crate::connections::Connections;
use crate::script::Script;
use crate::{RedisSettings, address, fault, script, vacant};

/// A shared tier on Redis. Clones share its connections.
///
/// An empty batch is answered without asking Redis, and its reply states 0 as the clock.
///
/// # Cancel safety
/// A request that is dropped may or may not take effect, and disturbs no other. A connect that it began goes on.
///
/// # Concurrent calls on the same key
/// Redis runs one script at a time: each sees all that another did to the key, or nothing of it.
#[derive(Clone)]
pub struct RedisTier {
    connections: Arc<Connections>,
    settings: Arc<RedisSettings>,
    /// `None` if the connections are of a pool that somebody else configured.
    bus: Option<Arc<RedisBus>>,
    system: System,
}

impl RedisTier {
    /// A tier on the Redis that the settings name. Connects at the first request, so it can be built while Redis is down
    /// and outside any runtime.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) with a sentence that says which setting to change.
    pub fn new(settings: RedisSettings) -> Result<Self, Error> {
        settings.check()?;
        let settings = Arc::new(settings);
        let connections = Arc::new(Connections::new(&settings)?);
        let bus = Arc::new(RedisBus::new(Arc::clone(&connections), Arc::clone(&settings))?);
        let system = address::system(&settings.url);
        Ok(RedisTier { connections, settings, bus: Some(bus), system })
    }

    /// A tier that takes its connections from `pool` (with TLS, say), and keeps them until they fail or the tier is
    /// dropped. Of the settings, the URL is not used, and how a connection is opened is the pool's own affair but for
    /// the time it may take.
    ///
    /// Such a tier tells of invalidations and hears of none, as it can open no connection: what L1 answers over it is up to
    /// [`Store::DEFAULT_LIFE_OVER_L2`](tierstack_core::Store::DEFAULT_LIFE_OVER_L2) behind another node's write, or as
    /// long as its life is set to.
    ///
    /// # Errors
    /// [`Invalid`](tierstack_core::ErrorKind::Invalid) with a sentence that says which setting to change; also if the
    /// pool holds fewer connections than the tier is to keep.
    pub fn from_pool(pool: deadpool_redis::Pool, settings: RedisSettings) -> Result<Self, Error> {
        settings.check_limits()?;
        let settings = Arc::new(settings);
        let connections = Arc::new(Connections::from_pool(pool, &settings)?);
        Ok(RedisTier { connections, settings, bus: None, system: address::system("") })
    }

    /// One MGET for each chunk of keys, and the clock after them: no record is from its future.
    async fn mget(&self, keys: &[WireKey]) -> Result<Reply<Option<Bytes>>, Error> {
        let chunks = keys.chunks(self.settings.max_keys_per_request);
        let mut pipeline = Pipeline::with_capacity(chunks.len() + 1);
        for chunk in chunks.clone() {
            let bytes = chunk.iter().map(|key| key.as_bytes().len()).sum::<usize>();
            let mut command = Cmd::with_capacity(1 + chunk.len(), "MGET".len() + bytes);
            command.arg("MGET");
            for key in chunk {
                command.arg(key.as_bytes());
            }
            pipeline.add_command(command);
        }
        pipeline.cmd("TIME");
        let mut replies = self.connections.send(&pipeline, || Some(pipeline.clone())).await?.into_iter();
        let mut each = Vec::with_capacity(keys.len());
        for chunk in chunks {
            match replies
                .next()
                .ok_or_else(|| fault::unexpected("MGET"))
                .and_then(|found| values(chunk.len(), found))
            {
                Ok(found) => each.extend(found),
                Err(error) => each.extend(chunk.iter().map(|_| Err(error.clone()))),
            }
        }
        // Without the clock, nothing can be said of a record's age.
        let now_ms = clock(replies.next())?;
        Ok(Reply { now_ms, each })
    }

    /// Calls the script of `A` for each chunk of keys; again with its text where Redis has forgotten it.
    async fn judge<A: Ask>(&self, asks: &[A], tail: Option<&str>) -> Result<Reply<A::Answer>, Error> {
        let most = self.settings.max_keys_per_script;
        let calls = |chunks: &[&[A]], script: fn(&Script) -> Cmd| {
            script::pipeline(chunks.iter().map(|chunk| ask::write(chunk, script(A::script()), tail)))
        };
        let mut repeated: Option<Vec<A>> = None;
        let chunks = in_chunks(asks, most);
        let by_name = calls(&chunks, Script::by_name);
        let send_again = || {
            let asks = repeated.insert(again(&chunks)?);
            Some(calls(&in_chunks(asks, most), Script::by_name))
        };
        let sent = self.connections.send(&by_name, send_again).await?;
        // What follows is of the copy that was answered.
        let chunks = repeated.as_deref().map_or(chunks, |asks| in_chunks(asks, most));
        let mut replies: Vec<Result<Value, Error>> = sent.into_iter().map(Ok).collect();
        let unknown = |reply: &Result<Value, Error>| reply.as_ref().is_ok_and(script::is_unknown);
        let forgotten: Vec<usize> = (0..replies.len()).filter(|&at| unknown(&replies[at])).collect();
        if !forgotten.is_empty() {
            let unknown: Vec<&[A]> = forgotten.iter().map(|&at| chunks[at]).collect();
            let by_text = calls(&unknown, Script::by_text);
            // Only the last chunk may be a short one, whichever of them are asked again.
            let send_again = || Some(calls(&in_chunks(&again(&unknown)?, most), Script::by_text));
            match self.connections.send(&by_text, send_again).await {
                Ok(again) => forgotten.iter().zip(again).for_each(|(&at, reply)| replies[at] = Ok(reply)),
                Err(error) => forgotten.iter().for_each(|&at| replies[at] = Err(error.clone())),
            }
        }
        let mut reply = Reply { now_ms: 0, each: Vec::with_capacity(asks.len()) };
        for (chunk, answers) in chunks.into_iter().zip(replies) {
            match answers.and_then(|answers| ask::read(chunk, answers)) {
                Ok(answers) => {
                    reply.now_ms = reply.now_ms.max(answers.now_ms);
                    reply.each.extend(answers.each);
                }
                Err(error) => reply.each.extend(chunk.iter().map(|_| Err(error.clone()))),
            }
        }
        Ok(reply)
    }

    /// Leases: by one plain command each where nothing was read; what is not vacant any more, and all else, by the script.
    async fn leases(&self, leases: &[LeaseFor]) -> Reply<Leased> {
        let vacant = |lease: &LeaseFor| lease.vacant_ms.is_some();
        let rest: Vec<LeaseFor> = leases.iter().filter(|lease| !vacant(lease)).cloned().collect();
        if rest.len() == leases.len() {
            return self.ask(leases, None).await;
        }
        let vacant: Vec<&LeaseFor> = leases.iter().filter(|lease| vacant(lease)).collect();
        let (made, judged) = join(vacant::lease(&self.connections, &vacant), self.ask(&rest, None)).await;
        let made = made.unwrap_or_else(|error| Reply::failed(vacant.len(), &error));
        let is_refused = |made: &Result<Option<Leased>, Error>| matches!(made, Ok(None));
        let refused = vacant.iter().zip(&made.each).filter(|(_, made)| is_refused(made));
        let refused: Vec<LeaseFor> = refused.map(|(lease, _)| (*lease).clone()).collect();
        let again = self.ask(&refused, None).await;
        let now_ms = made.now_ms.max(judged.now_ms).max(again.now_ms);
        let (mut made, mut judged, mut again) =
            (made.each.into_iter(), judged.each.into_iter(), again.each.into_iter());
        let each = leases.iter().filter_map(|lease| match lease.vacant_ms {
            None => judged.next(),
            Some(_) => match made.next()? {
                Ok(Some(leased)) => Some(Ok(leased)),
                Ok(None) => again.next(),
                Err(error) => Some(Err(error)),
            },
        });
        Reply { now_ms, each: each.collect() }
    }

    async fn ask<A: Ask>(&self, asks: &[A], tail: Option<&str>) -> Reply<A::Answer> {
        if asks.is_empty() {
            return Reply { now_ms: 0, each: Vec::new() };
        }
        self.judge(asks, tail).await.unwrap_or_else(|error| Reply::failed(asks.len(), &error))
    }
}

/// The keys of one call each.
fn in_chunks<A>(asks: &[A], most: usize) -> Vec<&[A]> {
    asks.chunks(most).collect()
}

/// The same asked for again; `None` if that could undo what came in between.
fn again<A: Ask>(chunks: &[&[A]]) -> Option<Vec<A>> {
    chunks.iter().copied().flatten().map(A::again).collect()
}

/// What an MGET found at `count` keys.
fn values(count: usize, reply: Value) -> Result<impl Iterator<Item = Result<Option<Bytes>, Error>>, Error> {
    let items = match reply {
        Value::ServerError(error) => return Err(fault::server(&error)),
        Value::Array(items) if items.len() == count => items,
        _ => return Err(fault::unexpected("MGET")),
    };
    Ok(items.into_iter().map(|item| match item {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        _ => Err(fault::unexpected("MGET")),
    }))
}

/// Milliseconds of TIME's seconds and microseconds.
pub(crate) fn clock(reply: Option<Value>) -> Result<u64, Error> {
    match reply {
        Some(Value::ServerError(error)) => Err(fault::server(&error)),
        Some(reply) => {
            let (seconds, micros): (u64, u64) =
                redis::from_redis_value(reply).map_err(|_| fault::unexpected("TIME"))?;
            Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
        }
        None => Err(fault::unexpected("TIME")),
    }
}

impl Tier for RedisTier {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<Bytes>>> {
        Box::pin(async move {
            if keys.is_empty() {
                return Reply { now_ms: 0, each: Vec::new() };
            }
            self.mget(keys).await.unwrap_or_else(|error| Reply::failed(keys.len(), &error))
        })
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        Box::pin(self.leases(leases))
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        Box::pin(self.ask(fills, None))
    }

    fn invalidate<'a>(
        &'a self,
        channel: &'a Channel,
        invalidations: &'a [Invalidate],
    ) -> BoxFuture<'a, Reply<Invalidated>> {
        Box::pin(self.ask(invalidations, Some(channel.as_str())))
    }

    fn system(&self) -> Option<System> {
        Some(self.system.clone())
    }

    fn bus(&self) -> Option<Arc<dyn Bus>> {
        self.bus.clone().map(|bus| bus as Arc<dyn Bus>)
    }
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier").field("settings", &self.settings).finish_non_exhaustive()
    }
}
