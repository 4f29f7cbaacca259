//! Callers that go away, under load.

use std::time::Duration;

use tests::crowd::{bounded, tasks_are_back_to};
use tests::{Film, film};
use tierstack_core::{Cache, L1};
use tierstack_postgres::PgOrigin;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::rig::{Rig, patient};

const KEYS: i32 = 100;
const CALLERS: i32 = 2_000;

/// A lookup would wait this long for a right that somebody left behind.
const WAIT: Duration = Duration::from_secs(6);

fn node(rig: &Rig) -> Cache<Film> {
    let shop = rig.shop().build().unwrap();
    let mut settings = patient();
    settings.wait_for_load = WAIT;
    let films = shop.cache().l1(L1::capacity(10_000)).origin(PgOrigin::new(rig.pool.clone()));
    films.settings(settings).build().unwrap()
}

/// Two thousand callers of a hundred keys go away within 3 ms. What they asked for is answered then, on this node and on
/// another, which waits for no right that they left behind; and no task of theirs stays.
#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_leave_nothing_behind() {
    let seed = match std::env::var("TIERSTACK_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("TIERSTACK_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..5 * KEYS).map(film).collect();
        rig.insert(&rows).await;
        let (a, b) = (node(&rig), node(&rig));
        a.get(-1).await.unwrap();
        b.get(-2).await.unwrap();
        // As many connections as the pool may have.
        let mut all = Vec::new();
        for _ in 0..rig.pool.status().max_size {
            all.push(rig.pool.get().await.unwrap());
        }
        drop(all);
        let tasks = Handle::current().metrics().num_alive_tasks();

        let (mut gone, mut answered) = (0, 0);
        for round in 0..5 {
            let first = round * KEYS;
            let callers: Vec<_> = (0..CALLERS)
                .map(|n| {
                    let (films, patience) = (a.clone(), Duration::from_micros(random.u64(..3_000)));
                    tokio::spawn(async move { timeout(patience, films.get(first + n % KEYS)).await })
                })
                .collect();
            for (n, caller) in (0..CALLERS).zip(callers) {
                match caller.await.unwrap() {
                    Ok(found) => {
                        assert_eq!(*found.unwrap().unwrap(), film(first + n % KEYS));
                        answered += 1;
                    }
                    Err(_) => gone += 1,
                }
            }
            let keys = first..first + KEYS;
            let began = Instant::now();
            for films in [&b, &a] {
                let found = films.objects_by_pks(keys.clone()).await.unwrap();
                assert!(keys.clone().zip(found).all(|(key, row)| *row.unwrap() == film(key)));
            }
            assert!(began.elapsed() < WAIT / 2, "a right was left behind: {:?}", began.elapsed());
        }
        println!("{gone} went away, {answered} were answered");
        assert!(gone > CALLERS && answered > 0, "{gone} went away, {answered} were answered");
        let (of_a, of_b) = (a.stats(), b.stats());
        assert_eq!((of_a.errors, of_b.errors), (0, 0));
        assert_eq!((of_a.bypasses, of_b.bypasses), (0, 0), "nobody loaded without a right");
        tasks_are_back_to(tasks).await;
    })
    .await;
}
