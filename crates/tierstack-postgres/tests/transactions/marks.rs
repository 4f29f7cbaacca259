//! What L2 is told, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tierstack_core::{ErrorKind, ManualClock, WithoutL2, WriteSettings};
use tierstack_postgres::PgTransactions;
use tierstack_postgres::transactions::{Mode, Outcome};

use crate::support::watched::{Item, Nodes, Told, until};
use crate::{Gate, SHORT, rename, transactions};

/// Proves G1: from before COMMIT on, L2 holds nothing that the transaction wrote over, and no load fills it that has not
/// seen the transaction, also if it wrote inside a savepoint; once it is over, L2 is filled again.
#[tokio::test]
async fn a_strict_transaction_closes_l2_while_it_commits() {
    for update in [
        "update item set name = 'uno' where id = 1",
        "savepoint s; update item set name = 'uno' where id = 1; release s",
        "savepoint s; update item set name = 'eins' where id = 1; rollback to s; update item set name = 'uno' where id = 1",
    ] {
        let nodes = Nodes::new();
        assert_eq!(nodes.name(1).await, "one");
        assert!(nodes.in_l2(1).is_some());
        let gate = Gate::closed(&nodes).await;
        let mut client = nodes.database.client().await;
        let writer = nodes.writer.clone();
        let committing = tokio::spawn(async move {
            let mut tx = writer.transaction(&mut client).await.unwrap();
            tx.batch_execute(update).await.unwrap();
            tx.touch::<Item>([1]).unwrap();
            tx.commit().await.unwrap()
        });
        gate.until_held_up().await;
        assert!(nodes.in_l2(1).is_none(), "the old row went before COMMIT was sent");
        assert_eq!(nodes.name(1).await, "one", "it isn't visible yet");
        assert!(nodes.in_l2(1).is_none(), "a load that has not seen the transaction fills nothing");
        gate.open().await;
        let written = committing.await.unwrap();
        let xid = written.xid.unwrap();
        assert!(!written.downgraded && written.undelivered.is_none());
        assert_eq!(nodes.name(1).await, "uno");
        assert!(nodes.in_l2(1).unwrap().has_seen(&xid));
        let told = |finished| Told { xids: vec![xid], finished, keys: 2 };
        assert_eq!(nodes.tier.told(), [told(false), told(true)]);
    }
}

/// Proves that what was rolled back to a savepoint stays touched: it is told of, and L2 is filled again with the row that
/// stands there; also if nothing else was written.
#[tokio::test]
async fn what_was_rolled_back_to_a_savepoint_stays_touched() {
    for (rest, second) in [("", "two"), ("update item set name = 'due' where id = 2", "due")] {
        let nodes = Nodes::new();
        assert_eq!((nodes.name(1).await, nodes.name(2).await), ("one".into(), "two".into()));
        let mut client = nodes.database.client().await;
        let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
        tx.batch_execute("savepoint s").await.unwrap();
        rename(&mut tx, "uno").await;
        tx.touch::<Item>([2]).unwrap();
        assert_eq!(tx.get(&nodes.items, 1).await.unwrap().unwrap().name, "uno");
        tx.batch_execute(&format!("rollback to s; {rest}")).await.unwrap();
        assert_eq!(tx.get(&nodes.items, 1).await.unwrap().unwrap().name, "one");
        let xid = tx.commit().await.unwrap().xid.unwrap();
        let told = |finished| Told { xids: vec![xid], finished, keys: 3 };
        assert_eq!(nodes.tier.told(), [told(false), told(true)], "{rest}");
        assert!(nodes.in_l2(1).is_none() && nodes.in_l2(2).is_none(), "{rest}");
        assert_eq!((nodes.name(1).await, nodes.name(2).await), ("one".into(), second.into()));
        assert!(nodes.in_l2(1).unwrap().has_seen(&xid) && nodes.in_l2(2).unwrap().has_seen(&xid));
    }
}

/// Proves that a fast transaction tells L2 once, after COMMIT, with its id.
#[tokio::test]
async fn a_fast_transaction_tells_l2_after_commit() {
    let nodes = Nodes::new();
    assert_eq!(nodes.name(1).await, "one");
    let gate = Gate::closed(&nodes).await;
    let fast = transactions(&nodes, |settings| settings.mode = Mode::Fast);
    let mut client = nodes.database.client().await;
    let committing = tokio::spawn(async move {
        let mut tx = fast.begin(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        tx.commit().await.unwrap()
    });
    gate.until_held_up().await;
    assert!(nodes.in_l2(1).is_some() && nodes.tier.told().is_empty());
    gate.open().await;
    let xid = committing.await.unwrap().xid.unwrap();
    assert_eq!(nodes.tier.told(), [Told { xids: vec![xid], finished: true, keys: 2 }]);
    assert_eq!(nodes.name(1).await, "uno");
}

/// Proves that marks are renewed for as long as COMMIT takes, so that L2 stays closed beyond the life of a floor (C5).
#[tokio::test]
async fn marks_outlive_their_floor_while_commit_takes_its_time() {
    let nodes = Nodes::with_floors_of(SHORT);
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |_| ());
    let (mut client, transactions) = (nodes.database.client().await, strict.clone());
    let committing = tokio::spawn(async move {
        let mut tx = transactions.begin(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        tx.commit().await.unwrap()
    });
    gate.until_held_up().await;
    // Five thirds of a life.
    until(async || nodes.tier.begun() > 5).await;
    assert_eq!(nodes.name(1).await, "one");
    assert!(nodes.in_l2(1).is_none(), "the first floor would have ended by now");
    gate.open().await;
    committing.await.unwrap();
    assert_eq!(nodes.name(1).await, "uno");
    assert!(strict.stats().renewed >= 5);
    let told = nodes.tier.told();
    assert_eq!(told.iter().filter(|told| told.finished).count(), 1);
    assert!(told.last().unwrap().finished);
}

/// Proves that COMMIT isn't sent under marks of which half a life is over (C5): they are made again, and a tier that is too
/// slow every time is one that can't be reached.
#[tokio::test]
async fn old_marks_are_made_again_before_commit() {
    let clock = ManualClock::new();
    let mut settings = WriteSettings::default();
    settings.floor_life = Duration::from_secs(10);
    let nodes = Nodes::with(&settings, clock.clock());
    let strict = transactions(&nodes, |_| ());
    let mut client = nodes.database.client().await;
    for (slow, outcome) in [(0, None), (1, None), (2, None), (9, Some(Outcome::RolledBack))] {
        let before = nodes.tier.begun();
        let (left, clock) = (Arc::new(AtomicU32::new(slow)), clock.clone());
        nodes.tier.on_mark(move || {
            let less = |left: u32| left.checked_sub(1);
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                clock.advance(Duration::from_secs(5));
            }
        });
        let mut tx = strict.begin(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        let done = tx.commit().await;
        assert_eq!(done.as_ref().err().map(|error| error.outcome()), outcome, "{slow}");
        assert_eq!(nodes.tier.begun() - before, if outcome.is_none() { slow as usize + 1 } else { 3 });
    }
}

/// Proves that a strict transaction doesn't commit without its marks, unless it is told to; then it tells L2 after COMMIT,
/// and says whether it could.
#[tokio::test]
async fn without_l2_a_strict_transaction_is_rolled_back_or_downgraded() {
    let nodes = Nodes::new();
    let mut client = nodes.database.client().await;
    nodes.tier.inner.set_outage(true);
    let strict = transactions(&nodes, |_| ());
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let error = tx.commit().await.unwrap_err();
    assert_eq!((error.outcome(), error.error().kind()), (Outcome::RolledBack, ErrorKind::Unavailable));
    assert_eq!(nodes.database.psql("select name from item where id = 1"), "one");
    assert_eq!((strict.stats().rolled_back, strict.stats().committed), (1, 0));

    let downgrading = transactions(&nodes, |settings| settings.without_l2 = WithoutL2::Write);
    let mut tx = downgrading.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let written = tx.commit().await.unwrap();
    assert!(written.downgraded && written.undelivered.is_some());
    assert_eq!(nodes.database.psql("select name from item where id = 1"), "uno");
    let stats = downgrading.stats();
    assert_eq!((stats.downgraded, stats.committed, stats.undelivered), (1, 1, 1));

    nodes.tier.inner.set_outage(false);
    let mut tx = downgrading.begin(&mut client).await.unwrap();
    rename(&mut tx, "eins").await;
    assert!(!tx.commit().await.unwrap().downgraded);
    assert_eq!(nodes.name(1).await, "eins");
}

/// Proves that no tier is told of what touched nothing, or wrote nothing.
#[tokio::test]
async fn what_touches_or_writes_nothing_tells_nobody() {
    let nodes = Nodes::new();
    let mut client = nodes.database.client().await;
    let strict = transactions(&nodes, |_| ());
    let tx = strict.begin(&mut client).await.unwrap();
    tx.execute("update item set name = 'uno' where id = 1", &[]).await.unwrap();
    assert!(tx.commit().await.unwrap().xid.is_some());
    let mut tx = strict.begin(&mut client).await.unwrap();
    tx.query("select * from item", &[]).await.unwrap();
    tx.touch::<Item>([1]).unwrap();
    assert!(tx.commit().await.unwrap().xid.is_none());
    assert!(nodes.tier.told().is_empty());
    assert_eq!(strict.stats().committed, 2);
}

/// Proves that two who write one row, one after the other, leave what the second wrote, in every tier.
#[tokio::test]
async fn two_writers_of_a_row_leave_the_second_ones() {
    let nodes = Nodes::new();
    nodes.name(1).await;
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |_| ());
    let write = |name: &'static str| {
        let (strict, client) = (strict.clone(), nodes.database.client());
        async move {
            let mut client = client.await;
            let mut tx = strict.begin(&mut client).await.unwrap();
            rename(&mut tx, name).await;
            tx.commit().await.unwrap().xid.unwrap()
        }
    };
    let first = write("first");
    let (first, second) = tokio::join!(first, async {
        gate.until_held_up().await;
        // It waits for the row, which the first one has.
        let (second, ()) = tokio::join!(write("second"), async {
            let blocked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'transactionid'";
            until(async || nodes.database.psql(blocked) == "1").await;
            gate.open().await;
        });
        second
    });
    assert_eq!(nodes.name(1).await, "second");
    let stamp = nodes.in_l2(1).unwrap();
    assert!(stamp.has_seen(&first) && stamp.has_seen(&second));
}

/// Proves that the whole entity is forgotten at once, if it is touched.
#[tokio::test]
async fn a_whole_entity_may_be_touched() {
    let nodes = Nodes::new();
    for id in 1..=3 {
        nodes.name(id).await;
    }
    let mut client = nodes.database.client().await;
    let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
    tx.batch_execute("update item set name = name || '!'").await.unwrap();
    tx.touch_all::<Item>().unwrap();
    assert!(tx.touches::<Item>(&77));
    tx.commit().await.unwrap();
    for (id, name) in [(1, "one!"), (2, "two!"), (3, "three!")] {
        assert_eq!(nodes.name(id).await, name);
    }
}
