//! The laws of invalidations, and of the marks that they leave.

use super::Violation;
use super::bench::{Bench, seen_below, xid};
use crate::record;
use crate::{Filled, Invalidated, Marks, Stamp};

impl Bench<'_> {
    pub(super) async fn invalidations(&mut self) -> Result<(), Violation> {
        let key = self.key()?;
        let done = self.invalidate(&key, |_| {}).await?;
        self.law("a finished invalidation of nothing changes nothing", done, Invalidated::Unchanged)?;
        let found = self.read(&key).await?;
        self.law("and leaves nothing", found, None)?;
        let done = self.invalidate(&key, |ask| ask.finished = false).await?;
        self.law("an unfinished one leaves a floor", done, Invalidated::Floor)?;
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let done = self.invalidate(&key, |_| {}).await?;
        self.law("an invalidation replaces a leased floor", done, Invalidated::Floor)?;
        let filled = self.fill(&key, right, token, None).await?;
        self.law("a load that began before an invalidation does not fill", filled, Filled::Superseded)?;
        let (key, _) = self.filled(None).await?;
        let done = self.invalidate(&key, |_| {}).await?;
        self.law("an invalidation replaces a value", done, Invalidated::Floor)?;
        let found = self.read(&key).await?;
        let floor = found.as_deref().and_then(record::marks_of);
        self.law("by a floor without marks", floor, Some(Marks::none()))?;
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, None).await?;
        self.law("which a later load fills", filled, Filled::Ok)
    }

    pub(super) async fn marks(&mut self) -> Result<(), Violation> {
        let (key, _) = self.filled(Some(&seen_below(100))).await?;
        let done = self.invalidate(&key, |ask| ask.xids = vec![xid(99)]).await?;
        self.law("a value that has seen the write stays", done, Invalidated::Unchanged)?;
        let done = self.invalidate(&key, |ask| ask.xids = vec![xid(99), xid(100)]).await?;
        self.law("a value that has not seen all of it goes", done, Invalidated::Floor)?;
        self.invalidate(&key, |ask| ask.xids = vec![xid(120)]).await?;
        let mut both = Marks::none();
        for id in [99, 100, 120] {
            both.add_xid(xid(id));
        }
        let found = self.read(&key).await?;
        self.law("marks are united", found.as_deref().and_then(record::marks_of), Some(both.clone()))?;
        self.invalidate(&key, |_| {}).await?;
        let found = self.read(&key).await?;
        self.law(
            "an invalidation without marks keeps them",
            found.as_deref().and_then(record::marks_of),
            Some(both),
        )?;
        let (right, token) = (self.token(), self.token());
        self.lease(&key, right, None).await?;
        let done = self.invalidate(&key, |ask| ask.xids = vec![xid(120)]).await?;
        self.law("a mark that is there changes nothing", done, Invalidated::Unchanged)?;
        let filled = self.fill(&key, right, token, Some(&seen_below(120))).await?;
        self.law("a load that has not seen a mark does not fill", filled, Filled::Unseen)?;
        let filled = self.fill(&key, right, token, Some(&seen_below(121))).await?;
        self.law("and has given its right up", filled, Filled::Superseded)?;
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, None).await?;
        self.law("a load that says nothing of its moment has seen no mark", filled, Filled::Unseen)?;
        let other_timeline = Stamp::new(77, 2, 500, 500, &[]);
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&other_timeline)).await?;
        self.law("nor has one of another timeline", filled, Filled::Unseen)?;
        let in_progress = Stamp::new(77, 1, 100, 500, &[100]);
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&in_progress)).await?;
        self.law("nor one to which it was in progress", filled, Filled::Unseen)?;
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&Stamp::new(77, 1, 100, 500, &[101]))).await?;
        self.law("a load that has seen all marks fills", filled, Filled::Ok)?;
        let key = self.key()?;
        for id in 1..=9 {
            self.invalidate(&key, |ask| (ask.xids, ask.finished) = (vec![xid(id)], false)).await?;
        }
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&Stamp::new(77, 1, 9, 500, &[]))).await?;
        self.law("folded marks are seen below xmin only", filled, Filled::Unseen)?;
        self.lease(&key, right, None).await?;
        let filled = self.fill(&key, right, token, Some(&Stamp::new(77, 1, 10, 500, &[]))).await?;
        self.law("and are seen there", filled, Filled::Ok)
    }
}
