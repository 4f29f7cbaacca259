//! A write and its invalidation in the middle of a storm of callers.

use std::time::Duration;

use tests::crowd::{Crowd, bounded};
use tests::{Film, film};
use tierstack_core::{Cache, L1};
use tierstack_postgres::PgOrigin;

use crate::rig::{Rig, patient};

const CALLERS: i32 = 1_000;
const ROUNDS: i32 = 40;

/// How long a load takes after it has read.
const LOAD: Duration = Duration::from_millis(30);

/// A thousand callers before a write and its invalidation, a thousand after: nobody after it is given the old row, whatever
/// of the first load's way is past when the row is written.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_asks_after_an_invalidation_gets_the_old_row() {
    let seed = match std::env::var("TIERSTACK_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("TIERSTACK_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..ROUNDS).map(film).collect();
        rig.insert(&rows).await;
        rig.slow_down(LOAD).await;
        let shop = rig.shop().build().unwrap();
        let films: Cache<Film> = shop
            .cache()
            .l1(L1::capacity(10_000))
            .origin(PgOrigin::new(rig.pool.clone()))
            .settings(patient())
            .build()
            .unwrap();
        films.get(-1).await.unwrap();
        let client = rig.pool.get().await.unwrap();
        let update = "UPDATE film_row SET version = version + 1 WHERE film_id = $1";
        let update = client.prepare(update).await.unwrap();
        let mut old_before = 0;
        for key in 0..ROUNDS {
            let before = Crowd::ask(&films, (0..CALLERS).map(|_| key));
            let pause = random.u64(..LOAD.as_micros() as u64);
            tokio::time::sleep(Duration::from_micros(pause)).await;
            client.execute(&update, &[&key]).await.unwrap();
            films.invalidate([key]).await.unwrap();
            let after = Crowd::ask(&films, (0..CALLERS).map(|_| key));
            for row in after.rows().await {
                assert_eq!(row.version, 1, "key {key}, {pause} us after it was first asked");
            }
            // Those before may have either.
            old_before += before.rows().await.iter().filter(|row| row.version == 0).count();
            assert_eq!(films.get(key).await.unwrap().unwrap().version, 1, "nor is it kept");
        }
        println!("{old_before} callers before the writes had the old row");
        assert!(old_before > 0, "no load was under way at a write");
    })
    .await;
}
