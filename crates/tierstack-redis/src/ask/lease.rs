//! Asking for the right to fill.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use tierstack_core::record::{self, Header, Read};
use tierstack_core::{Ground, LeaseFor, Leased, Marks, WireKey};

use super::{Ask, bytes, number};
use crate::script::{self, Script};

impl Ask for LeaseFor {
    type Answer = Leased;

    fn script() -> &'static Script {
        &script::LEASE
    }

    fn key(&self) -> &WireKey {
        &self.key
    }

    /// Never: a copy that is late would grant the right once more, after an invalidation took it away from a load that goes
    /// on.
    fn again(&self) -> Option<Self> {
        None
    }

    fn write(&self, call: &mut Cmd) {
        let observed = self.observed.as_ref().map_or(&[][..], |token| token.as_bytes());
        call.arg(&self.right.as_bytes()[..]).arg(script::life_ms(self.life)).arg(observed);
        call.arg(script::life_ms(self.life.max(self.keep)));
    }

    fn answer(&self, code: i64, rest: &mut dyn Iterator<Item = Value>) -> Option<Leased> {
        if code == 4 {
            return Some(Leased::Right(Ground { token: Some(self.right), marks: Marks::default() }));
        }
        let head = Bytes::from(bytes(rest.next()?)?);
        Some(match code {
            0 => Leased::Record(head),
            1 => Leased::Right(ground(&head)),
            2 => Leased::Wait(Duration::from_millis(number(&rest.next()?)?), ground(&head)),
            3 => Leased::Bypass(ground(&head)),
            _ => return None,
        })
    }
}

/// Token and marks of a FLOOR, or of the header of a VALUE.
fn ground(head: &[u8]) -> Ground {
    match Header::read(head) {
        Read::Record(header) => {
            Ground { token: Some(header.token), marks: record::marks_of(head).unwrap_or_default() }
        }
        _ => Ground::default(),
    }
}
