//! Write-through: a row that was stored at the origin, on its way into L2.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;

use super::mark::Marked;
use super::stats::WriteEvent;
use super::touched::Touched;
use crate::l2::TierSync;
use crate::{
    Age, Answer, Cache, Entity, Entry, Error, Fill, Filled, Ground, Keep, LeaseFor, Level, Meta, Moment,
    Stamp, Token, WireKey,
};

/// A row that a write stored at the origin, as a cache writes it into L2.
pub struct Put {
    pub(super) key: WireKey,
    /// What the keys of its entity begin with.
    pub(super) entity: Box<str>,
    /// How long L2 keeps it; zero if there is no L2.
    life: Duration,
    encode: Encode,
}

/// The bytes of the row, under that token: true at an instant, for a tier with that clock, of that moment of the origin,
/// resting on that.
type Encode = Box<dyn Fn(Token, TierSync, Moment, Option<&Stamp>, &Ground) -> Option<Bytes> + Send + Sync>;

impl Put {
    /// The row, as `cache` would fill L2 with it. Asks no tier.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a projection, which any write of a row makes load again, and for a key over
    /// the cache's limit, whose row no tier holds.
    pub fn of<E: Entity>(cache: &Cache<E>, row: impl Into<Arc<E>>) -> Result<Self, Error> {
        let (format, l2) = cache.rows_in_l2().ok_or_else(|| {
            Error::invalid("a projection is not put, as any write makes it load again: put the whole row")
        })?;
        let row: Arc<E> = row.into();
        let pk = row.pk();
        let key = format.wire(std::slice::from_ref(&pk)).pop();
        let key = key.ok_or_else(|| Error::invalid("the row has no key: mend its entity"))??;
        let (entity, l2) = (format.prefix().into(), l2.cloned());
        let life = l2.as_ref().map_or(Duration::ZERO, |l2| l2.freshness.longest());
        let of_key = key.clone();
        let encode = move |token, sync, began, stamp: Option<&Stamp>, ground: &Ground| {
            let l2 = l2.as_ref()?;
            let (fresh_until, stale_until) = l2.freshness.ends(false, began, l2.random.unit());
            let answer = Answer {
                entry: Entry::Present(Arc::clone(&row)),
                meta: Meta { token, fresh_until, stale_until, cost_us: 0 },
                source: Level::Origin,
                age: Age::Fresh,
                keep: Keep::Life,
                followed: false,
                published: false,
            };
            l2.record(&answer, &of_key, sync, began, stamp, Some(ground))
        };
        Ok(Put { key, entity, life, encode: Box::new(encode) })
    }
}

impl Touched {
    /// Whether that row is touched by its key; one of a whole entity that is touched is not.
    #[must_use]
    pub fn may_put(&self, put: &Put) -> bool {
        self.names(&put.entity, &put.key)
    }

    /// Stores rows in L2 under the right that `marked` [claimed](super::Mark::claim), after the write was acknowledged: how
    /// many it took. It takes a row only if no other write touched it since it was marked, or held it then.
    ///
    /// `stamp` is the moment of the origin at which the rows were true, taken after they were marked; with it,
    /// [`mark`](Self::mark) with the same transactions then leaves the rows there, and tells every node of them. A row that
    /// is not taken is none that a reader could get: whoever asks for it next loads it.
    ///
    /// # Cancel safety
    /// If it is dropped, the rows may or may not be there; they may answer in either case.
    pub async fn put(&self, marked: &Marked, stamp: Option<&Stamp>, puts: &[Put]) -> usize {
        self.store(marked, stamp, puts.iter()).await.len()
    }

    /// The same; gives the keys that L2 took, and the tokens of what is there.
    pub(super) async fn store(
        &self,
        marked: &Marked,
        stamp: Option<&Stamp>,
        puts: impl ExactSizeIterator<Item = &Put>,
    ) -> BTreeMap<WireKey, Token> {
        let shared = self.namespace.shared();
        let (writes, Some(tier)) = (&shared.writes, &shared.tier) else { return BTreeMap::new() };
        let (Some(right), Some(sync)) = (marked.claimed, marked.sync) else { return BTreeMap::new() };
        let now = writes.clock.coarse();
        // The last of each key counts.
        let mut fills: BTreeMap<&WireKey, (Fill, Token)> = BTreeMap::new();
        let mut rest_on: BTreeMap<&str, LeaseFor> = BTreeMap::new();
        let asked = puts.len();
        for put in puts {
            // What rests on a record that a write held when it was read, or whose marks the row has not seen, may be
            // older.
            let ground = marked.grounds.get(&put.entity);
            let ground = ground.filter(|ground| ground.marks.seen_by(stamp, sync.tier_ms));
            let token = writes.random.token();
            let Some(record) = ground.and_then(|ground| (put.encode)(token, sync, now, stamp, ground)) else {
                fills.remove(&put.key);
                continue;
            };
            let fill = Fill { key: put.key.clone(), right, record: Some(record), life: put.life };
            fills.insert(&put.key, (fill, token));
            // It must outlive what will rest on it.
            rest_on.entry(&put.entity).or_insert_with(|| LeaseFor {
                keep: put.life * 2,
                ..LeaseFor::new(
                    put.key.of_entity("all"),
                    writes.random.token(),
                    None,
                    writes.settings.floor_life,
                )
            });
        }
        let (fills, tokens): (Vec<Fill>, Vec<Token>) = fills.into_values().unzip();
        let rest_on: Vec<LeaseFor> = rest_on.into_values().collect();
        let resting = async {
            if !rest_on.is_empty() {
                let _ = writes.clock.before(writes.until(), tier.lease(&rest_on)).await;
            }
        };
        let filling = async {
            let mut taken = BTreeMap::new();
            let most = writes.settings.max_batch;
            for (part, tokens) in fills.chunks(most).zip(tokens.chunks(most)) {
                let Some(reply) = writes.clock.before(writes.until(), tier.fill(part)).await else { break };
                if reply.each.len() != part.len() {
                    break;
                }
                let each = part.iter().zip(tokens).zip(reply.each);
                let ok = each.filter(|(_, filled)| matches!(filled, Ok(Filled::Ok)));
                taken.extend(ok.map(|((fill, token), _)| (fill.key.clone(), *token)));
            }
            taken
        };
        let ((), taken) = join(resting, filling).await;
        writes.counters.add(WriteEvent::Put, taken.len());
        writes.counters.add(WriteEvent::PutRefused, asked.saturating_sub(taken.len()));
        taken
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Put").field(&self.key.as_str()).finish()
    }
}
