//! Invalidating a key.

use std::fmt::Write;
use std::time::Duration;

use redis::{Cmd, Value};
use tierstack_core::{Invalidate, Invalidated, Random, Token, WireKey};

use super::Ask;
use crate::script::{self, Script};

impl Ask for Invalidate {
    type Answer = Invalidated;

    fn script() -> &'static Script {
        &script::INVALIDATE
    }

    fn key(&self) -> &WireKey {
        &self.key
    }

    /// Under another token: a copy that is late would bring back one that entries rest on, after it was replaced. What claims
    /// a right is as a lease.
    fn again(&self) -> Option<Self> {
        self.claim.is_none().then(|| Invalidate { token: Random::system().token(), ..self.clone() })
    }

    fn write(&self, call: &mut Cmd) {
        call.arg(&self.token.as_bytes()[..]).arg(script::life_ms(self.life)).arg(u8::from(self.finished));
        let xids =
            hex(&self.xids, |out, xid| write!(out, "{:016x}{:08x}{:016x}", xid.system, xid.timeline, xid.id));
        let holds = hex(&self.holds, |out, (id, life)| {
            write_token(out, id)?;
            write!(out, "{:016x}", script::hold_ms(*life))
        });
        call.arg(xids).arg(holds).arg(hex(&self.drop_holds, write_token));
        let (claim, claim_life) = self.claim.unwrap_or((Token::NONE, Duration::ZERO));
        call.arg(&claim.as_bytes()[..]).arg(script::hold_ms(claim_life));
        call.arg(&self.spares.unwrap_or(Token::NONE).as_bytes()[..]);
    }

    fn answer(&self, code: i64, _: &mut dyn Iterator<Item = Value>) -> Option<Invalidated> {
        Some(match code {
            0 => Invalidated::Floor,
            1 => Invalidated::Unchanged,
            _ => return None,
        })
    }
}

/// The texts of items, one after another, as marks hold them.
fn hex<T>(items: &[T], write: impl Fn(&mut String, &T) -> std::fmt::Result) -> String {
    let mut out = String::with_capacity(items.len() * 48);
    for item in items {
        write(&mut out, item)
            .expect("writing to a String fails only if an item's Display does; numbers' don't");
    }
    out
}

fn write_token(out: &mut String, token: &Token) -> std::fmt::Result {
    write!(out, "{:032x}", u128::from_be_bytes(*token.as_bytes()))
}
