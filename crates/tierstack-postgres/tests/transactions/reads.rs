//! Reads inside a transaction.

use tierstack_core::{ErrorKind, Query};
use tierstack_postgres::PgTransactions;

use crate::support::watched::{Item, Nodes};

/// Proves that a transaction sees what it wrote and touched, in rows, lists and secondary keys; that no tier keeps any of it;
/// and that it reads from the cache what it didn't touch.
#[tokio::test]
async fn a_transaction_reads_its_own_writes() {
    let nodes = Nodes::new();
    let items = &nodes.items;
    let long = Query::<Item>::list("all").order_by("name").build().unwrap().bind(());
    let by_name = Query::<Item>::one("by_name").param::<String>("name").build().unwrap();
    assert_eq!(items.list(&long).await.unwrap().len(), 3);
    nodes.database.psql("alter table item disable trigger hold; update item set name = 'zwei' where id = 2");
    let mut client = nodes.database.client().await;
    let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
    tx.batch_execute("update item set name = 'uno' where id = 1; delete from item where id = 3; insert into item values (4, 'four')")
        .await
        .unwrap();
    assert_eq!(tx.get(items, 1).await.unwrap().unwrap().name, "one", "not touched yet");
    tx.touch::<Item>([1, 3, 4]).unwrap();
    for _ in 0..2 {
        assert_eq!(tx.get(items, 1).await.unwrap().unwrap().name, "uno");
        assert!(tx.get(items, 3).await.unwrap().is_none());
        let rows = tx.objects_by_pks(items, [4, 2, 3, 1, 4]).await.unwrap();
        let names = rows.iter().map(|row| row.as_ref().map(|row| row.name.as_str())).collect::<Vec<_>>();
        assert_eq!(names, [Some("four"), Some("two"), None, Some("uno"), Some("four")], "2 is the cache's");
        let listed = tx.list(items, &long).await.unwrap();
        assert_eq!(listed.iter().map(|item| item.id).collect::<Vec<_>>(), [4, 1, 2]);
        assert_eq!(tx.one(items, &by_name.bind(("four".into(),))).await.unwrap().unwrap().id, 4);
        assert!(tx.one(items, &by_name.bind(("one".into(),))).await.unwrap().is_none());
    }
    let error = tx.one(items, &long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    // Others see nothing of it, in any tier.
    assert_eq!(nodes.name(1).await, "one");
    assert_eq!(items.list(&long).await.unwrap().len(), 3);
    assert!(items.get(4).await.unwrap().is_none());
    tx.commit().await.unwrap();
    assert_eq!(nodes.name(1).await, "uno");
}

/// Proves that a statement which fails is the caller's error, and the transaction has failed with it.
#[tokio::test]
async fn a_read_that_fails_fails_the_transaction() {
    let nodes = Nodes::new();
    let mut client = nodes.database.client().await;
    let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
    tx.touch::<Item>([1]).unwrap();
    tx.batch_execute("alter table item rename to gone").await.unwrap();
    let error = tx.get(&nodes.items, 1).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Origin && error.to_string().contains("42P01"), "{error}");
    tx.commit().await.unwrap_err();
    assert_eq!(nodes.name(1).await, "one");
}
