//! Ten thousand callers at once, by the servers' own statistics.

use std::sync::Arc;

use tests::crowd::{Crowd, bounded};
use tests::{Film, film};
use tierstack_core::{Cache, L1};
use tierstack_postgres::PgOrigin;

use crate::rig::{Rig, patient, warm};

pub(crate) const CALLERS: i32 = 10_000;
const KEYS: i32 = 1_000;

/// A node that has asked once, and hears.
pub(crate) async fn warm_node(rig: &Rig) -> Cache<Film> {
    let shop = rig.shop().build().unwrap();
    let films = shop.cache().l1(L1::capacity(200_000)).origin(PgOrigin::new(rig.pool.clone()));
    warm(films.settings(patient()).build().unwrap()).await
}

/// What the servers did, by their own statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Costs {
    pub(crate) mgets: u64,
    /// Looks at the clock: one with each MGET, one in each script call.
    pub(crate) times: u64,
    /// Script calls, and those with the script's text.
    pub(crate) scripts: u64,
    pub(crate) texts: u64,
    pub(crate) selects: u64,
    pub(crate) rows: u64,
}

/// One MGET, one lease and one fill, one statement; each of the three requests asks for the clock, and the lease twice: beside
/// the plain command for the vacant key, a script judges what that rests on.
const ONCE: Costs = Costs { mgets: 1, times: 4, scripts: 2, texts: 0, selects: 1, rows: 1 };

impl Costs {
    pub(crate) fn of(rig: &Rig) -> Self {
        let [mgets, times, scripts, texts] =
            ["mget", "time", "evalsha", "eval"].map(|command| rig.calls(command));
        Costs { mgets, times, scripts, texts, selects: rig.statements(), rows: rig.rows() }
    }

    /// Those since the last look.
    pub(crate) fn since(&mut self, rig: &Rig) -> Self {
        let now = Costs::of(rig);
        let before = std::mem::replace(self, now);
        Costs {
            mgets: now.mgets - before.mgets,
            times: now.times - before.times,
            scripts: now.scripts - before.scripts,
            texts: now.texts - before.texts,
            selects: now.selects - before.selects,
            rows: now.rows - before.rows,
        }
    }
}

/// Asks in a crowd; Redis answers when all have asked.
pub(crate) async fn ask_while_held(
    rig: &Rig,
    films: &Cache<Film>,
    keys: impl IntoIterator<Item = i32>,
) -> Crowd {
    rig.redis.stop().unwrap();
    let crowd = Crowd::ask(films, keys);
    crowd.has_asked().await;
    rig.redis.cont().unwrap();
    crowd
}

async fn insert(rig: &Rig, keys: i32) {
    let rows: Vec<Film> = (0..keys).map(film).collect();
    rig.insert(&rows).await;
}

/// Ten thousand callers of one cold key cost one MGET, one lease, one statement and one fill; all are given the same row, and
/// all but one have followed. Ten rounds, each with a key of its own.
#[tokio::test(flavor = "multi_thread")]
async fn one_cold_key_is_asked_of_each_server_once() {
    bounded(async {
        let rig = Rig::new();
        insert(&rig, 10).await;
        let films = warm_node(&rig).await;
        let mut costs = Costs::of(&rig);
        let mut before = films.stats();
        for key in 0..10 {
            let rows = ask_while_held(&rig, &films, (0..CALLERS).map(|_| key)).await.rows().await;
            assert_eq!(*rows[0], film(key));
            assert!(rows.iter().all(|row| Arc::ptr_eq(row, &rows[0])));
            assert_eq!(costs.since(&rig), ONCE);
            let now = films.stats();
            assert_eq!(now.keys() - before.keys(), CALLERS as u64);
            assert_eq!(now.origin.fresh - before.origin.fresh, CALLERS as u64);
            assert_eq!(now.followed - before.followed, CALLERS as u64 - 1);
            assert_eq!(now.loads - before.loads, 1);
            before = now;
        }
        let stats = films.stats();
        assert_eq!((stats.errors, stats.abandoned, stats.bypasses), (0, 0, 0));
    })
    .await;
}

/// So when nothing holds the servers, and most ask while or after the load ends.
#[tokio::test(flavor = "multi_thread")]
async fn one_cold_key_is_asked_of_each_server_once_whenever_it_is_asked() {
    bounded(async {
        let rig = Rig::new();
        insert(&rig, 10).await;
        let films = warm_node(&rig).await;
        let mut costs = Costs::of(&rig);
        let mut before = films.stats();
        for key in 0..10 {
            let rows = Crowd::ask(&films, (0..CALLERS).map(|_| key)).rows().await;
            assert_eq!(*rows[0], film(key));
            assert!(rows.iter().all(|row| Arc::ptr_eq(row, &rows[0])));
            assert_eq!(costs.since(&rig), ONCE);
            let now = films.stats();
            let [l1, origin] = [now.l1.fresh - before.l1.fresh, now.origin.fresh - before.origin.fresh];
            assert_eq!(l1 + origin, CALLERS as u64);
            assert_eq!(now.followed - before.followed + 1, origin);
            before = now;
        }
    })
    .await;
}

/// Ten thousand callers over a thousand cold keys: each row is read once. With the servers held until all have asked, that
/// takes at most six round trips each; in any case a tenth of what the keys would take alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cold_keys_share_few_requests() {
    bounded(async {
        let rig = Rig::new();
        insert(&rig, 2 * KEYS).await;
        let films = warm_node(&rig).await;
        let mut costs = Costs::of(&rig);
        let told = films.stats().keys();
        let rows = ask_while_held(&rig, &films, (0..CALLERS).map(|n| n % KEYS)).await.rows().await;
        for (n, row) in (0..CALLERS).zip(&rows) {
            assert_eq!(row.film_id, n % KEYS);
            assert!(Arc::ptr_eq(row, &rows[(n % KEYS) as usize]));
        }
        let cost = costs.since(&rig);
        println!("held: {cost:?}");
        assert_eq!(cost.rows, KEYS as u64);
        assert!(cost.mgets <= 6 && cost.selects <= 6, "{cost:?}");

        let rows = Crowd::ask(&films, (0..CALLERS).map(|n| KEYS + n % KEYS)).rows().await;
        assert!((0..CALLERS).zip(&rows).all(|(n, row)| row.film_id == KEYS + n % KEYS));
        let cost = costs.since(&rig);
        println!("free: {cost:?}");
        assert_eq!(cost.rows, KEYS as u64);
        assert!(cost.mgets <= 100 && cost.selects <= 100, "{cost:?}");
        assert_eq!(films.stats().keys() - told, 2 * CALLERS as u64);
    })
    .await;
}

/// The same with keys that have no row: asked once, and known to be absent from then on.
#[tokio::test(flavor = "multi_thread")]
async fn absent_keys_are_asked_once() {
    bounded(async {
        let rig = Rig::new();
        let films = warm_node(&rig).await;
        let told = films.stats().keys();
        let mut costs = Costs::of(&rig);
        let one = ask_while_held(&rig, &films, (0..CALLERS).map(|_| 7)).await;
        assert!(one.found().await.into_iter().all(|found| found.unwrap().is_none()));
        assert_eq!(costs.since(&rig), Costs { rows: 0, ..ONCE });

        let many = ask_while_held(&rig, &films, (0..CALLERS).map(|n| KEYS + n % KEYS)).await;
        assert!(many.found().await.into_iter().all(|found| found.unwrap().is_none()));
        let cost = costs.since(&rig);
        println!("{cost:?}");
        assert!(cost.mgets <= 6 && cost.selects <= 6, "{cost:?}");

        let again = Crowd::ask(&films, (0..CALLERS).map(|n| KEYS + n % KEYS));
        assert!(again.found().await.into_iter().all(|found| found.unwrap().is_none()));
        assert_eq!(costs.since(&rig), Costs::default());
        assert_eq!(films.stats().keys() - told, 3 * CALLERS as u64);
    })
    .await;
}

/// Without an L2, nothing stands between two flights of a key but L1: who missed there before the first has ended must not
/// load again.
#[tokio::test(flavor = "multi_thread")]
async fn without_l2_a_key_is_loaded_once_whenever_it_is_asked() {
    bounded(async {
        let rig = Rig::new();
        insert(&rig, 20).await;
        let films = Cache::<Film>::builder("shop").unwrap().l1(L1::capacity(200_000));
        let films = films.origin(PgOrigin::new(rig.pool.clone())).build().unwrap();
        films.get(-1).await.unwrap();
        for key in 0..20 {
            let rows = Crowd::ask(&films, (0..CALLERS).map(|_| key)).rows().await;
            assert!(rows.iter().all(|row| Arc::ptr_eq(row, &rows[0])), "key {key}");
        }
        assert_eq!((rig.rows(), films.stats().loads), (20, 21));
    })
    .await;
}
