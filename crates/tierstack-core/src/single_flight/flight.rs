//! A key that is being looked up: who may join, and who has.

use std::time::Duration;

use super::asked::Asked;
use crate::recorder::SpanId;
use crate::sync::Arc;
use crate::{Accept, Moment};

/// Which flights a lookup may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// Any.
    Any,
    /// Those that will load, and have not begun to.
    NotBegun,
    /// None; but others may join its own.
    None,
    /// None, and nobody may join its own.
    Private,
    /// The same, and its round and load are its own.
    Alone,
}

/// The span of a round, when it has begun.
pub(super) type PartOf = Arc<std::sync::OnceLock<SpanId>>;

/// One key of a batch under way.
pub(super) struct Flight<K, V> {
    pub(super) batch: u64,
    pub(super) began: Moment,
    /// The subscription under which an invalidation would detach it.
    pub(super) heard: u32,
    /// Its load has not begun, and whatever L2 holds will not answer it.
    pub(super) will_load: bool,
    /// A stale entry below will not answer it.
    pub(super) accept: Accept,
    pub(super) part_of: Option<PartOf>,
    /// By when its round lets go of those who wait without a timer; `None` if no round looks after them.
    pub(super) watched_until: Option<Moment>,
    pub(super) followers: Vec<Follower<K, V>>,
}

pub(super) struct Follower<K, V> {
    pub(super) asked: Arc<Asked<K, V>>,
    pub(super) slot: u32,
}

/// From this many followers on, those who have left are swept out before room is made for more.
const SWEPT_FROM: usize = 16;

impl<K, V> Flight<K, V> {
    /// Whether a lookup at `now` may join it; `heard` is the subscription under which it hears, if it does.
    pub(super) fn takes(
        &self,
        join: Join,
        accept: Accept,
        now: Moment,
        join_for: Option<Duration>,
        heard: Option<u32>,
    ) -> bool {
        match join {
            // Who takes a stale entry would wait, and fail, with one that does not.
            Join::Any if self.accept == Accept::Fresh && accept == Accept::Stale && join_for.is_some() => {
                false
            }
            Join::Any => {
                heard == Some(self.heard) || join_for.is_none_or(|join_for| now.since(self.began) <= join_for)
            }
            Join::NotBegun => self.will_load,
            Join::None | Join::Private | Join::Alone => false,
        }
    }

    pub(super) fn follow(&mut self, asked: &Arc<Asked<K, V>>, slot: u32) {
        if self.followers.len() == self.followers.capacity() && self.followers.len() >= SWEPT_FROM {
            self.followers.retain(|follower| !follower.asked.is_left_alone());
        }
        self.followers.push(Follower { asked: Arc::clone(asked), slot });
    }
}
