//! What a node notes of each call, in a file of its own: fixed size, so that a file that ends in the middle of a record is
//! read up to there.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Result, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The interval of a call, in nanoseconds of the machine's monotonic clock: the same for all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Read before the call.
    pub start: u64,
    /// Read after it returned.
    pub end: u64,
}

/// Who gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// This process's memory.
    L1,
    /// The shared tier, asked for this lookup.
    L2,
    /// The origin, asked for this lookup.
    Origin,
    /// A lookup that began before this one, and that it followed.
    Followed,
    /// The method doesn't say.
    Unknown,
}

impl Source {
    /// All of them, in a fixed order.
    pub const ALL: [Source; 5] = [Source::L1, Source::L2, Source::Origin, Source::Followed, Source::Unknown];
}

/// What a read saw of a row. `None` where the reader's entity lacks the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No such row.
    Absent,
    /// This one.
    Row {
        /// Its version, which the trigger set.
        version: u64,
        /// The write that made it.
        op: u64,
        /// The column that lists are asked by.
        shelf: Option<u8>,
        /// Which of its two slugs it has.
        parity: Option<u8>,
    },
}

/// How a write ended, as its caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// COMMIT was acknowledged.
    Committed,
    /// It was rolled back, or refused.
    RolledBack,
    /// Nobody said.
    Unknown,
}

/// One note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A read of a row.
    Row {
        /// Its key.
        pk: u32,
        /// When.
        when: Span,
        /// Who answered.
        source: Source,
        /// What.
        seen: Seen,
    },
    /// A read of the keys of a list.
    List {
        /// What was asked for.
        shelf: u8,
        /// When.
        when: Span,
        /// Who answered.
        source: Source,
        /// The keys, as bits.
        members: u128,
    },
    /// A read by a secondary key.
    Slug {
        /// Whose slug it is.
        pk: u32,
        /// Which of the two.
        parity: u8,
        /// When.
        when: Span,
        /// Who answered.
        source: Source,
        /// Whether the row was found by it.
        found: bool,
    },
    /// A read that failed: an error, never an answer.
    Failed {
        /// When.
        when: Span,
    },
    /// A write is about to be sent. Noted on disk before it is.
    Began {
        /// Its number, unique in the run; bears its node.
        op: u64,
        /// The key.
        pk: u32,
        /// When.
        at: u64,
        /// Whether it names its keys to the tiers before it commits.
        strict: bool,
    },
    /// The caller was told how a write ended.
    Ended {
        /// Its number.
        op: u64,
        /// The key.
        pk: u32,
        /// When.
        at: u64,
        /// How.
        outcome: Outcome,
    },
    /// An invalidation was acknowledged.
    Invalidated {
        /// The key.
        pk: u32,
        /// When.
        when: Span,
    },
    /// A write's own way of telling the tiers was acknowledged: of it, and of nobody else's.
    Told {
        /// Its number.
        op: u64,
        /// The key.
        pk: u32,
        /// When.
        at: u64,
    },
}

/// Bytes of a record.
const SIZE: usize = 56;

/// An unknown column.
const UNKNOWN: u8 = u8::MAX;

impl Record {
    fn encode(&self) -> [u8; SIZE] {
        let (kind, codes, pk, when, numbers, members) = match *self {
            Record::Row { pk, when, source, seen } => {
                let (codes, numbers) = match seen {
                    Seen::Absent => ([source as u8, 0, 0], [0, 0]),
                    Seen::Row { version, op, shelf, parity } => {
                        let (shelf, parity) = (shelf.unwrap_or(UNKNOWN), parity.unwrap_or(UNKNOWN));
                        ([source as u8, shelf, parity], [version, op])
                    }
                };
                (if seen == Seen::Absent { 0 } else { 1 }, codes, pk, when, numbers, 0)
            }
            Record::List { shelf, when, source, members } => {
                (2, [source as u8, shelf, 0], 0, when, [0; 2], members)
            }
            Record::Slug { pk, parity, when, source, found } => {
                (3, [source as u8, parity, found.into()], pk, when, [0; 2], 0)
            }
            Record::Failed { when } => (4, [0; 3], 0, when, [0; 2], 0),
            Record::Began { op, pk, at, strict } => {
                (5, [strict.into(), 0, 0], pk, Span { start: at, end: at }, [op, 0], 0)
            }
            Record::Ended { op, pk, at, outcome } => {
                (6, [outcome as u8, 0, 0], pk, Span { start: at, end: at }, [op, 0], 0)
            }
            Record::Invalidated { pk, when } => (7, [0; 3], pk, when, [0; 2], 0),
            Record::Told { op, pk, at } => (8, [0; 3], pk, Span { start: at, end: at }, [op, 0], 0),
        };
        let mut bytes = [0; SIZE];
        bytes[0] = kind;
        bytes[1..4].copy_from_slice(&codes);
        bytes[4..8].copy_from_slice(&pk.to_le_bytes());
        for (place, number) in [when.start, when.end, numbers[0], numbers[1]].into_iter().enumerate() {
            bytes[8 + place * 8..16 + place * 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[40..].copy_from_slice(&members.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SIZE]) -> Option<Record> {
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let pk = u32::from_le_bytes(bytes[4..8].try_into().ok()?);
        let when = Span { start: number(8)?, end: number(16)? };
        let (one, two) = (number(24)?, number(32)?);
        let source = || Source::ALL.get(usize::from(bytes[1])).copied();
        let column = |code: u8| Some(code).filter(|code| *code != UNKNOWN);
        let at = when.start;
        Some(match bytes[0] {
            0 => Record::Row { pk, when, source: source()?, seen: Seen::Absent },
            1 => {
                let (shelf, parity) = (column(bytes[2]), column(bytes[3]));
                let seen = Seen::Row { version: one, op: two, shelf, parity };
                Record::Row { pk, when, source: source()?, seen }
            }
            2 => {
                let members = u128::from_le_bytes(bytes[40..].try_into().ok()?);
                Record::List { shelf: bytes[2], when, source: source()?, members }
            }
            3 => Record::Slug { pk, parity: bytes[2], when, source: source()?, found: bytes[3] != 0 },
            4 => Record::Failed { when },
            5 => Record::Began { op: one, pk, at, strict: bytes[1] != 0 },
            6 => {
                let outcome = match bytes[1] {
                    0 => Outcome::Committed,
                    1 => Outcome::RolledBack,
                    _ => Outcome::Unknown,
                };
                Record::Ended { op: one, pk, at, outcome }
            }
            7 => Record::Invalidated { pk, when },
            8 => Record::Told { op: one, pk, at },
            _ => return None,
        })
    }
}

/// Writes a node's notes.
#[derive(Debug)]
pub struct Recorder(Mutex<BufWriter<File>>);

impl Recorder {
    /// A new file.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(path: &Path) -> Result<Recorder> {
        Ok(Recorder(Mutex::new(BufWriter::with_capacity(1 << 16, File::create_new(path)?))))
    }

    /// Notes it; the beginning of a write is with the kernel when this returns, and survives this process.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn note(&self, record: &Record) -> Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&record.encode())?;
        if matches!(record, Record::Began { .. }) { file.flush() } else { Ok(()) }
    }

    /// Hands all notes to the kernel.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn flush(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// Calls `each` with every record of a file. What a killed node left of its last record is passed over.
///
/// # Errors
/// When the file can't be read, or has bytes that are no record.
pub fn read(path: &Path, mut each: impl FnMut(Record)) -> anyhow::Result<()> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut bytes = [0; SIZE];
    loop {
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let record = Record::decode(&bytes);
        each(record.ok_or_else(|| anyhow::anyhow!("{}: {bytes:?} is no record", path.display()))?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let when = Span { start: 1 << 60, end: u64::MAX };
        let seen = Seen::Row { version: 3, op: 1 << 40 | 7, shelf: Some(2), parity: None };
        for record in [
            Record::Row { pk: 127, when, source: Source::Followed, seen },
            Record::Row { pk: 0, when, source: Source::Unknown, seen: Seen::Absent },
            Record::List { shelf: 3, when, source: Source::L1, members: 1 << 127 | 5 },
            Record::Slug { pk: 9, parity: 1, when, source: Source::Origin, found: true },
            Record::Failed { when },
            Record::Began { op: 1 << 40, pk: 4, at: 8, strict: true },
            Record::Ended { op: 5, pk: 4, at: 9, outcome: Outcome::Unknown },
            Record::Ended { op: 5, pk: 4, at: 9, outcome: Outcome::RolledBack },
            Record::Invalidated { pk: 4, when },
            Record::Told { op: 5, pk: 4, at: 9 },
        ] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        assert_eq!(Record::decode(&[9; SIZE]), None);
    }
}
