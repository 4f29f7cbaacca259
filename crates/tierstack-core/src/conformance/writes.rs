//! The laws of writes under way: holds, rights that are claimed, and values that are spared.

use super::Violation;
use super::bench::{Bench, LIFE, seen_below, xid};
use crate::stamp::MOST_HOLDS;
use crate::{Filled, Invalidate, Invalidated, Leased, Token, record};

impl Bench<'_> {
    pub(super) async fn holds(&mut self) -> Result<(), Violation> {
        let (key, mine, theirs) = (self.key()?, self.token(), self.token());
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let hold = |id| move |ask: &mut Invalidate| (ask.holds, ask.finished) = (vec![(id, LIFE)], false);
        let done = self.invalidate(&key, hold(mine)).await?;
        self.law("a hold closes the key", done, Invalidated::Floor)?;
        self.invalidate(&key, hold(theirs)).await?;
        let leased = self.lease(&key, right, None).await?;
        self.law("a held key is bypassed", matches!(leased, Leased::Bypass(_)), true)?;
        let filled = self.fill(&key, right, token, Some(&seen_below(u64::MAX))).await?;
        self.law("and not filled", filled, Filled::Superseded)?;
        self.invalidate(&key, |ask| ask.drop_holds = vec![mine]).await?;
        let leased = self.lease(&key, right, None).await?;
        self.law("a writer opens its own hold only", matches!(leased, Leased::Bypass(_)), true)?;
        self.invalidate(&key, |ask| ask.drop_holds = vec![theirs]).await?;
        let leased = self.lease(&key, right, None).await?;
        self.law("without holds the key is open", matches!(leased, Leased::Right(_)), true)
    }

    /// More holds than a floor bears one by one.
    pub(super) async fn folded_holds(&mut self) -> Result<(), Violation> {
        let (key, right) = (self.key()?, self.token());
        let ids: Vec<Token> = (0..MOST_HOLDS + 2).map(|_| self.token()).collect();
        for id in &ids {
            let hold = |ask: &mut Invalidate| (ask.holds, ask.finished) = (vec![(*id, LIFE)], false);
            self.invalidate(&key, hold).await?;
        }
        for id in ids.iter().chain([&Token::NONE]) {
            self.invalidate(&key, |ask| ask.drop_holds = vec![*id]).await?;
        }
        let leased = self.lease(&key, right, None).await?;
        self.law("holds that were folded are nobody's to drop", matches!(leased, Leased::Bypass(_)), true)
    }

    /// Rights that come with an invalidation.
    pub(super) async fn claims(&mut self) -> Result<(), Violation> {
        let (key, mine, other) = (self.key()?, self.token(), self.token());
        let hold = |id| (vec![(id, LIFE)], Some((id, LIFE)), false);
        let claim = |id| move |ask: &mut Invalidate| (ask.holds, ask.claim, ask.finished) = hold(id);
        self.invalidate(&key, claim(mine)).await?;
        let leased = self.lease(&key, other, None).await?;
        self.law("a claimed and held key is bypassed", matches!(leased, Leased::Bypass(_)), true)?;
        self.invalidate(&key, claim(mine)).await?;
        let token = self.token();
        let filled = self.fill(&key, mine, token, None).await?;
        self.law("the right of a hold fills though it stands, claimed once or twice", filled, Filled::Ok)?;
        let (again, found) = (self.token(), self.read(&key).await?);
        let is_there = found.as_deref().map(record::Header::read);
        let is_value = matches!(is_there, Some(record::Read::Record(header)) if header.token == token && header.right.is_none());
        self.law("its value replaces hold and right", is_value, true)?;
        let filled = self.fill(&key, mine, again, None).await?;
        self.law("once", filled, Filled::Superseded)?;

        let key = self.key()?;
        self.invalidate(&key, |ask| (ask.holds, ask.finished) = (vec![(other, LIFE)], false)).await?;
        self.invalidate(&key, claim(mine)).await?;
        let filled = self.fill(&key, mine, again, None).await?;
        self.law("it does not fill where another write held the key before", filled, Filled::Unseen)?;

        let key = self.key()?;
        self.invalidate(&key, claim(mine)).await?;
        self.invalidate(&key, |ask| (ask.holds, ask.finished) = (vec![(other, LIFE)], false)).await?;
        self.invalidate(&key, |ask| ask.drop_holds = vec![other]).await?;
        let filled = self.fill(&key, mine, again, None).await?;
        self.law("nor where another write came since", filled, Filled::Superseded)?;

        let (key, right) = (self.key()?, self.token());
        let xids = |ask: &mut Invalidate| {
            (ask.xids, ask.claim, ask.finished) = (vec![xid(50)], Some((right, LIFE)), false)
        };
        self.invalidate(&key, xids).await?;
        let leased = self.lease(&key, other, None).await?;
        self.law("a claimed right is waited for", matches!(leased, Leased::Wait(..)), true)?;
        let filled = self.fill(&key, right, again, Some(&seen_below(51))).await?;
        self.law("and fills with what has seen the marks", filled, Filled::Ok)
    }

    /// Invalidations by whoever stored what is there.
    pub(super) async fn spares(&mut self) -> Result<(), Violation> {
        let (key, token) = self.filled(None).await?;
        let other = self.token();
        for xids in [vec![], vec![xid(9)]] {
            let done = self.invalidate(&key, |ask| (ask.xids, ask.spares) = (xids, Some(token))).await?;
            self.law("a value that bears the token spared stays", done, Invalidated::Unchanged)?;
        }
        let found = self.read(&key).await?;
        self.law("as it was", found, Some(Self::record(&key, token, None)?))?;
        let done = self.invalidate(&key, |ask| ask.spares = Some(other)).await?;
        self.law("one that bears another goes", done, Invalidated::Floor)?;
        let (key, mine, theirs) = (self.key()?, self.token(), self.token());
        for id in [mine, theirs] {
            let hold = |ask: &mut Invalidate| (ask.holds, ask.finished) = (vec![(id, LIFE)], false);
            self.invalidate(&key, hold).await?;
        }
        let floor = self.token();
        self.invalidate(&key, |ask| (ask.token, ask.drop_holds) = (floor, vec![mine])).await?;
        let ends = |ask: &mut Invalidate| (ask.drop_holds, ask.spares) = (vec![theirs], Some(floor));
        let done = self.invalidate(&key, ends).await?;
        self.law("no floor is spared", done, Invalidated::Floor)?;
        let leased = self.lease(&key, mine, None).await?;
        self.law("and its holds are dropped", matches!(leased, Leased::Right(_)), true)
    }
}
