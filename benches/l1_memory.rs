//! Row 10 and the second half of row 1: bytes per L1 entry, and allocations per hit, by a counting allocator.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use benches::Pair;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tierstack_core::{Cache, Entity, L1, Namespace, Schema, origin_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A row of nothing but its key, so that what is left is what the cache itself takes.
#[derive(Clone, Serialize, Deserialize)]
struct Bare {
    id: i64,
}

impl Entity for Bare {
    type Pk = i64;

    fn schema() -> Schema {
        Schema::table("bare").pk(["id"]).columns(["id"])
    }

    fn pk(&self) -> i64 {
        self.id
    }
}

const ENTRIES: i64 = 100_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");

    let moka: moka::sync::Cache<i64, Arc<Bare>> =
        moka::sync::Cache::builder().max_capacity(200_000).time_to_live(Duration::from_secs(3_600)).build();
    let region = Region::new(ALLOCATOR);
    for id in 0..ENTRIES {
        moka.insert(id, Arc::new(Bare { id }));
    }
    moka.run_pending_tasks();
    let floor = in_use(&region);

    let shop = Namespace::builder("shop").build().expect("the name is plain");
    let origin = origin_fn(|keys: Vec<i64>| async move {
        Ok::<_, std::io::Error>(keys.into_iter().map(|id| (id, Bare { id })).collect())
    });
    let rows: Cache<Bare> = shop
        .cache()
        .l1(L1::capacity(200_000))
        .origin(origin)
        .build()
        .expect("the settings are the default ones");
    let region = Region::new(ALLOCATOR);
    runtime.block_on(rows.objects_by_pks(0..ENTRIES)).expect("the origin has every row");
    assert_eq!(rows.l1_len(), ENTRIES as u64);
    let ours = in_use(&region);
    // Key and row are the same on both sides: 8 bytes of key, 8 of row, 16 of reference counts.
    let beyond = |bytes: i64| (bytes as f64 / ENTRIES as f64) - 32.0;
    Pair {
        bench: "l1_memory",
        row: 10,
        what: "bytes per L1 entry beyond key and row",
        floor: "moka, TTL, Arc",
        limit: Some(1.2),
    }
    .count(beyond(floor), beyond(ours));

    let allocations = |work: &mut dyn FnMut(i64)| {
        let region = Region::new(ALLOCATOR);
        (0..ENTRIES).for_each(&mut *work);
        region.change().allocations as f64 / ENTRIES as f64
    };
    // moka's own: it notes reads in segments of a queue. One is added on both sides so that a ratio of zeros exists.
    let floor = allocations(&mut |id| drop(moka.get(&(id & 63))));
    let ours = allocations(&mut |id| drop(rows.get(id & 63).now_or_never()));
    println!("allocations per hit: moka {floor:.4}, ours {ours:.4}");
    Pair {
        bench: "l1_memory",
        row: 1,
        what: "1 + allocations per L1 hit",
        floor: "moka get, TTL",
        limit: Some(1.01),
    }
    .count(1.0 + floor, 1.0 + ours);
}

fn in_use(region: &Region<'_, System>) -> i64 {
    let change = region.change();
    change.bytes_allocated as i64 - change.bytes_deallocated as i64
}
