//! Storing what was loaded, or giving the right up.

use redis::{Cmd, Value};
use tierstack_core::{Fill, Filled, WireKey};

use super::Ask;
use crate::script::{self, Script};

impl Ask for Fill {
    type Answer = Filled;

    fn script() -> &'static Script {
        &script::FILL
    }

    fn key(&self) -> &WireKey {
        &self.key
    }

    /// A second copy finds its token, or that the right has gone.
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn write(&self, call: &mut Cmd) {
        call.arg(&self.right.as_bytes()[..]).arg(script::life_ms(self.life));
        call.arg(u8::from(self.record.is_some())).arg(self.record.as_deref().unwrap_or_default());
    }

    fn answer(&self, code: i64, _: &mut dyn Iterator<Item = Value>) -> Option<Filled> {
        Some(match code {
            0 => Filled::Ok,
            1 => Filled::Lost,
            2 => Filled::Superseded,
            3 => Filled::Unseen,
            4 => Filled::Released,
            _ => return None,
        })
    }
}
