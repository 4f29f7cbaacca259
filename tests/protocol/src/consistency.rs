//! The consistency protocol, explored state by state: what `docs/consistency-table.md` says, and where it comes from.
//!
//! Each scenario ([`catalogue`]) is a few writers and readers of one key, some faults, and a protocol. [`explore`] visits
//! every [`state`] that they can reach, each once, and asks of each what a lookup would be shown that begins and reads in
//! it ([`verdict`]). So an interleaving is found however rare it is, and the way to it is the shortest.
//!
//! **Real are** the scripts in Redis, through `RedisTier`: [`memo`] puts the bytes of a record at a key, makes the call,
//! reads what is there then, the life of it, and the message that was told; once for each (record, call) up to the names
//! of tokens. Real are the bytes of records, `Stamp::has_seen`, and `Marks::seen_by`.
//!
//! **Modelled are** the steps of [`writers`] and [`readers`], of the origin, the clock and the failover ([`environment`]),
//! and of the nodes ([`bus`]). Time is no number: a right, a hold, a floor or a value stands until a step ends it, which
//! may be any step that the protocol doesn't exclude. A COMMIT is durable first, visible later. Snapshots are those of
//! Postgres: a transaction is seen if it has ended; its own counts as seen in itself. A put may arrive after all that was
//! done since it was given up.
//!
//! **Reductions.** States that differ in the names of tokens, of readers of one node or of writers of one kind are one.
//! A lookup that is answered by a hit changes nothing, and is no step without L1. Tokens are drawn, never guessed.
//!
//! **Mechanisms** ([`mechanism`]) can be taken out one by one: in the steps, or by hiding from the scripts what they would
//! heed. What is found then is what the specification says; that shows that the model is not blind.
//!
//! **Not modelled**, and proven elsewhere or argued: schemas in keys (C20) and names that a writer can't give (C26): the
//! model has one key; timelines and reuse of xids (C21: the table of `stamp.rs`); that a logical slot can't be rewound
//! (C22: the feed of the model simply tells all again); epoch records and run ids (C23), split brain (C24), a full Redis
//! (C25: `tierstack-redis` tests it); more than 8 marks on a floor; lists in L1; a failover together with L1; write
//! tokens (G5); deadlines (G7); refused `invalidate` calls, which are repeated by whoever made them.

mod anomaly;
mod bus;
mod catalogue;
mod environment;
mod explore;
mod l2;
mod mechanism;
mod memo;
mod readers;
mod record;
mod report;
mod scenario;
mod state;
mod token;
mod verdict;
mod writers;

use std::path::Path;

use crate::anomaly::Anomaly;
use crate::catalogue::{mechanisms, tables};
use crate::explore::explore;
use crate::memo::Memo;
use crate::report::{document, explore_all, explore_tables};
use crate::scenario::Scenario;

/// Every promise of the specification, every protocol that is known not to work, every mechanism. In one test, as the
/// document bears all of it.
#[test]
fn what_is_found_is_what_is_promised() {
    let mut wrong = Vec::new();
    let tables = tables();
    let found = explore_tables(&tables);
    let mut states = 0;
    for (table, rows) in tables.iter().zip(&found) {
        for (row, found) in table.rows.iter().zip(rows) {
            println!("{:>9} states of {} (least {}): {}", found.states(), table.title, row.least, row.name);
            states += found.states();
            if found.states() < row.least {
                wrong.push(format!("{}, {}: {} states are too few", table.title, row.name, found.states()));
            }
            for (column, (_, promised)) in row.cells.iter().enumerate() {
                let shown = found.letters(column);
                if shown == *promised {
                    continue;
                }
                let traces = Anomaly::ALL.iter().filter(|one| !promised.contains(one.letter()));
                let traces: Vec<_> = traces.filter_map(|one| found.trace(column, *one)).collect();
                let name = format!("{}, {}, {}", table.title, row.name, table.columns[column]);
                wrong.push(format!("{name}: {shown}, not {promised}: {traces:#?}"));
            }
        }
    }
    let mechanisms = mechanisms();
    let without: Vec<Scenario> = mechanisms.iter().map(|taken| taken.scenario.clone()).collect();
    let whole: Vec<Scenario> = mechanisms.iter().map(|taken| taken.whole()).collect();
    let (without, whole) = (explore_all(&without), explore_all(&whole));
    for ((taken, without), whole) in mechanisms.iter().zip(&without).zip(&whole) {
        for anomaly in taken.shows {
            let name = format!("{} without {:?}", taken.name, taken.without);
            match (without.anomalies.has(*anomaly), whole.anomalies.has(*anomaly)) {
                (true, false) => {}
                (false, _) => wrong.push(format!("{name}: {anomaly:?} is not found")),
                (_, true) => wrong.push(format!("{name}: {anomaly:?} is found with the mechanism, too")),
            }
        }
    }
    println!("{states:>9} states in all, {} distinct calls of scripts", Memo::distinct());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let tables: Vec<_> = tables.into_iter().zip(found).collect();
    let mechanisms: Vec<_> = mechanisms.into_iter().zip(without).collect();
    let text = document(&tables, &mechanisms);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/consistency-table.md");
    if std::env::var_os("TIERSTACK_WRITE_TABLE").is_some() {
        std::fs::write(&path, &text).expect("the document can be written");
    }
    let there = std::fs::read_to_string(&path).expect("the document is there");
    assert!(
        there == text,
        "docs/consistency-table.md says otherwise: run with TIERSTACK_WRITE_TABLE=1 and read the difference"
    );
}

/// Two explorations of one scenario find the same, though tokens, clocks and hashes differ.
#[test]
fn an_exploration_can_be_repeated() {
    for taken in mechanisms().into_iter().take(8) {
        let (once, again) = (explore(&taken.scenario), explore(&taken.scenario));
        assert_eq!((once.states, once.steps, once.anomalies), (again.states, again.steps, again.anomalies));
        for anomaly in Anomaly::ALL {
            assert_eq!(once.trace(anomaly), again.trace(anomaly));
        }
    }
}
