//! What a batch costs, by the servers' own statistics: one MGET and one statement for whatever L1 lacks.

use tests::{Film, film};
use tierstack_core::{Cache, L1, Query};
use tierstack_postgres::PgOrigin;

use crate::rig::{Rig, patient, warm};

async fn node(rig: &Rig) -> Cache<Film> {
    let films = rig.shop().build().unwrap().cache().l1(L1::capacity(200_000));
    warm(films.origin(PgOrigin::new(rig.pool.clone())).settings(patient()).build().unwrap()).await
}

/// Requests to Redis and Postgres since the last look: (MGET, script calls, statements).
struct Costs<'a> {
    rig: &'a Rig,
    seen: (u64, u64, u64),
}

impl Costs<'_> {
    fn since(&mut self) -> (u64, u64, u64) {
        let scripts = self.rig.calls("evalsha") + self.rig.calls("eval");
        let now = (self.rig.calls("mget"), scripts, self.rig.statements());
        let before = std::mem::replace(&mut self.seen, now);
        (now.0 - before.0, now.1 - before.1, now.2 - before.2)
    }
}

/// Cold: one MGET, one lease, one statement, one fill. Warm in L2: one MGET. Warm in L1: nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_costs_one_mget_and_one_statement() {
    let rig = Rig::new();
    let films: Vec<Film> = (0..100).map(film).collect();
    rig.insert(&films).await;
    let (a, b) = (node(&rig).await, node(&rig).await);
    let mut costs = Costs { rig: &rig, seen: (0, 0, 0) };
    costs.since();

    let asked: Vec<i32> = (0..120).chain([3, 3]).collect();
    let expected: Vec<Option<Film>> = asked.iter().map(|key| films.get(*key as usize).cloned()).collect();
    let rows = |found: Vec<Option<std::sync::Arc<Film>>>| -> Vec<Option<Film>> {
        found.into_iter().map(|row| row.map(|row| Film::clone(&row))).collect()
    };
    assert_eq!(rows(a.objects_by_pks(&asked).await.unwrap()), expected);
    assert_eq!(costs.since(), (1, 2, 1), "cold: (MGET, lease and fill, SELECT)");
    assert_eq!(rows(a.objects_by_pks(&asked).await.unwrap()), expected);
    assert_eq!(costs.since(), (0, 0, 0), "in L1, absent rows among them");
    assert_eq!(rows(b.objects_by_pks(&asked).await.unwrap()), expected);
    assert_eq!(costs.since(), (1, 0, 0), "in L2, absent rows among them");
}

/// 100,000 keys are split by `max_batch`: as many reads and statements as parts, and every row in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_keys_are_split_by_the_settings() {
    let rig = Rig::new();
    let client = rig.pool.get().await.unwrap();
    let fill = "INSERT INTO film SELECT n, 'Film ' || n, 'PG', 0 FROM generate_series(0, 99999, 2) n";
    client.batch_execute(fill).await.unwrap();
    let films = node(&rig).await;
    let mut costs = Costs { rig: &rig, seen: (0, 0, 0) };
    costs.since();
    let found = films.objects_by_pks(0..100_000).await.unwrap();
    assert_eq!(found.len(), 100_000);
    for (key, row) in (0..).zip(&found) {
        assert_eq!(row.as_ref().map(|row| row.film_id), (key % 2 == 0).then_some(key));
    }
    let (mgets, _, statements) = costs.since();
    assert_eq!((mgets, statements), (100, 100), "one each for every 1,000 keys");
}

/// A list is one statement for its keys and one for its rows; a secondary key likewise, whatever the number of values.
#[tokio::test(flavor = "multi_thread")]
async fn lists_and_secondary_keys_cost_two_statements() {
    let rig = Rig::new();
    let films: Vec<Film> = (0..50).map(film).collect();
    rig.insert(&films).await;
    let (a, b) = (node(&rig).await, node(&rig).await);
    let mut costs = Costs { rig: &rig, seen: (0, 0, 0) };
    costs.since();

    let by_rating = Query::list("by_rating").param::<String>("rating").order_by("film_id").build().unwrap();
    let asked = by_rating.bind(("PG".to_owned(),));
    assert_eq!(a.list(&asked).await.unwrap().len(), 50);
    assert_eq!(costs.since(), (2, 4, 2), "the list, then its rows");
    assert_eq!(b.list(&asked).await.unwrap().len(), 50);
    assert_eq!(costs.since(), (2, 0, 0), "the same from L2");

    let by_title = Query::one("by_title").param::<String>("title").build().unwrap();
    let titles: Vec<String> = (0..60).map(|key| format!("Film {key}")).collect();
    let found = a.objects_by(&by_title, titles).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 50);
    assert_eq!(costs.since(), (1, 2, 1), "60 titles in one statement; the rows are in L1");
}
