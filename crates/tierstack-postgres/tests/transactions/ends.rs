//! How a transaction ends, other than by a COMMIT that is answered.

use serde_json::json;
use tierstack_core::{ErrorKind, Xid};
use tierstack_postgres::tokio_postgres::{self, error::SqlState};
use tierstack_postgres::transactions::{CommitError, Outcome, TransactionSettings, Transactions};
use tierstack_postgres::{PgOrigin, PgTransactions};

use crate::support::watched::{Item, Nodes, Told, until};
use crate::support::xid_of;
use crate::{is_pending, rename, transactions};

fn code(error: &CommitError) -> Option<&SqlState> {
    error.error().downcast_ref::<tokio_postgres::Error>().unwrap().code()
}

/// Proves that what is dropped or rolled back is undone, tells no tier, and leaves the connection outside a transaction.
#[tokio::test]
async fn what_is_dropped_or_rolled_back_touches_nothing() {
    let nodes = Nodes::new();
    nodes.name(1).await;
    let mut client = nodes.database.client().await;
    for drops in [true, false] {
        let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        if drops {
            drop(tx);
        } else {
            tx.rollback().await.unwrap();
        }
        client.batch_execute("savepoint s").await.unwrap_err();
        assert_eq!(
            client.query_one("select name from item where id = 1", &[]).await.unwrap().get::<_, &str>(0),
            "one"
        );
    }
    // A begin that is given up leaves nothing open either.
    for polls in 0..2 {
        let mut begin = Box::pin(nodes.writer.transaction(&mut client));
        for _ in 0..polls {
            assert!(is_pending(&mut begin).await);
        }
        drop(begin);
        client.batch_execute("savepoint s").await.unwrap_err();
    }
    assert!(nodes.tier.told().is_empty() && nodes.in_l2(1).is_some());
}

/// Proves that COMMIT of a transaction that has failed, which Postgres answers by rolling back, is an error.
#[tokio::test]
async fn a_failed_transaction_does_not_commit() {
    let nodes = Nodes::new();
    let mut client = nodes.database.client().await;
    let strict = transactions(&nodes, |_| ());
    for touches in [true, false] {
        let mut tx = strict.begin(&mut client).await.unwrap();
        tx.execute("update item set name = 'uno' where id = 1", &[]).await.unwrap();
        if touches {
            tx.touch::<Item>([1]).unwrap();
        }
        tx.execute("update item set nonsense = 1", &[]).await.unwrap_err();
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::RolledBack);
        assert_eq!(code(&error), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
        client.batch_execute("savepoint s").await.unwrap_err();
    }
    assert_eq!(nodes.database.psql("select name from item where id = 1"), "one");
    assert!(nodes.tier.told().is_empty());
    assert_eq!((strict.stats().rolled_back, strict.stats().committed), (2, 0));
}

/// Proves that a COMMIT which Postgres refuses (a deferred constraint, a serialization failure) is a rollback: L2 is told of
/// no end, and is open to the next load, which has seen it.
#[tokio::test]
async fn a_refused_commit_is_a_rollback() {
    let nodes = Nodes::new();
    nodes.database.psql(
        "create table pair (id int primary key, other int references pair deferrable initially deferred)",
    );
    let mut client = nodes.database.client().await;
    let strict = transactions(&nodes, |_| ());
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    tx.execute("insert into pair values (1, 7)", &[]).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::RolledBack);
    assert_eq!(code(&error), Some(&SqlState::FOREIGN_KEY_VIOLATION));
    assert_eq!((nodes.tier.begun(), nodes.tier.finished().len()), (1, 0));
    // Postgres says that it failed a moment before it has ended.
    until(async || nodes.name(1).await == "one" && nodes.in_l2(1).is_some()).await;

    // Each reads what the other writes: Postgres refuses whoever commits last.
    let mut other = nodes.database.client().await;
    let serializable = "set transaction isolation level serializable";
    let mut first = strict.begin(&mut client).await.unwrap();
    let mut second = strict.begin(&mut other).await.unwrap();
    for (tx, id) in [(&mut first, 1), (&mut second, 2)] {
        tx.batch_execute(serializable).await.unwrap();
        tx.query("select count(*) from item where name like 't%'", &[]).await.unwrap();
        tx.execute("update item set name = 't' || name where id = $1", &[&id]).await.unwrap();
        tx.touch::<Item>([id]).unwrap();
    }
    first.commit().await.unwrap();
    let error = second.commit().await.unwrap_err();
    assert_eq!(
        (error.outcome(), code(&error)),
        (Outcome::RolledBack, Some(&SqlState::T_R_SERIALIZATION_FAILURE))
    );
    assert!(error.to_string().contains("make it again"), "{error}");
    assert_eq!((nodes.name(1).await, nodes.name(2).await), ("tone".into(), "two".into()));
    assert_eq!(nodes.tier.finished().len(), 1, "the first one's");
}

/// Proves that a transaction which a statement of its own has ended is never taken for one that committed here, and that
/// what it touched is forgotten.
#[tokio::test]
async fn a_transaction_that_ended_itself_is_an_error() {
    let nodes = Nodes::new();
    let mut client = nodes.database.client().await;
    for (end, name) in
        [("commit", "uno"), ("commit; begin", "due"), ("rollback", "due"), ("commit and chain", "tre")]
    {
        let told = nodes.tier.told().len();
        nodes.name(1).await;
        let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
        rename(&mut tx, name).await;
        tx.batch_execute(end).await.unwrap();
        let error = tx.commit().await.unwrap_err();
        assert_eq!(
            (error.outcome(), error.error().kind()),
            (Outcome::EndedBefore, ErrorKind::Invalid),
            "{end}"
        );
        assert_eq!(nodes.tier.told()[told..], [Told { xids: vec![], finished: true, keys: 2 }], "{end}");
        assert_eq!(nodes.name(1).await, name, "{end}");
    }
}

/// Proves that a transaction which a statement of its own prepared is an error, and forgotten; that while it is prepared loads
/// have not seen it, and fill L2; and that it takes an invalidation after COMMIT PREPARED to end what they filled.
#[tokio::test]
async fn two_phase_commit_is_left_to_an_invalidation() {
    let nodes = Nodes::new();
    nodes.name(1).await;
    let (mut client, other) = (nodes.database.client().await, nodes.database.client().await);
    let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let id = tx.query_one("select pg_current_xact_id()::text", &[]).await.unwrap();
    let id = id.get::<_, &str>(0).parse().unwrap();
    // Its name is the server's, not the database's.
    let name = &nodes.database.name;
    tx.batch_execute(&format!("prepare transaction '{name}'")).await.unwrap();
    assert_eq!(tx.commit().await.unwrap_err().outcome(), Outcome::EndedBefore);
    assert_eq!(nodes.tier.told(), [Told { xids: vec![], finished: true, keys: 2 }]);
    let xid = Xid { id, ..xid_of(&other).await };
    assert_eq!(nodes.name(1).await, "one");
    assert!(!nodes.in_l2(1).unwrap().has_seen(&xid));
    other.batch_execute(&format!("commit prepared '{name}'")).await.unwrap();
    assert_eq!(nodes.name(1).await, "one", "nobody has told of it");
    nodes.items.invalidate([1]).await.unwrap();
    assert_eq!(nodes.name(1).await, "uno");
    assert!(nodes.in_l2(1).unwrap().has_seen(&xid));
}

/// Proves that each setting that can't be is refused.
#[test]
fn settings_are_checked() {
    let writer = tierstack_core::Namespace::builder("t").build().unwrap();
    for (name, value) in [
        ("commit_timeout", json!({"secs": 0, "nanos": 0})),
        ("resolve_for", json!({"secs": 86_401, "nanos": 0})),
        ("max_unresolved", json!(0)),
    ] {
        let settings: TransactionSettings = serde_json::from_value(json!({ name: value })).unwrap();
        let error = Transactions::new(&writer, settings).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(name), "{error}");
    }
    Transactions::new(&writer, TransactionSettings::default()).unwrap();
}

/// Proves that an invalidation inside an open transaction takes effect and is an error, that the end of the transaction, however
/// it comes, ends that, and that no end of one trips over it.
#[tokio::test]
async fn an_invalidation_inside_a_transaction_is_told() {
    let nodes = Nodes::new();
    let origin = PgOrigin::new(nodes.pool.clone());
    let items = nodes.writer.cache::<Item>().origin(origin).build().unwrap();
    let mut client = nodes.database.client().await;
    let task = tokio::spawn(async move {
        for end in 0..4 {
            let before = nodes.tier.finished().len();
            let mut tx = nodes.writer.transaction(&mut client).await.unwrap();
            rename(&mut tx, &format!("uno {end}")).await;
            let error = items.invalidate([1]).await.unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("touch"), "{error}");
            assert_eq!(nodes.tier.finished().len(), before + 1, "it is done all the same");
            match end {
                0 => drop(tx.commit().await.unwrap()),
                1 => tx.rollback().await.unwrap(),
                2 => {
                    tx.batch_execute("commit").await.unwrap();
                    assert_eq!(tx.commit().await.unwrap_err().outcome(), Outcome::EndedBefore);
                }
                _ => drop(tx),
            }
            items.invalidate([1]).await.unwrap();
        }
    });
    task.await.unwrap();
}
