//! A slow origin with few connections: all are answered, no more is asked of it at once than allowed, nothing stays behind.

use std::future::Future;
use std::time::Duration;

use tests::crowd::{Crowd, bounded, tasks_are_back_to};
use tests::{Film, film};
use tierstack_core::{Cache, L1, Query, Settings};
use tierstack_postgres::PgOrigin;
use tierstack_postgres::deadpool_postgres::Pool;
use tokio::runtime::Handle;

use crate::rig::{Rig, patient};

fn node(rig: &Rig, pool: &Pool, settings: Settings) -> Cache<Film> {
    let shop = rig.shop().build().unwrap();
    let films = shop.cache().l1(L1::capacity(10_000)).origin(PgOrigin::new(pool.clone()));
    films.settings(settings).build().unwrap()
}

/// Opens all of a pool's connections.
async fn open(pool: &Pool) {
    let mut all = Vec::new();
    for _ in 0..pool.status().max_size {
        all.push(pool.get().await.unwrap());
    }
}

/// Most connections of a node that Postgres had at once while `asked` went on, and most that were at work.
async fn peaks<T>(rig: &Rig, asked: impl Future<Output = T>) -> (T, i64, i64) {
    let observer = rig.pool.get().await.unwrap();
    let count = "SELECT count(*), count(*) FILTER (WHERE state = 'active') FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'node'";
    let count = observer.prepare(count).await.unwrap();
    let (mut open, mut active) = (0, 0);
    let watch = async {
        loop {
            let now = observer.query_one(&count, &[]).await.unwrap();
            (open, active) = (now.get::<_, i64>(0).max(open), now.get::<_, i64>(1).max(active));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let done = tokio::select! {
        done = asked => done,
        () = watch => unreachable!("it watches until the others are done"),
    };
    (done, open, active)
}

/// All connections are idle, in the pool and by Postgres's own account, and no task is left.
async fn nothing_stays_behind(rig: &Rig, pool: &Pool, tasks: usize) {
    tasks_are_back_to(tasks).await;
    let status = pool.status();
    assert_eq!((status.available, status.waiting), (status.size, 0), "{status:?}");
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'node' AND state = 'idle'";
    assert_eq!(rig.number(idle), status.size as u64);
}

/// 200 misses over two connections, with more loads let in than there are connections: all are answered, two at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_two_serves_two_hundred_misses() {
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..200).map(film).collect();
        rig.insert(&rows).await;
        rig.slow_down(Duration::from_millis(50)).await;
        let pool = rig.pool_of(2);
        let mut settings = patient();
        settings.max_batch = 10;
        let films = node(&rig, &pool, settings);
        open(&pool).await;
        films.get(-1).await.unwrap();
        let tasks = Handle::current().metrics().num_alive_tasks();

        let before = (rig.statements(), rig.rows());
        let (found, open, active) = peaks(&rig, Crowd::ask(&films, 0..200).rows()).await;
        assert_eq!(found.len(), 200);
        assert!((0..200).zip(&found).all(|(key, row)| **row == film(key)));
        assert_eq!((open, active), (2, 2), "(connections, those at work)");
        let (selects, rows) = (rig.statements() - before.0, rig.rows() - before.1);
        assert_eq!(rows, 200);
        assert!((20..=60).contains(&selects), "{selects}");
        let stats = films.stats();
        assert_eq!((stats.errors, stats.overloads, stats.bypasses), (0, 0, 0));
        nothing_stays_behind(&rig, &pool, tasks).await;
    })
    .await;
}

/// Rows and queries together put no more loads on the origin than `loads_in_flight`, though the pool has room for more.
#[tokio::test(flavor = "multi_thread")]
async fn rows_and_queries_share_the_places_of_loads() {
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..80).map(film).collect();
        rig.insert(&rows).await;
        rig.slow_down(Duration::from_millis(30)).await;
        let pool = rig.pool_of(8);
        let mut settings = patient();
        settings.max_batch = 4;
        settings.loads_in_flight = 2;
        let films = node(&rig, &pool, settings);
        open(&pool).await;
        films.get(-1).await.unwrap();
        let tasks = Handle::current().metrics().num_alive_tasks();

        let by_title = Query::one("by_title").param::<String>("title").build().unwrap();
        let all = async {
            let rows = Crowd::ask(&films, 0..40);
            let asked = (40..80).map(|key| {
                let (films, bound) = (films.clone(), by_title.bind((format!("Film {key}"),)));
                tokio::spawn(async move { films.one(&bound).await })
            });
            for (key, found) in (40..80).zip(Vec::from_iter(asked)) {
                assert_eq!(found.await.unwrap().unwrap().unwrap().film_id, key);
            }
            rows.rows().await
        };
        let (found, _, active) = peaks(&rig, all).await;
        assert!((0..40).zip(&found).all(|(key, row)| row.film_id == key));
        assert_eq!(active, 2, "loads at once");
        nothing_stays_behind(&rig, &pool, tasks).await;
    })
    .await;
}
