//! The laws of rights and fills, one key at a time and in batches.

use std::time::Duration;

use super::Violation;
use super::bench::{Bench, LIFE};
use crate::record;
use crate::{Fill, Filled, Ground, LeaseFor, Leased, Marks, WireKey};

impl Bench<'_> {
    pub(super) async fn leases(&mut self) -> Result<(), Violation> {
        let (key, first, second) = (self.key()?, self.token(), self.token());
        let found = self.read(&key).await?;
        self.law("an unknown key holds nothing", found, None)?;
        let open = Ground { token: Some(first), marks: Marks::none() };
        let leased = self.lease(&key, first, None).await?;
        self.law(
            "a key with nothing gives the right, on a floor that bears it as its token",
            leased,
            Leased::Right(open.clone()),
        )?;
        let again = self.lease(&key, first, None).await?;
        self.law("a retried lease does not wait for itself", again, Leased::Right(open.clone()))?;
        let other = self.lease(&key, second, None).await?;
        let waits = matches!(&other, Leased::Wait(left, ground) if *left <= LIFE && *left > LIFE / 2 && *ground == open);
        self.law("another waits, for what remains of the right", waits, true)?;
        let stolen = self.fill(&key, second, second, None).await?;
        self.law("nobody fills under another's right", stolen, Filled::Superseded)
    }

    pub(super) async fn refreshes(&mut self) -> Result<(), Violation> {
        let (key, token) = self.filled(None).await?;
        let (right, other) = (self.token(), self.token());
        let record = self.read(&key).await?.unwrap_or_default();
        let leased = self.lease(&key, right, None).await?;
        self.law("a value that was not observed is given", leased, Leased::Record(record))?;
        let wrong = self.lease(&key, right, Some(other)).await?;
        self.law("a value under another token is given", matches!(wrong, Leased::Record(_)), true)?;
        let leased = self.lease(&key, right, Some(token)).await?;
        self.law(
            "an observed value gives the right to replace it",
            matches!(leased, Leased::Right(_)),
            true,
        )?;
        let leased = self.lease(&key, other, Some(token)).await?;
        self.law("one refresh at a time", matches!(leased, Leased::Wait(..)), true)?;
        let served = self.read(&key).await?;
        let token_there = served.as_ref().map(|bytes| record::Header::read(bytes));
        let stays = matches!(token_there, Some(record::Read::Record(header)) if header.token == token);
        self.law("a value being refreshed stays", stays, true)?;
        let renewed = self.token();
        let filled = self.fill(&key, right, renewed, None).await?;
        self.law("a refresh is filled", filled, Filled::Ok)?;
        let filled = self.fill(&key, right, renewed, None).await?;
        self.law("a repeated fill is ok", filled, Filled::Ok)?;
        let again = self.token();
        let filled = self.fill(&key, right, again, None).await?;
        self.law("a right fills once", filled, Filled::Superseded)
    }

    pub(super) async fn fills(&mut self) -> Result<(), Violation> {
        let (key, right, token) = (self.key()?, self.token(), self.token());
        let filled = self.fill(&key, right, token, None).await?;
        self.law("a fill never creates from nothing", filled, Filled::Lost)?;
        let found = self.read(&key).await?;
        self.law("a lost fill leaves nothing", found, None)?;
        let (short, life) = (self.token(), Duration::from_millis(1));
        self.lease_for(&key, short, None, LIFE).await?;
        let key2 = self.key()?;
        self.lease(&key2, right, None).await?;
        let (observed, mine) = (self.token(), self.token());
        self.fill(&key2, right, observed, None).await?;
        self.lease_for(&key2, mine, Some(observed), life).await?;
        // The right to refresh ends at once; nobody else takes it.
        let token = self.token();
        let filled = self.fill(&key2, mine, token, None).await?;
        self.law("an expired right that nobody took still fills", filled, Filled::Ok)
    }

    pub(super) async fn releases(&mut self) -> Result<(), Violation> {
        let (key, first, second) = (self.key()?, self.token(), self.token());
        self.lease(&key, first, None).await?;
        let released = self.release(&key, second).await?;
        self.law("nobody gives another's right up", released, Filled::Superseded)?;
        let released = self.release(&key, first).await?;
        self.law("a right is given up", released, Filled::Released)?;
        let found = self.read(&key).await?;
        self.law("a floor without marks goes with its right", found, None)?;
        let leased = self.lease(&key, second, None).await?;
        self.law("then another has the right", matches!(leased, Leased::Right(_)), true)?;
        let (key, token) = self.filled(None).await?;
        self.lease(&key, first, Some(token)).await?;
        self.release(&key, first).await?;
        let found = self.read(&key).await?;
        self.law("a value stays when its refresh is given up", found, Some(Self::record(&key, token, None)?))
    }

    pub(super) async fn foreign_bytes(&mut self) -> Result<(), Violation> {
        let (key, token) = self.filled(None).await?;
        let record = Self::record(&key, token, None)?;
        let mut other_format = record.to_vec();
        other_format[4] = 0x7f;
        let right = self.token();
        self.lease(&key, right, Some(token)).await?;
        let fill = Fill { key: key.clone(), right, record: Some(other_format.into()), life: LIFE };
        // A tier need not look into what it is given to store beyond token and stamp.
        if let Ok(Ok(Filled::Ok)) = Ok::<_, Violation>(Self::one(self.tier.fill(&[fill]).await)) {
            let leased = self.lease(&key, right, None).await?;
            self.law(
                "a record of another release's format is bypassed",
                leased,
                Leased::Bypass(Ground::default()),
            )?;
        }
        Ok(())
    }

    pub(super) async fn batches(&mut self) -> Result<(), Violation> {
        let mut keys = Vec::new();
        let mut leases = Vec::new();
        for _ in 0..300 {
            let (key, right) = (self.key()?, self.token());
            leases.push(LeaseFor::new(key.clone(), right, None, LIFE));
            keys.push((key, right));
        }
        let reply = self.tier.lease(&leases).await;
        let rights = reply.each.iter().zip(&keys).all(|(leased, (_, right))| {
            matches!(leased, Ok(Leased::Right(ground)) if ground.token == Some(*right))
        });
        self.law("a batch is answered in order", (reply.each.len(), rights), (300, true))?;
        let mut fills = Vec::new();
        for (at, (key, right)) in keys.iter().enumerate() {
            let record = (at % 3 != 0).then(|| Self::record(key, self.token(), None)).transpose()?;
            fills.push(Fill { key: key.clone(), right: *right, record, life: LIFE });
        }
        let reply = self.tier.fill(&fills).await;
        let ok = reply.each.iter().enumerate().all(|(at, filled)| {
            let expected = if at % 3 == 0 { Filled::Released } else { Filled::Ok };
            filled.as_ref().ok() == Some(&expected)
        });
        self.law("each fill of a batch has its own result", ok, true)?;
        let wires: Vec<WireKey> = keys.into_iter().map(|(key, _)| key).collect();
        let reply = self.tier.read(&wires).await;
        let read =
            reply.each.iter().zip(&fills).all(|(found, fill)| found.as_ref().ok() == Some(&fill.record));
        self.law("a batch is read in order", read, true)?;
        let reply = self.tier.read(&[]).await;
        self.law("an empty batch is answered", reply.each.len(), 0)
    }

    pub(super) async fn lives(&mut self) -> Result<(), Violation> {
        let (key, first, second) = (self.key()?, self.token(), self.token());
        self.lease_for(&key, first, None, Duration::from_millis(20)).await?;
        // The tier's own clock decides, so this waits by asking; bounded in case it never moves.
        for _ in 0..2_000 {
            if self.read(&key).await?.is_none() {
                let leased = self.lease(&key, second, None).await?;
                return self.law("an ended lease frees its key", matches!(leased, Leased::Right(_)), true);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(Violation("a lease of 20 ms still stood after 2,000 reads a millisecond apart".into()))
    }
}
