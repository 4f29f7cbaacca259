//! What a write leaves at the records it touches.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::l2::TierSync;
use crate::{Ground, Invalidate, Moment, Token, WireKey, Xid};

/// What a write leaves at each record it touches, and what it takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// Transactions that later fills must have seen.
    pub xids: Vec<Xid>,
    /// A closure to every fill, and how long it lasts.
    pub hold: Option<(Token, Duration)>,
    /// A hold that ends here.
    pub drop_hold: Option<Token>,
    /// A right to fill the rows with what is written, and its life; see [`Invalidate::claim`] and [`Touched::put`].
    ///
    /// [`Touched::put`]: crate::Touched::put
    pub claim: Option<(Token, Duration)>,
    /// Whether the write is known to have ended. One that has is kept and sent again until it is delivered; one that has
    /// not may still be given up by whoever makes it.
    pub finished: bool,
}

impl Mark {
    /// Of a write that is still to be made, or whose end is not known.
    #[must_use]
    pub fn begun() -> Self {
        Mark::default()
    }

    /// Of a write that has ended.
    #[must_use]
    pub fn finished() -> Self {
        Mark { finished: true, ..Mark::default() }
    }

    /// The same for those transactions.
    #[must_use]
    pub fn xids(mut self, xids: impl IntoIterator<Item = Xid>) -> Self {
        self.xids = xids.into_iter().collect();
        self
    }

    /// The same with a right to fill the rows.
    #[must_use]
    pub fn claim(mut self, right: Token, life: Duration) -> Self {
        self.claim = Some((right, life));
        self
    }

    /// What is asked of L2 about one key.
    pub(super) fn ask(&self, key: &WireKey, token: Token, floor_life: Duration) -> Invalidate {
        let Mark { xids, hold, drop_hold, claim, finished } = self;
        Invalidate {
            key: key.clone(),
            xids: xids.clone(),
            holds: hold.iter().copied().collect(),
            drop_holds: drop_hold.iter().copied().collect(),
            token,
            claim: claim.filter(|_| !key.is_special()),
            spares: None,
            // A hold is to be placed where nothing is, too.
            finished: *finished && hold.is_none(),
            life: hold.map_or(floor_life, |(_, life)| floor_life.max(life)),
        }
    }
}

/// What L2 has acknowledged of a mark.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Marked {
    /// When the first part of it was sent.
    pub sent: Moment,
    /// Floors stand for this long from then, at least.
    pub life: Duration,
    /// The right that was claimed for rows.
    pub(super) claimed: Option<Token>,
    /// What those rows rest on, by what begins the keys of their entity: read before the write.
    pub(super) grounds: BTreeMap<Box<str>, Ground>,
    /// When that was asked, and the tier's clock then.
    pub(super) sync: Option<TierSync>,
}
