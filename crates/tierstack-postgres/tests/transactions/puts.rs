//! Rows that go into L2 with the transaction that wrote them.

use tierstack_core::ErrorKind;
use tierstack_postgres::PgTransactions;
use tierstack_postgres::transactions::Mode;

use crate::support::watched::{Item, Nodes, until};
use crate::{Gate, rename, transactions};

/// Proves that what a transaction puts is in L2 as it left it, so that the next who asks loads nothing; that its own snapshot
/// has seen it; and that what it deleted is loaded.
#[tokio::test]
async fn what_is_put_is_answered_without_a_load() {
    let nodes = Nodes::new();
    nodes.name(1).await;
    let mut client = nodes.database.client().await;
    let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let untouched = tx.put(&nodes.items, [2]).unwrap_err();
    assert_eq!(untouched.kind(), ErrorKind::Invalid);
    tx.batch_execute("delete from item where id = 3; update item set name = 'UNO' where id = 1")
        .await
        .unwrap();
    tx.touch::<Item>([3]).unwrap();
    tx.put(&nodes.items, [1, 3]).unwrap();
    let written = tx.commit().await.unwrap();
    let loads = nodes.items.stats().loads;
    assert!(nodes.in_l2(1).unwrap().has_seen(&written.xid.unwrap()));
    assert_eq!(nodes.name(1).await, "UNO");
    assert_eq!(nodes.items.stats().loads, loads);
    assert!(nodes.items.get(3).await.unwrap().is_none());
    assert_eq!(nodes.writer.write_stats().put, 1);
    // And the next write makes it old.
    let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
    rename(&mut tx, "due").await;
    tx.commit().await.unwrap();
    assert_eq!(nodes.name(1).await, "due");
}

/// Proves that nothing is in L2 before the transaction is visible, and nothing at all if it fails.
#[tokio::test]
async fn nothing_is_put_before_commit() {
    let nodes = Nodes::new();
    for fails in [false, true] {
        let gate = Gate::closed(&nodes).await;
        if fails {
            nodes
                .database
                .psql("create table pair (id int primary key, other int references pair deferrable initially deferred)");
        }
        let (mut client, writer, items) =
            (nodes.database.client().await, nodes.writer.clone(), nodes.items.clone());
        let committing = tokio::spawn(async move {
            let mut tx = writer.transaction(&mut client).await.unwrap();
            rename(&mut tx, "uno").await;
            tx.put(&items, [1]).unwrap();
            if fails {
                tx.batch_execute("insert into pair values (1, 7)").await.unwrap();
            }
            tx.commit().await
        });
        gate.until_held_up().await;
        assert!(nodes.in_l2(1).is_none());
        gate.open().await;
        assert_eq!(committing.await.unwrap().is_err(), fails);
        assert_eq!(nodes.in_l2(1).is_some(), !fails);
        nodes.items.invalidate([1]).await.unwrap();
    }
}

/// Proves that a row isn't put that another write came near to between, nor by a transaction whose snapshot is of before the
/// marks, nor by a fast one; each is loaded.
#[tokio::test]
async fn what_others_wrote_is_not_put_over() {
    let nodes = Nodes::new();
    let gate = Gate::closed(&nodes).await;
    let (mut client, writer, items) =
        (nodes.database.client().await, nodes.writer.clone(), nodes.items.clone());
    let committing = tokio::spawn(async move {
        let mut tx = writer.transaction(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        // Touched, and not written: its row isn't locked.
        tx.touch::<Item>([2]).unwrap();
        tx.put(&items, [1, 2]).unwrap();
        tx.commit().await.unwrap()
    });
    gate.until_held_up().await;
    nodes.database.psql("set session_replication_role = replica; update item set name = 'zwei' where id = 2");
    nodes.items.invalidate([2]).await.unwrap();
    gate.open().await;
    committing.await.unwrap();
    assert!(nodes.in_l2(1).is_some() && nodes.in_l2(2).is_none());
    assert_eq!(nodes.name(2).await, "zwei");

    let mut client = nodes.database.client().await;
    for (fast, first) in [(true, "select 1"), (false, "set transaction isolation level repeatable read")] {
        let transactions =
            transactions(&nodes, |settings| settings.mode = if fast { Mode::Fast } else { Mode::Strict });
        let mut tx = transactions.begin(&mut client).await.unwrap();
        tx.batch_execute(first).await.unwrap();
        rename(&mut tx, first).await;
        tx.put(&nodes.items, [1]).unwrap();
        tx.commit().await.unwrap();
        assert!(nodes.in_l2(1).is_none(), "{first}");
        until(async || nodes.name(1).await == first).await;
    }
}
