//! Rows that hold for one caller only, of a standby or of a transaction: nobody else is told them, whoever joined.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{BoxFuture, Cache, Error, L1, Loaded, Loader, Lookup, Namespace, Origin, Settings};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::shop::{Shop, look, settle};

/// Each load has a version of its own, which is for its caller only, but for even keys.
struct Mine(Arc<AtomicI64>);

impl Loader<i32, Film> for Mine {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        let version = self.0.fetch_add(1, Ordering::SeqCst);
        let rows = keys.iter().map(|key| (*key, Film { version, ..film(*key) })).collect();
        let shared = keys.iter().all(|key| key % 2 == 0);
        Box::pin(async move {
            sleep(Duration::from_millis(50)).await;
            Ok(Loaded::rows(rows).shared(shared))
        })
    }
}

fn films(shop: &Shop, with_l2: bool, settings: Settings) -> (Cache<Film>, Arc<AtomicI64>) {
    let loads = Arc::new(AtomicI64::new(0));
    let node = if with_l2 { shop.node() } else { Namespace::builder("shop").build().unwrap() };
    let cache = node.cache().l1(L1::capacity(100)).origin(Origin::new(Mine(Arc::clone(&loads))));
    (cache.settings(settings).build().unwrap(), loads)
}

fn ask(films: &Cache<Film>, lookup: Lookup<i32>) -> JoinHandle<i64> {
    let films = films.clone();
    tokio::spawn(async move {
        let answer = look(&films, lookup).await.unwrap().unwrap();
        answer.entry.into_present().unwrap().version
    })
}

/// Each of those who asked at the same time loads for himself, however he asked.
#[tokio::test(start_paused = true)]
async fn a_follower_is_not_told_what_holds_for_the_leader_only() {
    for with_l2 in [true, false] {
        let shop = Shop::new(0);
        let (films, _) = films(&shop, with_l2, Settings::default());
        let lookups = [Lookup::one(1), Lookup::one(1), Lookup::batch([1]), Lookup::one(1).refresh()];
        let mut asked: Vec<_> = lookups
            .into_iter()
            .chain([Lookup::one(1).skip_l2(), Lookup::one(1).skip_l2()])
            .map(|one| ask(&films, one))
            .collect();
        settle().await;
        asked.push(ask(&films, Lookup::one(1)));
        let count = asked.len();
        let mut told = HashSet::new();
        for asked in asked {
            told.insert(asked.await.unwrap());
        }
        assert_eq!(told.len(), count, "with L2: {with_l2}");
    }
}

/// Others still share what holds for everybody, in the same batches.
#[tokio::test(start_paused = true)]
async fn what_holds_for_everybody_is_shared() {
    let shop = Shop::new(0);
    let (films, loads) = films(&shop, true, Settings::default());
    let asked: Vec<_> = (0..10).map(|_| ask(&films, Lookup::one(2))).collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 0);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

/// Two lookups of a key that led each a flight of its own, as the key was invalidated in between, and whose loads became one.
#[tokio::test(start_paused = true)]
async fn merged_loads_share_nothing_that_holds_for_one_only() {
    let shop = Shop::new(0);
    let mut settings = Settings::default();
    settings.loads_in_flight = 1;
    let (films, _) = films(&shop, true, settings);
    let other = ask(&films, Lookup::one(2));
    settle().await;
    let first = ask(&films, Lookup::one(1));
    settle().await;
    films.invalidate([1]).await.unwrap();
    let second = ask(&films, Lookup::one(1));
    assert_eq!(other.await.unwrap(), 0);
    assert_ne!(first.await.unwrap(), second.await.unwrap());
}
