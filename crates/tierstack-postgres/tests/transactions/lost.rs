//! COMMITs whose answer nobody has.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tierstack_postgres::transactions::Outcome;

use crate::proxy::{Cut, cut_off};
use crate::support::watched::{Nodes, until};
use crate::{Gate, SHORT, is_pending, rename, transactions};

/// Proves that a COMMIT which arrived, and whose answer did not, is told of as unknown; that L2 answers nothing older
/// meanwhile; and that its outcome is found out and told to L2.
#[tokio::test]
async fn a_lost_answer_is_found_out() {
    let nodes = Nodes::with_floors_of(SHORT);
    nodes.name(1).await;
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |_| ()).resolve_with(nodes.pool.clone());
    let (mut client, is_cut) = cut_off(&nodes.database.url(), Cut::After).await;
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let error = tx.commit().await.unwrap_err();
    assert!(is_cut.load(Ordering::Relaxed));
    let Outcome::Unknown(xid) = error.outcome() else { panic!("{error:?}") };
    assert!(error.to_string().contains(&xid.id.to_string()), "{error}");
    gate.until_held_up().await;
    // COMMIT is under way, and its client is gone.
    until(async || nodes.tier.begun() > 5).await;
    assert_eq!(nodes.name(1).await, "one");
    assert!(nodes.in_l2(1).is_none() && nodes.is_marked(1, &xid));
    assert_eq!((strict.stats().unknown, strict.stats().resolved), (1, 0));
    gate.open().await;
    until(async || nodes.tier.finished().len() == 1).await;
    assert_eq!(nodes.tier.finished()[0].xids, [xid]);
    assert_eq!(nodes.name(1).await, "uno");
    let stats = strict.stats();
    assert_eq!((stats.resolved, stats.unresolved, stats.committed), (1, 0, 0));
    nodes.writer.shutdown().await;
}

/// Proves that a COMMIT which never arrived is unknown to its caller, and a rollback in the end: L2 is told of no end, and no
/// longer renewed.
#[tokio::test]
async fn a_commit_that_never_arrived_is_found_out() {
    let nodes = Nodes::with_floors_of(SHORT);
    let strict = transactions(&nodes, |_| ()).resolve_with(nodes.pool.clone());
    let (mut client, _) = cut_off(&nodes.database.url(), Cut::Before).await;
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error.outcome(), Outcome::Unknown(_)), "{error:?}");
    until(async || strict.stats().resolved == 1).await;
    nodes.writer.shutdown().await;
    assert!(nodes.tier.finished().is_empty());
    assert_eq!(nodes.name(1).await, "one");
    assert!(nodes.in_l2(1).is_some());
}

/// Proves that a fast transaction whose answer is lost is marked from then on, until its outcome is found out.
#[tokio::test]
async fn a_fast_one_is_marked_once_its_answer_is_lost() {
    let nodes = Nodes::with_floors_of(SHORT);
    nodes.name(1).await;
    let gate = Gate::closed(&nodes).await;
    let fast = transactions(&nodes, |settings| settings.mode = tierstack_postgres::transactions::Mode::Fast)
        .resolve_with(nodes.pool.clone());
    let (mut client, _) = cut_off(&nodes.database.url(), Cut::After).await;
    let mut tx = fast.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let Outcome::Unknown(xid) = tx.commit().await.unwrap_err().outcome() else { panic!() };
    until(async || nodes.is_marked(1, &xid)).await;
    gate.open().await;
    until(async || nodes.tier.finished().len() == 1).await;
    assert_eq!(nodes.name(1).await, "uno");
}

/// Proves that whoever drops `commit()` after COMMIT was sent loses nothing: a task of its own finds out and tells L2; and
/// that the connection is in order.
#[tokio::test]
async fn a_dropped_commit_is_found_out() {
    let nodes = Nodes::with_floors_of(SHORT);
    nodes.name(1).await;
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |_| ()).resolve_with(nodes.pool.clone());
    let mut client = nodes.database.client().await;
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    tokio::select! {
        done = tx.commit() => panic!("{done:?}"),
        () = gate.until_held_up() => {}
    }
    until(async || strict.stats().unknown == 1).await;
    gate.open().await;
    until(async || nodes.tier.finished().len() == 1).await;
    assert_eq!(nodes.name(1).await, "uno");
    client.batch_execute("savepoint s").await.unwrap_err();
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
}

/// Proves that one dropped before COMMIT was sent is rolled back, at each of its awaits.
#[tokio::test]
async fn a_commit_dropped_early_is_a_rollback() {
    let nodes = Nodes::new();
    let strict = transactions(&nodes, |_| ());
    let mut client = nodes.database.client().await;
    // Before it is polled, and as it asks for its id.
    for polls in 0..2 {
        let mut tx = strict.begin(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        let mut commit = Box::pin(tx.commit());
        for _ in 0..polls {
            assert!(is_pending(&mut commit).await);
        }
        drop(commit);
        client.batch_execute("savepoint s").await.unwrap_err();
    }
    assert_eq!(nodes.database.psql("select name from item where id = 1"), "one");
    assert_eq!((nodes.tier.told().len(), strict.stats().unknown), (0, 0));
}

/// Proves that an error which ends the session says nothing of the COMMIT before it: Postgres ends so those, too, that have
/// committed and wait for a standby.
#[tokio::test]
async fn a_session_that_is_ended_is_found_out() {
    let nodes = Nodes::with_floors_of(SHORT);
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |_| ()).resolve_with(nodes.pool.clone());
    let mut client = nodes.database.client().await;
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and query = 'COMMIT' and wait_event = 'advisory'";
    let (done, ()) = tokio::join!(tx.commit(), async {
        gate.until_held_up().await;
        assert_eq!(nodes.database.psql(kill), "t");
    });
    let error = done.unwrap_err();
    assert!(matches!(error.outcome(), Outcome::Unknown(_)), "{error:?}");
    until(async || strict.stats().resolved == 1).await;
    assert!(nodes.tier.finished().is_empty(), "it was rolled back");
}

/// Proves that COMMIT may take no longer than the setting says, and that what is then unknown is found out.
#[tokio::test]
async fn a_commit_that_takes_too_long_is_unknown() {
    let nodes = Nodes::with_floors_of(SHORT);
    let gate = Gate::closed(&nodes).await;
    let short = transactions(&nodes, |settings| settings.commit_timeout = Duration::from_millis(20));
    let short = short.resolve_with(nodes.pool.clone());
    let mut client = nodes.database.client().await;
    let mut tx = short.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let patience = Duration::from_secs(20);
    let error = tokio::time::timeout(patience, tx.commit()).await.expect("no answer, in time").unwrap_err();
    assert!(matches!(error.outcome(), Outcome::Unknown(_)), "{error:?}");
    gate.open().await;
    until(async || nodes.tier.finished().len() == 1).await;
    assert_eq!(nodes.name(1).await, "uno");
}

/// Proves that without a pool to ask on, marks stand for the time that is set, and the life of a floor from then.
#[tokio::test]
async fn without_a_pool_marks_stand_for_a_time() {
    let nodes = Nodes::with_floors_of(SHORT);
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |settings| settings.resolve_for = 2 * SHORT);
    let (mut client, _) = cut_off(&nodes.database.url(), Cut::After).await;
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "uno").await;
    let Outcome::Unknown(xid) = tx.commit().await.unwrap_err().outcome() else { panic!() };
    gate.until_held_up().await;
    until(async || strict.stats().unresolved == 1).await;
    assert!(nodes.is_marked(1, &xid) && nodes.tier.begun() > 5, "{:?}", nodes.tier.told());
    assert!(nodes.tier.finished().is_empty(), "nobody knows that it has");
    gate.open().await;
}

/// Proves that no more outcomes than are allowed are asked for at once, and that a further one leaves its marks.
#[tokio::test]
async fn lost_outcomes_are_bounded() {
    let nodes = Nodes::new();
    let gate = Gate::closed(&nodes).await;
    let strict =
        transactions(&nodes, |settings| settings.max_unresolved = 1).resolve_with(nodes.pool.clone());
    for id in [1, 2] {
        let (mut client, _) = cut_off(&nodes.database.url(), Cut::After).await;
        let mut tx = strict.begin(&mut client).await.unwrap();
        tx.execute("update item set name = 'x' where id = $1", &[&id]).await.unwrap();
        tx.touch::<crate::Item>([id]).unwrap();
        tx.commit().await.unwrap_err();
        until(async || strict.stats().unknown == u64::try_from(id).unwrap()).await;
    }
    until(async || strict.stats().unresolved == 1).await;
    gate.open().await;
    until(async || strict.stats().resolved == 1).await;
}

/// Proves that a shutdown waits for a commit under way, and for a lost one no longer than one last question takes, after
/// which its marks stand.
#[tokio::test]
async fn a_shutdown_waits_for_commits() {
    let nodes = Nodes::new();
    let gate = Gate::closed(&nodes).await;
    let strict = transactions(&nodes, |_| ()).resolve_with(nodes.pool.clone());
    let (mut client, transactions) = (nodes.database.client().await, strict.clone());
    let committing = tokio::spawn(async move {
        let mut tx = transactions.begin(&mut client).await.unwrap();
        rename(&mut tx, "uno").await;
        tx.commit().await
    });
    gate.until_held_up().await;
    let mut shutdown = Box::pin(nodes.writer.shutdown());
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut shutdown).await.is_err(), "it is under way");
    gate.open().await;
    shutdown.await;
    assert_eq!(nodes.tier.finished().len(), 1, "told before the shutdown returned");
    committing.await.unwrap().unwrap();

    let gate = Gate::closed(&nodes).await;
    let (mut client, _) = cut_off(&nodes.database.url(), Cut::After).await;
    let mut tx = strict.begin(&mut client).await.unwrap();
    rename(&mut tx, "due").await;
    let Outcome::Unknown(xid) = tx.commit().await.unwrap_err().outcome() else { panic!() };
    gate.until_held_up().await;
    tokio::time::timeout(Duration::from_secs(5), nodes.writer.shutdown()).await.unwrap();
    assert_eq!((strict.stats().resolved, strict.stats().unresolved), (0, 1));
    assert!(nodes.is_marked(1, &xid));
    gate.open().await;
}
