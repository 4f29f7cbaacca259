//! What a lookup spawns.

use std::future::Future;

use tests::crowd::{bounded, tasks_are_back_to};
use tests::{Film, film};
use tokio::runtime::Handle;

use crate::rig::Rig;
use crate::stampede::warm_node;

/// Most tasks that were alive while `asked` went on. On one thread, each look is after every other task had its turn.
async fn most_alive<T>(asked: impl Future<Output = T>) -> (T, usize) {
    let mut most = 0;
    let watch = async {
        loop {
            most = most.max(Handle::current().metrics().num_alive_tasks());
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::select! {
        biased;
        done = asked => done,
        () = watch => unreachable!("it watches until the others are done"),
    };
    (done, most)
}

/// A batch of a thousand cold keys has two tasks at most, whatever it waits for: a flight's round, and a load. A hit has none.
#[tokio::test]
async fn a_batch_spawns_two_tasks_at_most() {
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..1_000).map(film).collect();
        rig.insert(&rows).await;
        let films = warm_node(&rig).await;
        let before = Handle::current().metrics().num_alive_tasks();
        let (found, most) = most_alive(films.objects_by_pks(0..1_000)).await;
        assert_eq!(found.unwrap().iter().flatten().count(), 1_000);
        assert_eq!(most - before, 2, "tasks of a cold batch");
        tasks_are_back_to(before).await;

        let (found, most) = most_alive(films.objects_by_pks(0..1_000)).await;
        assert_eq!(found.unwrap().iter().flatten().count(), 1_000);
        assert_eq!(most.max(before), before, "tasks of a batch of hits");
    })
    .await;
}
