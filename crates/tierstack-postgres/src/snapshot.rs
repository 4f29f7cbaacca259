//! Snapshots and transaction ids, as Postgres says them, and the history in which they are counted.

use tierstack_core::{Stamp, Xid};
use tokio_postgres::{Error, Row};

/// Two columns of a statement over `pg_control_system()`: timeline and system. On a standby there is no position to write
/// at, and so no timeline.
///
/// They are asked each time: a connection outlives a promotion, and behind a pooler it outlives its server.
macro_rules! history {
    () => {
        concat!(
            "CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.substr(",
            "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END, system_identifier"
        )
    };
}
pub(crate) use history;

/// When the transaction began, and the snapshot of this statement.
pub(crate) const SNAPSHOT: &str = concat!(
    "SELECT pg_catalog.now(), pg_catalog.pg_current_snapshot()::pg_catalog.text, ",
    history!(),
    " FROM pg_catalog.pg_control_system()"
);

/// The snapshot of this statement, inside a transaction that has an id, and whether every statement has one of its own.
pub(crate) const OWN_SNAPSHOT: &str = concat!(
    "SELECT pg_catalog.current_setting('transaction_isolation') = 'read committed', ",
    "pg_catalog.pg_current_snapshot()::pg_catalog.text, ",
    history!(),
    " FROM pg_catalog.pg_control_system()"
);

/// A history of transactions: ids are comparable within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History {
    system: u64,
    timeline: u32,
}

impl History {
    /// Reads the two columns from `first` on. `None` if they are of a standby, or in a form that isn't known here.
    ///
    /// # Errors
    /// When a column is of another type.
    pub(crate) fn read(row: &Row, first: usize) -> Result<Option<History>, Error> {
        // Postgres has no unsigned integers: it shows the upper half as negative ones.
        let (timeline, system): (Option<&str>, i64) = (row.try_get(first)?, row.try_get(first + 1)?);
        let timeline = timeline.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        Ok(timeline.map(|timeline| History { system: system.cast_unsigned(), timeline }))
    }

    pub(crate) fn of(xid: &Xid) -> Self {
        History { system: xid.system, timeline: xid.timeline }
    }

    pub(crate) fn xid(self, id: u64) -> Xid {
        Xid { system: self.system, timeline: self.timeline, id }
    }
}

/// Reads a snapshot, and its history, from the three columns from `first` on. `None` if they are of a standby, or in a form
/// that isn't known here.
///
/// # Errors
/// When a column is of another type.
pub(crate) fn stamp(row: &Row, first: usize) -> Result<Option<Stamp>, Error> {
    let snapshot = Snapshot::parse(row.try_get(first)?);
    Ok(snapshot.zip(History::read(row, first + 1)?).map(|(snapshot, history)| snapshot.stamp(history)))
}

/// What [`OWN_SNAPSHOT`] has seen once the transaction with that id, its own, has committed. `None` if it is of the moment when
/// the transaction began: that may be long ago, and before the right to fill was claimed.
///
/// # Errors
/// When a column is of another type.
pub(crate) fn own_stamp(row: &Row, own: u64) -> Result<Option<Stamp>, Error> {
    if !row.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let snapshot = Snapshot::parse(row.try_get(1)?).map(|snapshot| snapshot.with_own(own));
    Ok(snapshot.zip(History::read(row, 2)?).map(|(snapshot, history)| snapshot.stamp(history)))
}

/// A stamp lists no more.
const MOST_BETWEEN: u64 = 16;

#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    xmin: u64,
    xmax: u64,
    xip: Vec<u64>,
}

impl Snapshot {
    fn parse(text: &str) -> Option<Snapshot> {
        let (xmin, rest) = text.split_once(':')?;
        let (xmax, in_progress) = rest.split_once(':')?;
        let ids = in_progress.split(',').filter(|id| !id.is_empty());
        let xip = ids.map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some(Snapshot { xmin: xmin.parse().ok()?, xmax: xmax.parse().ok()?, xip })
    }

    /// The same with its own transaction, which it doesn't list as being in progress, and which is beyond its end unless a
    /// later one has ended. What lies between is not known to have ended.
    fn with_own(mut self, own: u64) -> Self {
        if own >= self.xmax && own - self.xmax <= MOST_BETWEEN {
            self.xip.extend(self.xmax..own);
            self.xmax = own + 1;
        }
        self
    }

    fn stamp(&self, history: History) -> Stamp {
        Stamp::new(history.system, history.timeline, self.xmin, self.xmax, &self.xip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_postgres_prints_it() {
        let of = |xmin, xmax, xip: &[u64]| Some(Snapshot { xmin, xmax, xip: xip.to_vec() });
        for (text, snapshot) in [
            ("10:10:", of(10, 10, &[])),
            ("10:20:10,14,15", of(10, 20, &[10, 14, 15])),
            ("4294967296:18446744073709551615:5", of(1 << 32, u64::MAX, &[5])),
            ("10:20", None),
            ("10", None),
            ("", None),
            (":20:", None),
            ("10:20:x", None),
            ("10:-20:", None),
        ] {
            assert_eq!(Snapshot::parse(text), snapshot, "{text}");
        }
    }

    #[test]
    fn a_transactions_own_snapshot_has_seen_it_and_nothing_more() {
        let history = History { system: 7, timeline: 1 };
        for (text, own, seen, unseen) in [
            ("725:725:", 725, &[724, 725][..], &[726][..]),
            ("725:727:", 725, &[724, 725, 726], &[727]),
            ("720:723:720", 725, &[719, 721, 722, 725], &[720, 723, 724, 726]),
            ("720:723:720", 800, &[721], &[720, 723, 800]),
        ] {
            let stamp = Snapshot::parse(text).unwrap().with_own(own).stamp(history);
            assert!(seen.iter().all(|id| stamp.has_seen(&history.xid(*id))), "{text} {own}");
            assert!(!unseen.iter().any(|id| stamp.has_seen(&history.xid(*id))), "{text} {own}");
        }
    }
}
