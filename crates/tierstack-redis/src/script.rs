//! The scripts: their texts, and how they are called.
//!
//! Three of them are one file each, behind the part that they share; `beat.lua` is called for no key.
//!
//! | script | for each key | arguments of a key |
//! |---|---|---|
//! | `lease.lua` | the record, the right, how long to wait, or bypass | right, life, observed token or nothing, life of a floor |
//! | `fill.lua` | what became of the fill | right, life, whether a record follows, the record |
//! | `invalidate.lua` | whether a floor was made | token, life, finished, xids, holds to add, holds to drop, a claim, its life; the channel |
//!
//! A call replies the milliseconds of Redis's clock, and for each key a code, or an array of a code and what belongs to it;
//! code −1 and a text for a key that Redis refused. The mostly given replies are bare codes: an array costs Redis a third
//! of what a key costs it without. Lives are in milliseconds, ids and numbers in marks fixed-width hex.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tierstack_core::mutants::{Mechanism, is_off};

/// A script, and the name under which Redis keeps it.
pub(crate) struct Script {
    source: Cow<'static, str>,
    sha1: String,
}

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("scripts/record.lua"), "\n", include_str!($file))))
    };
}

pub(crate) static LEASE: LazyLock<Script> = script!("scripts/lease.lua");
pub(crate) static FILL: LazyLock<Script> = script!("scripts/fill.lua");
pub(crate) static INVALIDATE: LazyLock<Script> = script!("scripts/invalidate.lua");
pub(crate) static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/beat.lua")));

impl Script {
    fn new(source: &'static str) -> Self {
        let source = without_what_is_off(source);
        Script { sha1: redis::Script::new(&source).get_hash().to_owned(), source }
    }

    /// A call by name, which fails with NOSCRIPT where the script isn't known.
    pub(crate) fn by_name(&self) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.sha1);
        call
    }

    /// A call by text, which makes the script known.
    pub(crate) fn by_text(&self) -> Cmd {
        let mut call = redis::cmd("EVAL");
        call.arg(&*self.source);
        call
    }
}

/// The text as it is; in a build of the tests, without the mechanism that is switched off.
fn without_what_is_off(source: &'static str) -> Cow<'static, str> {
    let off = [
        (Mechanism::Right, "if right_of(there) ~= right then return SUPERSEDED end", ""),
        (Mechanism::Snapshot, "if not open_to(right, record, marks) then", "if false then"),
        (Mechanism::Floor, "call('SET', key, floor(token,", "pcall(type, key, floor(token,"),
    ];
    let mut text = Cow::Borrowed(source);
    for (mechanism, line, instead) in off {
        if is_off(mechanism) && source.contains(line) {
            text = Cow::Owned(text.replace(line, instead));
        }
    }
    text
}

/// Whether Redis has forgotten the script (a restart, SCRIPT FLUSH, a failover).
pub(crate) fn is_unknown(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// A pipeline of those calls.
pub(crate) fn pipeline(calls: impl ExactSizeIterator<Item = Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(calls.len());
    for call in calls {
        pipeline.add_command(call);
    }
    pipeline
}

/// A century: longer lives would leave the numbers that Lua holds exactly, and Redis's own range.
const LONGEST_MS: u64 = 100 * 366 * 24 * 3_600_000;

/// Milliseconds of a record's life, as Redis takes it: at least one.
pub(crate) fn life_ms(life: Duration) -> u64 {
    hold_ms(life).max(1)
}

/// Milliseconds of a hold's life; one of zero has ended when it begins.
pub(crate) fn hold_ms(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).min(LONGEST_MS)
}
