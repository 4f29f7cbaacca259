//! What is explored: the rows of the tables.

mod mechanisms;

pub(crate) use mechanisms::{Taken, mechanisms};

use crate::scenario::{Faults, Reader, Scenario, Writer};

const STRICT: Writer = Writer::Strict { put: false };
const STRICT_PUT: Writer = Writer::Strict { put: true };
const FAST: Writer = Writer::Fast { put: false };
const HOLD: Writer = Writer::Hold { put: false };
const HOLD_PUT: Writer = Writer::Hold { put: true };

const NO_FAULT: Faults =
    Faults { crash: false, evict: false, failover: 0, lost: false, cut: false, reorder: false };
const CRASH: Faults = Faults { crash: true, ..NO_FAULT };
const EVICT: Faults = Faults { evict: true, ..NO_FAULT };
const LOST: Faults = Faults { lost: true, ..NO_FAULT };
const FAILOVER: Faults = Faults { failover: 1, ..NO_FAULT };
const FAILOVER_3: Faults = Faults { failover: 3, ..NO_FAULT };
const REORDER: Faults = Faults { reorder: true, ..NO_FAULT };
const CUT: Faults = Faults { cut: true, ..NO_FAULT };

/// A table: protocol by fault.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// For each column, what is explored, and what is found: what the guarantees say, or what is known not to work.
    pub(crate) cells: Vec<(Vec<Scenario>, &'static str)>,
    /// The states of all its scenarios are so many at least.
    pub(crate) least: usize,
}

impl Row {
    fn new<const N: usize>(
        name: &'static str,
        each: [Vec<Scenario>; N],
        found: [&'static str; N],
        least: usize,
    ) -> Self {
        let named = |scenarios: Vec<Scenario>| scenarios.into_iter().map(|one| one.named(name)).collect();
        Row { name, cells: each.map(named).into_iter().zip(found).collect(), least }
    }
}

/// All tables.
pub(crate) fn tables() -> Vec<Table> {
    vec![rows(), lists(), l1(), others()]
}

const L2_COLUMNS: &[&str] =
    &["no fault", "writer dies", "evictions", "answers lost", "failover loses 1", "failover loses 1 to 3"];

fn rows() -> Table {
    // Each beside somebody, if at all: the feed, or one who calls `invalidate`.
    let ours = |name, writer, beside: Option<Writer>, least, found: [&'static str; 6]| {
        let one = |writers, readers, faults| {
            let scenario = l2(writer, writers, readers, faults);
            match beside {
                Some(Writer::Feed) => Scenario { feed: true, ..scenario },
                Some(other) => {
                    let mut writers = scenario.writers;
                    writers.pop();
                    writers.push((other, 0));
                    Scenario { writers, ..scenario }
                }
                None => scenario,
            }
        };
        let all = |faults| vec![one(2, 2, faults), one(3, 1, faults), one(2, 3, faults)];
        let each = [
            all(NO_FAULT),
            all(CRASH),
            all(EVICT),
            vec![one(2, 2, LOST), one(3, 1, LOST), one(1, 3, LOST)],
            vec![one(2, 2, FAILOVER)],
            vec![one(2, 1, FAILOVER_3), one(1, 2, FAILOVER_3)],
        ];
        Row::new(name, each, found, least)
    };
    let (feed, other) = (Some(Writer::Feed), Some(Writer::Bystander));
    Table {
        title: "One row in L2",
        columns: L2_COLUMNS,
        rows: vec![
            ours("Strict", STRICT, None, 160_000, ["–", "–", "H", "–", "F A H", "F A H"]),
            ours("Strict, with `put`", STRICT_PUT, None, 550_000, ["–", "–", "H", "–", "H", "F A H"]),
            ours("Strict, with the feed", STRICT, feed, 400_000, ["–", "–", "H", "–", "A H", "A H"]),
            ours(
                "Strict, with `put`, and an `invalidate`",
                STRICT_PUT,
                other,
                87_000,
                ["–", "–", "H", "–", "H", "F A H"],
            ),
            ours("Fast", FAST, None, 90_000, ["H", "F H", "H", "H", "F A H", "F A H"]),
            ours("Fast, with the feed", FAST, feed, 230_000, ["H", "H", "H", "H", "A H", "A H"]),
            ours("`invalidate`", Writer::Manual, None, 95_000, ["H", "F H", "H", "H", "F A H", "F A H"]),
            ours("Feed", Writer::Feed, None, 140_000, ["A H", "A H", "A H", "A H", "A H", "A H"]),
            ours("Hold", HOLD, None, 250_000, ["–", "–", "H", "–", "H", "F A H"]),
            ours("Hold, with `put`", HOLD_PUT, None, 1_100_000, ["–", "–", "H", "–", "H", "F A H"]),
            ours(
                "Hold, with `put`, and an `invalidate`",
                HOLD_PUT,
                other,
                100_000,
                ["–", "–", "H", "–", "H", "F A H"],
            ),
        ],
    }
}

fn lists() -> Table {
    let ours = |name, writer, least, found: [&'static str; 4]| {
        let each = [NO_FAULT, CRASH, EVICT, LOST].map(|faults| {
            let two = [list(writer, 2, 1, faults), list(writer, 1, 2, faults)];
            let three = Some(list(writer, 3, 1, faults)).filter(|_| writer != HOLD || faults == NO_FAULT);
            two.into_iter().chain(three).collect()
        });
        Row::new(name, each, found, least)
    };
    Table {
        title: "A list and what it rests on, in L2",
        columns: &L2_COLUMNS[..4],
        rows: vec![
            ours("Strict", STRICT, 320_000, ["–", "–", "H", "–"]),
            ours("Fast", FAST, 53_000, ["H", "F H", "H", "H"]),
            ours("`invalidate`", Writer::Manual, 52_000, ["H", "F H", "H", "H"]),
            ours("Feed", Writer::Feed, 91_000, ["A H", "A H", "A H", "A H"]),
            ours("Hold", HOLD, 390_000, ["–", "–", "H", "–"]),
        ],
    }
}

fn l1() -> Table {
    let ours = |name, writer, least, found: [&'static str; 5]| {
        let two = |faults| Scenario {
            writers: vec![(writer, 0), (writer, 1)],
            readers: vec![1],
            ..nodes(writer, faults)
        };
        let each = [NO_FAULT, CRASH, EVICT, REORDER, CUT].map(|faults| {
            let large = faults == CUT || (faults == CRASH && writer.puts());
            let two = Some(two(faults)).filter(|_| !large);
            [nodes(writer, faults)].into_iter().chain(two).collect()
        });
        Row::new(name, each, found, least)
    };
    Table {
        title: "Two nodes with L1 and a bus",
        columns: &["no fault", "writer dies", "evictions", "messages overtake", "bus cut"],
        rows: vec![
            ours("Strict", STRICT, 1_100_000, ["–", "–", "H", "–", "–"]),
            ours("Strict, with `put`", STRICT_PUT, 1_500_000, ["–", "–", "H", "–", "–"]),
            ours("Fast", FAST, 380_000, ["H", "F H", "H", "H", "H"]),
            ours("`invalidate`", Writer::Manual, 370_000, ["H", "F H", "H", "H", "H"]),
            ours("Feed", Writer::Feed, 520_000, ["A H", "A H", "A H", "A H", "A H"]),
            ours("Hold", HOLD, 1_300_000, ["–", "–", "H", "–", "–"]),
            ours("Hold, with `put`", HOLD_PUT, 1_300_000, ["–", "–", "H", "–", "–"]),
        ],
    }
}

/// What other libraries do, and what looks as if it worked.
fn others() -> Table {
    let theirs = |name, writer, reader, least, found: [&'static str; 6]| {
        let one = |writers, readers, faults| Scenario::new(writer, writers, reader, readers).with(faults);
        let each = [NO_FAULT, CRASH, EVICT, LOST, FAILOVER, FAILOVER_3].map(|faults| {
            let large = Some(one(2, 3, faults)).filter(|_| faults.failover == 0);
            [one(2, 2, faults), one(3, 1, faults)].into_iter().chain(large).collect()
        });
        Row::new(name, each, found, least)
    };
    let (after, fah) = (Writer::DeleteAfter, ["F A H"; 6]);
    let lease = ["H", "F H", "H", "H", "F A H", "F A H"];
    Table {
        title: "Known not to work",
        columns: L2_COLUMNS,
        rows: vec![
            theirs("delete after COMMIT", after, Reader::Set, 25_000, fah),
            theirs("delete before COMMIT and after", Writer::DeleteTwice, Reader::Set, 28_000, fah),
            theirs("SET NX, delete after COMMIT", after, Reader::SetIfNothing, 25_000, fah),
            theirs("version compare-and-set", after, Reader::SetIfNewer, 25_000, fah),
            theirs("lease, delete inside", Writer::DeleteInside, Reader::Lease, 48_000, fah),
            theirs("lease, delete after COMMIT", after, Reader::Lease, 65_000, lease),
            theirs("a token per client", after, Reader::ClientLease, 57_000, fah),
            theirs("our scripts, `put` after Fast", Writer::Fast { put: true }, Reader::Ours, 560_000, fah),
        ],
    }
}

fn l2(writer: Writer, writers: usize, readers: usize, faults: Faults) -> Scenario {
    Scenario::new(writer, writers, Reader::Ours, readers).with(faults)
}

/// A writer on node A, a reader on each node.
fn nodes(writer: Writer, faults: Faults) -> Scenario {
    Scenario { l1: true, readers: vec![0, 1], ..l2(writer, 1, 2, faults) }
}

/// Writers of rows of their own, which one list shows.
fn list(writer: Writer, writers: usize, readers: usize, faults: Faults) -> Scenario {
    Scenario { list: true, one_row: false, ..l2(writer, writers, readers, faults) }
}
