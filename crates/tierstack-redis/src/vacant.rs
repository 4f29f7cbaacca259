//! Leases of keys at which nothing was: each one plain command, while a script holds every other client up. What the lease
//! script does where nothing is, this does, from the instant of the read on.

use bytes::Bytes;
use redis::{Pipeline, Value};
use tierstack_core::record;
use tierstack_core::{Error, Ground, LeaseFor, Leased, Marks, Reply, Token};

use crate::connections::Connections;
use crate::tier::clock;
use crate::{fault, script};

/// Puts a FLOOR at each key where nothing is. `None` for a key that is not vacant any more, or that Redis refused: what is
/// there decides.
///
/// # Errors
/// When Redis did not answer: the floors may be there.
pub(crate) async fn lease(
    connections: &Connections,
    leases: &[&LeaseFor],
) -> Result<Reply<Option<Leased>>, Error> {
    let mut floors = Floors::default();
    let mut pipeline = Pipeline::with_capacity(leases.len() + 1);
    for lease in leases {
        let set = pipeline.cmd("SET").arg(lease.key.as_bytes()).arg(&*floors.of(lease)).arg("NX");
        set.arg("PX").arg(script::life_ms(lease.life.max(lease.keep)));
    }
    pipeline.cmd("TIME");
    // Never sent again: a copy that is late would grant the right once more.
    let mut replies = connections.send(&pipeline, || None).await?;
    let now_ms = clock(replies.pop())?;
    if replies.len() != leases.len() {
        return Err(fault::unexpected("SET"));
    }
    let granted = leases.iter().zip(replies).map(|(lease, reply)| {
        let ground = Ground { token: Some(lease.right), marks: Marks::default() };
        Ok(matches!(reply, Value::Okay).then_some(Leased::Right(ground)))
    });
    Ok(Reply { now_ms, each: granted.collect() })
}

/// The keys of a request mostly ask for one right: its floor is made once.
#[derive(Default)]
struct Floors(Option<(Token, u64, Bytes)>);

impl Floors {
    fn of(&mut self, lease: &LeaseFor) -> Bytes {
        let until_ms = lease.vacant_ms.unwrap_or_default().saturating_add(script::life_ms(lease.life));
        match &self.0 {
            Some((right, until, floor)) if (*right, *until) == (lease.right, until_ms) => floor.clone(),
            _ => {
                let floor = record::floor(lease.right, lease.right, until_ms, &Marks::none());
                self.0 = Some((lease.right, until_ms, floor.clone()));
                floor
            }
        }
    }
}
