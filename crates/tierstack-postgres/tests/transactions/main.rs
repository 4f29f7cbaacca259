//! Transactions, against a Postgres.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod ends;
mod lost;
mod marks;
#[path = "../support/proxy.rs"]
mod proxy;
mod puts;
mod reads;
#[path = "../support/mod.rs"]
mod support;

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use support::watched::{Item, Nodes, until};
use tierstack_postgres::tokio_postgres::Client;
use tierstack_postgres::transactions::{Transaction, TransactionSettings, Transactions};

/// Whoever holds it holds COMMITs up.
struct Gate(Client);

impl Gate {
    async fn closed(nodes: &Nodes) -> Gate {
        let gate = Gate(nodes.database.client().await);
        gate.0.batch_execute("select pg_advisory_lock(7)").await.unwrap();
        gate
    }

    async fn until_held_up(&self) {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event = 'advisory'";
        until(async || self.0.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0).await;
    }

    async fn open(&self) {
        self.0.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    }
}

fn transactions(nodes: &Nodes, set: impl FnOnce(&mut TransactionSettings)) -> Transactions {
    let mut settings = TransactionSettings::default();
    set(&mut settings);
    Transactions::new(&nodes.writer, settings).unwrap()
}

/// Renames row 1.
async fn rename(tx: &mut Transaction<'_>, name: &str) {
    tx.execute("update item set name = $1 where id = 1", &[&name]).await.unwrap();
    tx.touch::<Item>([1]).unwrap();
}

const SHORT: Duration = Duration::from_millis(300);

/// Polls a future once.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}
