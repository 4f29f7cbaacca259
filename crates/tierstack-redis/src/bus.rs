//! The bus: a connection of its own on which the invalidations of a namespace are heard.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, Value};
use tierstack_core::{Beat, BoxFuture, Bus, Channel, Error, ErrorKind, Message, Subscription, Token};
use tokio::sync::mpsc;

use crate::connections::Connections;
use crate::{RedisSettings, address, fault, message, script};

/// A subscriber that has so many messages to take hears no more: its subscription ends.
const MOST_UNHEARD: usize = 1_024;

/// How a tier's nodes hear of each other.
pub(crate) struct RedisBus {
    connections: Arc<Connections>,
    client: Client,
    settings: Arc<RedisSettings>,
}

impl RedisBus {
    /// Subscriptions at the URL of the settings; heartbeats go by `connections`.
    pub(crate) fn new(connections: Arc<Connections>, settings: Arc<RedisSettings>) -> Result<Self, Error> {
        let client = Client::open(in_resp3(address::parse(&settings.url)?)).map_err(fault::connection)?;
        Ok(RedisBus { connections, client, settings })
    }

    async fn open(&self, queue: Queue) -> Result<MultiplexedConnection, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout))
            .set_response_timeout(Some(self.settings.response_timeout))
            .set_push_sender(move |push| queue.push(push));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        connecting.await.map_err(fault::connection)
    }
}

/// Messages come by themselves, between replies: as only the third version of the protocol has it.
fn in_resp3(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    info.set_redis_settings(redis)
}

/// The channel on which a node's heartbeats are told.
fn channel_of(channel: &Channel, node: Token) -> String {
    format!("{}:{node:?}", channel.as_str())
}

/// Where the connection puts what it hears. Closed for good once something is not taken, or the connection ends.
struct Queue(Mutex<Option<mpsc::Sender<Message>>>);

impl Queue {
    fn push(&self, push: PushInfo) -> Result<(), ()> {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = sender.as_ref() else { return Err(()) };
        let taken = match push.kind {
            PushKind::Message => {
                open.try_send(payload(&push.data).map_or(Message::Unreadable, message::read)).is_ok()
            }
            PushKind::Subscribe => true,
            // The end, or a channel that was taken away.
            _ => false,
        };
        if !taken {
            *sender = None;
        }
        Ok(())
    }
}

/// Of a message's channel and payload, the payload.
fn payload(data: &[Value]) -> Option<&[u8]> {
    match data {
        [_, Value::BulkString(bytes)] => Some(bytes),
        _ => None,
    }
}

impl Bus for RedisBus {
    fn subscribe<'a>(
        &'a self,
        channel: &'a Channel,
        node: Token,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(async move {
            if tokio::runtime::Handle::try_current().is_err() {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "redis is reached from within a tokio runtime only",
                ));
            }
            let (sender, heard) = mpsc::channel(MOST_UNHEARD);
            let mut connection = self.open(Queue(Mutex::new(Some(sender)))).await?;
            let own = channel_of(channel, node);
            connection.subscribe(&[channel.as_str(), &own]).await.map_err(fault::connection)?;
            // The connection lives as long as the stream does.
            let told = stream::unfold((heard, connection), |(mut heard, connection)| async move {
                Some((heard.recv().await?, (heard, connection)))
            });
            Ok(Box::pin(told) as Subscription)
        })
    }

    fn beat<'a>(&'a self, channel: &'a Channel, beat: Beat) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let call = |mut call: Cmd| {
                call.arg(1).arg(channel.as_str()).arg(&message::of_beat(beat)[..]);
                call.arg(channel_of(channel, beat.node));
                script::pipeline(std::iter::once(call))
            };
            // A beat that comes twice, or late, is an old one.
            let send = async |script: Cmd| {
                let pipeline = call(script);
                self.connections.send(&pipeline, || Some(pipeline.clone())).await
            };
            let mut replies = send(script::BEAT.by_name()).await?;
            if replies.first().is_some_and(script::is_unknown) {
                replies = send(script::BEAT.by_text()).await?;
            }
            match replies.first() {
                Some(Value::Int(1)) => Ok(()),
                Some(Value::ServerError(error)) => Err(fault::server(error)),
                _ => Err(fault::unexpected("a script of tierstack")),
            }
        })
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("settings", &self.settings).finish_non_exhaustive()
    }
}
