//! A cache of films over an origin that counts, for the tests of the glue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tierstack_core::{Bound, Cache, Entity, L1, MemoryTier, Namespace, Query, Schema, loader_fn, origin_fn};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Film {
    pub(crate) film_id: i32,
    pub(crate) edition: usize,
}

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "edition"])
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

pub(crate) struct Shop {
    pub(crate) tier: Arc<MemoryTier>,
    pub(crate) namespace: Namespace,
    pub(crate) films: Cache<Film>,
    pub(crate) loads: Arc<AtomicUsize>,
}

impl Shop {
    /// Films up to 99; each load brings another edition. The list has films 3 and 1.
    pub(crate) fn open() -> Shop {
        let tier = Arc::new(MemoryTier::new(1_000));
        let namespace = Namespace::builder("shop").l2_shared(tier.clone()).build().unwrap();
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = loads.clone();
        let origin = origin_fn(move |keys: Vec<i32>| {
            let edition = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if keys.contains(&-1) {
                    return Err(std::io::Error::other("the origin's secret"));
                }
                let rows = keys.into_iter().filter(|id| *id < 100);
                Ok(rows.map(|film_id| (film_id, Film { film_id, edition })).collect())
            }
        });
        let index = loader_fn(|queries: Vec<Bound<Film>>| async move {
            Ok::<_, std::io::Error>(queries.into_iter().map(|query| (query, vec![3, 1])).collect())
        });
        let films =
            namespace.cache().l1(L1::capacity(100)).origin(origin.with_queries(index)).build().unwrap();
        Shop { tier, namespace, films, loads }
    }

    pub(crate) fn list(&self) -> Bound<Film> {
        Query::<Film>::list("all").param::<i32>("any").build().unwrap().bind((1,))
    }
}
