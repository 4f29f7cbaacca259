//! The bytes of a record, of a load or of a write.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde::Serialize;

use super::options::L2Options;
use super::requests::TierSync;
use crate::counters::Event;
use crate::record::ToWrite;
use crate::{Answer, Entry, Ground, Moment, Stamp, WireKey};

impl L2Options {
    /// The bytes of an answer that was true at `began`, for a tier whose clock `sync` tells; `None` if L2 can't hold it,
    /// which is counted, or if what it rests on is not known.
    pub(crate) fn record<V: Serialize>(
        &self,
        answer: &Answer<V>,
        key: &WireKey,
        sync: TierSync,
        began: Moment,
        stamp: Option<&Stamp>,
        ground: Option<&Ground>,
    ) -> Option<Bytes> {
        let dependencies = match &self.depends_on {
            Some(_) => std::slice::from_ref(ground?.token.as_ref()?),
            None => &[],
        };
        let row = match &answer.entry {
            Entry::Present(row) => Some(&**row),
            Entry::Absent => None,
        };
        let written = ToWrite {
            token: answer.meta.token,
            key,
            schema: self.schema,
            written_ms: sync.tier_ms(began),
            fresh_until_ms: sync.tier_ms(answer.meta.fresh_until),
            stale_until_ms: sync.tier_ms(answer.meta.stale_until),
            cost_us: answer.meta.cost_us,
            stamp,
            dependencies,
            row,
        };
        // A row that can't be written, even by a panic, costs the others of its batch nothing.
        let encoded = catch_unwind(AssertUnwindSafe(|| written.encode(&self.codec()).ok()));
        let encoded = encoded.unwrap_or(None);
        if encoded.is_none() {
            self.counters.add(Event::Unfillable, 1);
        }
        encoded
    }
}
