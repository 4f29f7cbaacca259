//! What is asked of a script about one key, and what it answers.

mod fill;
mod invalidate;
mod lease;

use redis::{Cmd, Value};
use tierstack_core::{Error, Reply, WireKey};

use crate::fault;
use crate::script::Script;

/// A request about one key that a script judges.
pub(crate) trait Ask: Sync {
    /// What it is answered.
    type Answer: Send;

    /// Which script judges it.
    fn script() -> &'static Script;

    /// The key.
    fn key(&self) -> &WireKey;

    /// The same to be sent again on another connection, though the first copy may take effect later; `None` if that could
    /// undo what came in between.
    fn again(&self) -> Option<Self>
    where
        Self: Sized;

    /// Appends the arguments of this key, as many for each.
    fn write(&self, call: &mut Cmd);

    /// Reads the script's reply: a code, and what follows it. `None` if it is none that the script gives.
    fn answer(&self, code: i64, rest: &mut dyn Iterator<Item = Value>) -> Option<Self::Answer>;
}

/// Appends keys and arguments of a call, and what comes after all keys'.
pub(crate) fn write<A: Ask>(asks: &[A], mut call: Cmd, tail: Option<&str>) -> Cmd {
    call.arg(asks.len());
    for ask in asks {
        call.arg(ask.key().as_bytes());
    }
    for ask in asks {
        ask.write(&mut call);
    }
    if let Some(tail) = tail {
        call.arg(tail);
    }
    call
}

/// Reads the reply to a call about these.
pub(crate) fn read<A: Ask>(asks: &[A], reply: Value) -> Result<Reply<A::Answer>, Error> {
    let reply = match reply {
        Value::ServerError(error) => return Err(fault::server(&error)),
        reply => reply,
    };
    let parts = array(reply).and_then(|parts| <[Value; 2]>::try_from(parts).ok());
    let (now_ms, each) = parts
        .and_then(|[now, each]| number(&now).zip(array(each)))
        .filter(|(_, each)| each.len() == asks.len())
        .ok_or_else(strange)?;
    let each = asks.iter().zip(each);
    let each = each.map(|(ask, one)| read_one(ask, one).unwrap_or_else(|| Err(strange()))).collect();
    Ok(Reply { now_ms, each })
}

fn strange() -> Error {
    fault::unexpected("a script of tierstack")
}

/// `None` if it is no reply of a script.
fn read_one<A: Ask>(ask: &A, reply: Value) -> Option<Result<A::Answer, Error>> {
    if let Value::Int(code) = reply {
        return ask.answer(code, &mut std::iter::empty()).map(Ok);
    }
    let mut parts = array(reply)?.into_iter();
    let Value::Int(code) = parts.next()? else { return None };
    if code == -1 {
        let said = bytes(parts.next()?)?;
        return Some(Err(fault::refused(&String::from_utf8_lossy(&said))));
    }
    ask.answer(code, &mut parts).map(Ok)
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// A number written as text, which holds all 64 bits where Lua's integers don't.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}
