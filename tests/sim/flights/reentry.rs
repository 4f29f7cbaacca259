//! Loaders that ask caches: for other keys as they like, for their own never, and no hang.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryFutureExt;
use tests::{Film, film};
use tierstack_core::{BoxFuture, Cache, Error, ErrorKind, L1, Lookup, Namespace, Origin, loader_fn};
use tokio::time::Instant;

use crate::shop;

use super::rig::{Found, Rig, Shape, ask, in_every_stack, is_after, kind, look, pass, row};

/// What the load of a key does first, with the caches there are by name.
pub(super) type Asks = fn(Arc<Caches>) -> BoxFuture<'static, Result<(), Error>>;

/// How the caches' origins are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum By {
    /// For a batch, which fails if what is asked first for one of its keys does.
    #[default]
    Batch,
    /// For each key.
    Each,
}

/// Caches whose loaders ask them, and what each load of a key asks.
#[derive(Default)]
pub(super) struct Caches {
    films: Mutex<HashMap<&'static str, Cache<Film>>>,
    asks: Mutex<HashMap<(&'static str, i32), Asks>>,
    /// What the loaders were told.
    pub(super) told: Mutex<Vec<Found>>,
    loads: AtomicUsize,
}

/// More loads than any test needs: a circle that nobody sees must end as a failure.
const MOST_LOADS: usize = 50;

impl Caches {
    /// Caches `a` and `b`, over the tiers of a rig.
    pub(super) fn new(rig: &Rig, asks: impl IntoIterator<Item = ((&'static str, i32), Asks)>) -> Arc<Self> {
        Caches::by(By::Batch, rig, asks)
    }

    pub(super) fn by(
        by: By,
        rig: &Rig,
        asks: impl IntoIterator<Item = ((&'static str, i32), Asks)>,
    ) -> Arc<Self> {
        let caches = Arc::new(Caches { asks: Mutex::new(asks.into_iter().collect()), ..Caches::default() });
        for name in ["a", "b"] {
            let shared = Arc::clone(&caches);
            let load = move |keys: Vec<i32>| {
                let shared = Arc::clone(&shared);
                async move {
                    if shared.loads.fetch_add(1, Ordering::SeqCst) >= MOST_LOADS {
                        return Err(Error::new(ErrorKind::Origin, "scripted: loads in a circle"));
                    }
                    for key in &keys {
                        let asks = shared.asks.lock().unwrap().get(&(name, *key)).copied();
                        if let Some(asks) = asks {
                            asks(Arc::clone(&shared)).await?;
                        }
                    }
                    Ok::<Vec<_>, Error>(keys.into_iter().map(|key| (key, film(key))).collect())
                }
            };
            let mut node = Namespace::builder(name).clock(rig.manual.clock());
            if rig.shape != Shape::NoL2 {
                node = node.l2_shared(rig.tier.clone());
            }
            let origin = match by {
                By::Batch => Origin::new(loader_fn(load)),
                By::Each => {
                    let one =
                        move |key| load(vec![key]).map_ok(|rows: Vec<(i32, Film)>| Some(rows[0].1.clone()));
                    Origin::each(tower::service_fn(one), 8).unwrap()
                }
            };
            let mut films = node.build().unwrap().cache().origin(origin);
            if rig.shape != Shape::NoL1 {
                films = films.l1(L1::capacity(100));
            }
            caches.films.lock().unwrap().insert(name, films.settings(rig.settings.clone()).build().unwrap());
        }
        caches
    }

    pub(super) fn films(&self, name: &str) -> Cache<Film> {
        self.films.lock().unwrap()[name].clone()
    }

    /// `get`, of which a note is taken.
    pub(super) async fn get(&self, name: &str, key: i32) -> Found {
        let found = self.films(name).get(key).await;
        self.told.lock().unwrap().push(found.clone());
        found
    }

    /// Loaders ask nothing from now on, and key 1 is loaded by `a` as any other.
    pub(super) async fn works_again(&self) {
        self.asks.lock().unwrap().clear();
        for name in ["a", "b"] {
            let began = Instant::now();
            assert_eq!(row(ask(&self.films(name), 1)).await.film_id, 1);
            is_after(began, 0);
        }
        // The loaders hold the caches, and these the loaders.
        self.films.lock().unwrap().clear();
    }
}

/// A loader that asks its cache for the key that it is loading is told at once that this can't be, and so is whoever asked
/// it, if it passes that on.
#[test]
fn a_loader_that_asks_for_its_own_key_is_told_at_once() {
    in_every_stack(async |rig| {
        let own: Asks = |caches| Box::pin(async move { caches.get("a", 1).await.map(drop) });
        let caches = Caches::new(&rig, [(("a", 1), own)]);
        let began = Instant::now();
        assert_eq!(kind(ask(&caches.films("a"), 1)).await, ErrorKind::Loader);
        is_after(began, 0);
        assert_eq!(caches.told.lock().unwrap()[0].as_ref().unwrap_err().kind(), ErrorKind::Loader);
        caches.works_again().await;
    });
}

/// One that doesn't pass it on goes on; in a batch only its own key fails.
#[test]
fn a_loader_may_do_without_its_own_key() {
    in_every_stack(async |rig| {
        let own: Asks = |caches| {
            Box::pin(async move {
                let failed = caches.films("a").objects_by_pks([1, 2]).await.unwrap_err();
                caches.told.lock().unwrap().extend(failed.into_outcomes());
                Ok(())
            })
        };
        let caches = Caches::new(&rig, [(("a", 1), own)]);
        let began = Instant::now();
        assert_eq!(row(ask(&caches.films("a"), 1)).await.film_id, 1);
        is_after(began, 0);
        {
            let told = caches.told.lock().unwrap();
            assert_eq!(told[0].as_ref().unwrap_err().kind(), ErrorKind::Loader);
            assert_eq!(told[1].as_ref().unwrap().as_ref().unwrap().film_id, 2);
        }
        caches.works_again().await;
    });
}

/// Loads that ask each other in a circle, over two caches or over two keys of one, are told at once.
#[test]
fn loads_in_a_circle_are_told_at_once() {
    let b_1: Asks = |caches| Box::pin(async move { caches.get("b", 1).await.map(drop) });
    let a_1: Asks = |caches| Box::pin(async move { caches.get("a", 1).await.map(drop) });
    let a_2: Asks = |caches| Box::pin(async move { caches.get("a", 2).await.map(drop) });
    for circle in [[(("a", 1), b_1), (("b", 1), a_1)], [(("a", 1), a_2), (("a", 2), a_1)]] {
        in_every_stack(async |rig| {
            let caches = Caches::new(&rig, circle);
            let began = Instant::now();
            assert_eq!(kind(ask(&caches.films("a"), 1)).await, ErrorKind::Loader);
            is_after(began, 0);
            caches.works_again().await;
        });
    }
}

/// A loader that asks for its own key in a task of its own can't be told from a stranger: it gets an error by its deadline,
/// and nothing hangs.
#[test]
fn a_loader_that_asks_in_another_task_ends_by_the_deadline() {
    in_every_stack(async |rig| {
        let spawned: Asks = |caches| {
            Box::pin(
                async move { tokio::spawn(async move { caches.get("a", 1).await.map(drop) }).await.unwrap() },
            )
        };
        let caches = Caches::new(&rig, [(("a", 1), spawned)]);
        let began = Instant::now();
        ask(&caches.films("a"), 1).await.unwrap().unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(caches.told.lock().unwrap().iter().all(Result::is_err));
        caches.works_again().await;
    });
}

/// Two loads that wait for each other, each begun by a caller of its own, end by the deadline too.
#[test]
fn loads_that_cross_end_by_the_deadline() {
    in_every_stack(async |rig| {
        let b_1: Asks = |caches| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                caches.get("b", 1).await.map(drop)
            })
        };
        let a_1: Asks = |caches| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                caches.get("a", 1).await.map(drop)
            })
        };
        let caches = Caches::new(&rig, [(("a", 1), b_1), (("b", 1), a_1)]);
        let began = Instant::now();
        let (one, other) = (ask(&caches.films("a"), 1), ask(&caches.films("b"), 1));
        one.await.unwrap().unwrap_err();
        other.await.unwrap().unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(10)).await;
        caches.works_again().await;
    });
}

/// A loader that asks for another key, of its cache or of another one, is answered: also if several do at once.
#[test]
fn a_loader_may_ask_for_other_keys() {
    in_every_stack(async |rig| {
        let others: Asks = |caches| {
            Box::pin(async move {
                caches.get("a", 5).await?;
                caches.get("b", 1).await.map(drop)
            })
        };
        let caches = Caches::new(&rig, [1, 2, 3].map(|key| (("a", key), others)));
        let began = Instant::now();
        let asked = [1, 2, 3].map(|key| ask(&caches.films("a"), key));
        for found in asked {
            row(found).await;
        }
        is_after(began, 0);
        caches.works_again().await;
    });
}

/// So is one whose lookup nobody joins: a lookup past L2, or one that an invalidation has detached; by whichever lookup it asks.
#[test]
fn a_loader_that_asks_for_its_own_key_in_a_lookup_of_its_own_is_told_at_once() {
    let past: Asks = |caches| {
        Box::pin(async move { shop::look(&caches.films("a"), Lookup::one(1).skip_l2()).await.map(drop) })
    };
    let plainly: Asks = |caches| Box::pin(async move { caches.get("a", 1).await.map(drop) });
    let after_a_write: Asks = |caches| {
        Box::pin(async move {
            caches.films("a").invalidate([1]).await?;
            caches.get("a", 1).await.map(drop)
        })
    };
    let past_after_a_write: Asks = |caches| {
        Box::pin(async move {
            caches.films("a").invalidate_all().await?;
            shop::look(&caches.films("a"), Lookup::one(1).skip_l2()).await.map(drop)
        })
    };
    for (past_l2, asks) in [
        (true, past),
        (true, plainly),
        (true, after_a_write),
        (false, after_a_write),
        (false, past_after_a_write),
    ] {
        in_every_stack(async |rig| {
            let caches = Caches::new(&rig, [(("a", 1), asks)]);
            let lookup = if past_l2 { Lookup::one(1).skip_l2() } else { Lookup::one(1) };
            let began = Instant::now();
            let told = look(&caches.films("a"), lookup).await.unwrap().unwrap_err();
            assert_eq!(told.kind(), ErrorKind::Loader, "{told}");
            is_after(began, 0);
            assert_eq!(caches.films("a").stats().loads, 1);
            caches.works_again().await;
        });
    }
}

/// In a task of its own, past L2, it isn't even a follower of the load that it is part of: each of its loads asks for one more.
/// They end, as so many loads under way are the most there may be.
#[test]
fn a_loader_that_asks_past_l2_in_another_task_ends_by_the_deadline() {
    in_every_stack(async |rig| {
        let past: Asks = |caches| {
            Box::pin(
                async move { look(&caches.films("a"), Lookup::one(1).skip_l2()).await.unwrap().map(drop) },
            )
        };
        let caches = Caches::new(&rig, [(("a", 1), past)]);
        let began = Instant::now();
        look(&caches.films("a"), Lookup::one(1).skip_l2()).await.unwrap().unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(caches.films("a").stats().loads <= 16);
        pass(10_000).await;
        caches.works_again().await;
    });
}
