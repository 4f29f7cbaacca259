//! Snapshots and transaction ids, as Postgres says them.

use tierstack_core::Stamp;
use tokio_postgres::Row;

/// The snapshot of the statement, and the history in which its ids are counted. On a standby there is no position to
/// write at, and so no timeline.
///
/// All of it is asked each time. A connection outlives a promotion, and behind a pooler it outlives its server.
pub(crate) const SNAPSHOT: &str = concat!(
    "SELECT pg_catalog.now(), pg_catalog.pg_current_snapshot()::pg_catalog.text, CASE WHEN NOT pg_catalog.pg_is_in_recovery() ",
    "THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END, ",
    "(SELECT system_identifier FROM pg_catalog.pg_control_system())"
);

/// A snapshot, and the history in which its ids are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    system: u64,
    timeline: u32,
    xmin: u64,
    xmax: u64,
    xip: Vec<u64>,
}

impl Snapshot {
    /// Reads the three columns from `first` on. `None` if they are of a standby, or in a form that isn't known here.
    ///
    /// # Errors
    /// When a column is of another type.
    pub(crate) fn read(row: &Row, first: usize) -> Result<Option<Snapshot>, tokio_postgres::Error> {
        let (snapshot, timeline) = (row.try_get(first)?, row.try_get(first + 1)?);
        // Postgres has no unsigned integers: it shows the upper half as negative ones.
        let system: i64 = row.try_get(first + 2)?;
        Ok(Snapshot::parse(snapshot, timeline, system.cast_unsigned()))
    }

    fn parse(snapshot: &str, timeline: Option<&str>, system: u64) -> Option<Snapshot> {
        let timeline = u32::from_str_radix(timeline?, 16).ok()?;
        let (xmin, rest) = snapshot.split_once(':')?;
        let (xmax, in_progress) = rest.split_once(':')?;
        let ids = in_progress.split(',').filter(|id| !id.is_empty());
        let xip = ids.map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some(Snapshot { system, timeline, xmin: xmin.parse().ok()?, xmax: xmax.parse().ok()?, xip })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::new(self.system, self.timeline, self.xmin, self.xmax, &self.xip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_postgres_prints_it() {
        let of = |xmin, xmax, xip: &[u64]| {
            Some(Snapshot { system: u64::MAX, timeline: 0x1f, xmin, xmax, xip: xip.to_vec() })
        };
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
            assert_eq!(Snapshot::parse(text, Some("0000001F"), u64::MAX), snapshot, "{text}");
        }
        for timeline in [None, Some(""), Some("x")] {
            assert_eq!(Snapshot::parse("10:10:", timeline, 1), None, "{timeline:?}");
        }
    }
}
