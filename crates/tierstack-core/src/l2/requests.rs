//! One request to the tier each: bounded in time, counted, its reply turned into what the lookup needs.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::options::L2Options;
use crate::counters::Event;
use crate::freshness::{judge, satisfies};
use crate::record::{self, Header, Kind, Read, Reader, Unusable, schema_of};
use crate::{
    Accept, Answer, Entry, Error, ErrorKind, Ground, Keep, Level, Meta, Moment, Reply, Token, WireKey,
    WriteToken,
};

/// When a request was sent on our clock, and what the tier's clock was when it replied: instants are carried over by the
/// difference. Off by the way of the request at most: what is read ends that much early, what is written that much late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TierSync {
    pub(crate) at: Moment,
    pub(crate) tier_ms: u64,
}

impl TierSync {
    /// An instant of the tier on our clock.
    pub(super) fn moment(&self, tier_ms: u64) -> Moment {
        let by = i64::try_from(tier_ms.abs_diff(self.tier_ms)).unwrap_or(i64::MAX);
        self.at.plus_ms(if tier_ms < self.tier_ms { -by } else { by })
    }

    /// An instant of our clock on the tier's.
    pub(crate) fn tier_ms(&self, moment: Moment) -> u64 {
        self.tier_ms.saturating_add_signed(moment.ms_since(self.at))
    }
}

/// Why a record gave no answer, and what the lease is told of it.
#[derive(Debug, Default)]
pub(super) struct Miss {
    /// Token of a VALUE that can't be used.
    pub(super) observed: Option<Token>,
    /// The VALUE is of a newer schema than ours: it is left alone.
    pub(super) outranked: bool,
    /// Somebody has the right to fill it.
    pub(super) leased: bool,
    /// Nothing is there, on the tier's clock.
    pub(super) vacant_ms: Option<u64>,
}

/// Sends one request, and gives it so much time.
pub(super) async fn send<T>(
    options: &L2Options,
    within: Duration,
    count: usize,
    request: impl Future<Output = Reply<T>>,
) -> (TierSync, Vec<Result<T, Error>>) {
    options.counters.add(Event::L2Request, 1);
    let at = options.clock.coarse();
    let reply = options.clock.before(at.plus(within), request).await;
    let mut reply = reply.unwrap_or_else(|| Reply::failed(count, &late()));
    // A tier that breaks its first law must not shift one key's record to another.
    if reply.each.len() != count {
        reply = Reply::failed(count, &Error::new(ErrorKind::Unavailable, "the tier replied to other keys"));
    }
    let failures = reply.each.iter().filter(|each| each.is_err()).count();
    options.counters.add(Event::L2Failure, failures);
    if let Some(error) = reply.each.iter().find_map(|each| each.as_ref().err()) {
        options.counters.l2_fault.note(options.clock.coarse(), error);
    }
    (TierSync { at, tier_ms: reply.now_ms }, reply.each)
}

fn late() -> Error {
    Error::new(ErrorKind::Unavailable, "L2 did not answer in time: see l2_timeout")
}

/// What the record that derived entries rest on bears.
pub(super) fn ground_of(bytes: Option<&Bytes>) -> Option<Ground> {
    let bytes = bytes?;
    match Header::read(bytes) {
        Read::Record(header) => {
            Some(Ground { token: Some(header.token), marks: record::marks_of(bytes).unwrap_or_default() })
        }
        _ => None,
    }
}

/// Judges the bytes found at a key.
pub(super) struct Judge<'a> {
    pub(super) options: &'a L2Options,
    pub(super) sync: TierSync,
    pub(super) accept: Accept,
    /// A write that an entry must have seen.
    pub(super) seen: Option<&'a WriteToken>,
    /// What derived entries rest on, as it was read with them.
    pub(super) ground: Option<Ground>,
}

impl Judge<'_> {
    /// The answer that the bytes give, or why they give none.
    pub(super) fn answer<V: DeserializeOwned>(
        &self,
        key: &WireKey,
        bytes: Option<&Bytes>,
    ) -> Result<Answer<V>, Miss> {
        let Some(bytes) = bytes else {
            return Err(Miss { vacant_ms: Some(self.sync.tier_ms), ..Miss::default() });
        };
        self.read(key, bytes).map_err(|why| {
            if let Some(why) = why {
                self.options.counters.unusable(why);
            }
            let (observed, leased) = match Header::read(bytes) {
                Read::Record(header) => {
                    let is_value = header.kind == Kind::Value;
                    (is_value.then_some(header.token), header.is_leased(self.sync.tier_ms))
                }
                _ => (None, false),
            };
            let outranked = why == Some(Unusable::OtherSchema)
                && schema_of(bytes).is_some_and(|schema| schema > self.options.schema);
            Miss { observed, outranked, leased, vacant_ms: None }
        })
    }

    /// `Err(None)`: nothing is wrong with it, but it is too old for the lookup.
    fn read<V: DeserializeOwned>(&self, key: &WireKey, bytes: &Bytes) -> Result<Answer<V>, Option<Unusable>> {
        let codec = self.options.codec();
        let reader = Reader { schema: self.options.schema, now_ms: self.sync.tier_ms, codec: &codec };
        let body = reader.verify(key, bytes)?;
        if self.options.depends_on.is_some() {
            let stands = self.ground.as_ref().is_some_and(|ground| {
                ground.token.is_some()
                    && body.dependencies.as_slice() == ground.token.as_slice()
                    && ground.marks.seen_by(body.stamp.as_ref(), self.sync.tier_ms)
            });
            if !stands {
                return Err(Some(Unusable::Dependency));
            }
        }
        if self.seen.is_some_and(|write| !write.seen_by(body.stamp.as_ref())) {
            return Err(None);
        }
        let meta = Meta {
            token: body.token,
            fresh_until: self.sync.moment(body.fresh_until_ms),
            stale_until: self.sync.moment(body.stale_until_ms),
            cost_us: body.cost_us,
        };
        // Whoever wrote it, it lives no longer than this node lets any entry live: an end far off would never come.
        let longest = crate::time::millis(self.options.freshness.longest());
        let meta = meta.ending_by(self.sync.moment(body.written_ms.saturating_add(longest)));
        let age = judge(&meta, self.sync.at);
        if !satisfies(age, self.accept) {
            return Err(None);
        }
        // A row that can't be read, even by a panic, is a miss for its key only.
        let row = catch_unwind(AssertUnwindSafe(|| reader.row(&body)));
        let entry = match row.unwrap_or(Err(Unusable::Payload))? {
            Some(row) => Entry::Present(std::sync::Arc::new(row)),
            None => Entry::Absent,
        };
        Ok(Answer {
            entry,
            meta,
            source: Level::L2,
            age,
            keep: Keep::Life,
            followed: false,
            published: false,
        })
    }
}
