//! Loads that gather behind one that is under way.

use std::time::Duration;

use tests::crowd::{Crowd, bounded};
use tests::{Film, film};
use tierstack_core::{Cache, L1};
use tierstack_postgres::PgOrigin;

use crate::rig::{Rig, patient, warm};
use crate::stampede::Costs;

const CALLERS: i32 = 20;

/// Callers that come one after another, each with a read and a lease of its own: while the first one's statement is held up in
/// Postgres, the others' loads become one.
#[tokio::test(flavor = "multi_thread")]
async fn loads_that_wait_for_one_under_way_become_one() {
    bounded(async {
        let rig = Rig::new();
        let rows: Vec<Film> = (0..CALLERS).map(film).collect();
        rig.insert(&rows).await;
        let mut settings = patient();
        settings.loads_in_flight = 1;
        let shop = rig.shop().build().unwrap();
        let films = shop.cache().l1(L1::capacity(1_000)).origin(PgOrigin::new(rig.pool.clone()));
        let films: Cache<Film> = films.settings(settings).build().unwrap();
        let films = warm(films).await;
        let mut costs = Costs::of(&rig);

        let holder = rig.pool.get().await.unwrap();
        holder.batch_execute("BEGIN; LOCK TABLE film IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let first = rig.calls("evalsha");
        let mut callers = Vec::new();
        for (key, leases) in (0..CALLERS).zip(1..) {
            callers.push(Crowd::ask(&films, [key]));
            for _ in 0..1_000 {
                if rig.calls("evalsha") == first + leases {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        holder.batch_execute("COMMIT").await.unwrap();
        for (key, caller) in (0..CALLERS).zip(callers) {
            assert_eq!(*caller.rows().await[0], film(key));
        }
        let Costs { mgets, scripts, selects, rows, .. } = costs.since(&rig);
        let callers = CALLERS as u64;
        assert_eq!((mgets, scripts), (callers, 2 * callers), "each has read, leased and filled on its own");
        assert_eq!((selects, rows), (2, callers), "one for the first, one for the rest");
    })
    .await;
}
