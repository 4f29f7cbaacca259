//! Transactions over a Redis: what L2 answers while several nodes write, and while it doesn't answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tests::crowd::bounded;
use tests::{Film, film};
use tierstack_core::{Cache, L1, Lookup, WithoutL2};
use tierstack_postgres::PgOrigin;
use tierstack_postgres::deadpool_postgres::Pool;
use tierstack_postgres::transactions::{Mode, Outcome, TransactionSettings, Transactions};

use crate::rig::{Rig, patient};

const FILMS: i32 = 4;
const WRITES: i64 = 150;

fn node(rig: &Rig) -> Cache<Film> {
    let films = rig.shop().build().unwrap().cache::<Film>().l1(L1::capacity(100)).settings(patient());
    films.origin(PgOrigin::new(rig.pool.clone())).build().unwrap()
}

async fn version(films: &Cache<Film>, id: i32) -> i64 {
    let answers = films.lookup(Lookup::one(id).skip_l1()).await.unwrap();
    let (_, outcome) = answers.into_iter().next().unwrap();
    outcome.unwrap().unwrap().entry.into_present().unwrap().version
}

/// Raises the version of a film, and notes the one that was acknowledged.
async fn write(transactions: &Transactions, pool: &Pool, id: i32, acknowledged: &[AtomicI64]) {
    let mut client = pool.get().await.unwrap();
    let mut tx = transactions.begin(&mut client).await.unwrap();
    let raise = "UPDATE film SET version = version + 1 WHERE film_id = $1 RETURNING version";
    let version: i64 = tx.query_one(raise, &[&id]).await.unwrap().get(0);
    tx.touch::<Film>([id]).unwrap();
    tx.commit().await.unwrap();
    acknowledged[id as usize].fetch_max(version, Ordering::SeqCst);
}

/// Proves that nodes which read past L1 never see an older row than one that was acknowledged before they asked, nor one
/// that goes back, while two other nodes write the same rows; in either mode.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_from_l2_is_older_than_an_acknowledged_write() {
    for mode in [Mode::Strict, Mode::Fast] {
        bounded(async {
            let rig = Arc::new(Rig::new());
            rig.insert(&(0..FILMS).map(film).collect::<Vec<_>>()).await;
            let acknowledged: Arc<Vec<AtomicI64>> = Arc::new((0..FILMS).map(|_| AtomicI64::new(0)).collect());
            let over = Arc::new(AtomicBool::new(false));
            let mut readers = Vec::new();
            for _ in 0..3 {
                let (films, acknowledged, over) = (node(&rig), acknowledged.clone(), over.clone());
                readers.push(tokio::spawn(async move {
                    let mut last = vec![0; FILMS as usize];
                    while !over.load(Ordering::Relaxed) {
                        for id in 0..FILMS {
                            let least = acknowledged[id as usize].load(Ordering::SeqCst);
                            let seen = version(&films, id).await;
                            assert!(seen >= least, "film {id}: {seen}, and {least} was acknowledged");
                            assert!(mode == Mode::Fast || seen >= last[id as usize], "film {id} went back");
                            last[id as usize] = seen;
                        }
                    }
                    films.stats()
                }));
            }
            let writers = (0..2).map(|_| {
                let mut settings = TransactionSettings::default();
                settings.mode = mode;
                let shop = rig.shop().build().unwrap();
                let transactions = Transactions::new(&shop, settings).unwrap();
                let (pool, acknowledged) = (rig.pool.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    for n in 0..WRITES {
                        write(&transactions, &pool, (n % i64::from(FILMS)) as i32, &acknowledged).await;
                    }
                    assert_eq!(transactions.stats().committed, WRITES as u64);
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                writer.await.unwrap();
            }
            over.store(true, Ordering::Relaxed);
            for reader in readers {
                let stats = reader.await.unwrap();
                println!("{mode:?}: {} keys read, {} loads", stats.keys(), stats.loads);
            }
            let total: i64 = acknowledged.iter().map(|version| version.load(Ordering::SeqCst)).sum();
            assert_eq!(total, 2 * WRITES);
        })
        .await;
    }
}

/// Proves that a strict transaction meets a Redis that hangs with a rollback, or commits as a fast one; and that what it wrote
/// is told to the Redis when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_met_before_commit() {
    bounded(async {
        let rig = Rig::new();
        rig.insert(&[film(1)]).await;
        let films = node(&rig);
        assert_eq!(version(&films, 1).await, 0);
        let shop = rig.shop().build().unwrap();
        let strict = Transactions::new(&shop, TransactionSettings::default()).unwrap();
        let mut settings = TransactionSettings::default();
        settings.without_l2 = WithoutL2::Write;
        let downgrading = Transactions::new(&shop, settings).unwrap();
        rig.redis.stop().unwrap();
        for (transactions, commits) in [(&strict, false), (&downgrading, true)] {
            let mut client = rig.pool.get().await.unwrap();
            let mut tx = transactions.begin(&mut client).await.unwrap();
            tx.execute("UPDATE film SET version = version + 1", &[]).await.unwrap();
            tx.touch_all::<Film>().unwrap();
            match tx.commit().await {
                Err(error) => assert_eq!((error.outcome(), commits), (Outcome::RolledBack, false)),
                Ok(written) => assert!(commits && written.downgraded && written.undelivered.is_some()),
            }
        }
        rig.redis.cont().unwrap();
        while version(&films, 1).await == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(version(&films, 1).await, 1);
    })
    .await;
}
