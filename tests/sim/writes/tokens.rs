//! Reading one's own writes on another node, by their tokens.

use std::sync::{Arc, Mutex};

use tests::{Film, film};
use tierstack_core::{
    Bound, BoxFuture, Cache, Error, Freshness, L1, Level, Loaded, Loader, Lookup, Origin, Stamp, WriteToken,
    Xid,
};
use tokio::sync::Semaphore;

use crate::shop::{Shop, look, rated_pg, settle};

/// An origin that says what its rows have seen: transaction `version` wrote version `version` of every film.
#[derive(Clone)]
struct Ledger(Arc<Inner>);

struct Inner {
    version: Mutex<i64>,
    loads: Mutex<usize>,
    /// A load has read when it waits here.
    gate: Semaphore,
}

impl Ledger {
    fn new() -> Self {
        let (version, loads) = (Mutex::new(0), Mutex::new(0));
        Ledger(Arc::new(Inner { version, loads, gate: Semaphore::new(1_000) }))
    }

    /// Writes every film; the write is invisible to the tiers.
    fn write(&self) -> WriteToken {
        let mut version = self.0.version.lock().unwrap();
        *version += 1;
        WriteToken::of([xid(*version)])
    }

    fn loads(&self) -> usize {
        *self.0.loads.lock().unwrap()
    }

    async fn load<T>(&self, rows: impl FnOnce(i64) -> Vec<T>) -> (Vec<T>, Option<Stamp>) {
        *self.0.loads.lock().unwrap() += 1;
        let version = *self.0.version.lock().unwrap();
        let next = version as u64 + 1;
        let (rows, stamp) = (rows(version), Stamp::new(7, 1, next, next, &[]));
        self.0.gate.acquire().await.unwrap().forget();
        (rows, Some(stamp))
    }
}

fn xid(version: i64) -> Xid {
    Xid { system: 7, timeline: 1, id: version as u64 }
}

impl Loader<i32, Film> for Ledger {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        Box::pin(async move {
            let row = |version| keys.iter().map(|key| (*key, Film { version, ..film(*key) })).collect();
            let (rows, stamp) = self.load(row).await;
            Ok(Loaded::rows(rows).stamped(stamp))
        })
    }
}

impl Loader<Bound<Film>, Vec<i32>> for Ledger {
    fn load<'a>(
        &'a self,
        queries: &'a [Bound<Film>],
    ) -> BoxFuture<'a, Result<Loaded<Bound<Film>, Vec<i32>>, Error>> {
        Box::pin(async move {
            // One film more with each write.
            let list = |version| {
                queries.iter().map(|query| (query.clone(), (0..=version as i32).collect())).collect()
            };
            let (rows, stamp) = self.load(list).await;
            Ok(Loaded::rows(rows).stamped(stamp))
        })
    }
}

fn films(shop: &Shop, ledger: &Ledger) -> Cache<Film> {
    let cache = shop.node().cache().l1(L1::capacity(100)).freshness(Freshness::default().jitter(0.0));
    cache.origin(Origin::new(ledger.clone()).with_queries(ledger.clone())).build().unwrap()
}

async fn version(films: &Cache<Film>, lookup: Lookup<i32>) -> (i64, Level) {
    let answer = look(films, lookup).await.unwrap().unwrap();
    (answer.entry.into_present().unwrap().version, answer.source)
}

/// A lookup with a write's token gets no older row, from L1 nor from L2, though nobody invalidated anything; it replaces what
/// L2 held, and one that has seen the write is answered from there.
#[tokio::test(start_paused = true)]
async fn a_lookup_with_a_token_sees_the_write() {
    let (shop, ledger) = (Shop::new(0), Ledger::new());
    let (films, other) = (films(&shop, &ledger), films(&shop, &ledger));
    for films in [&films, &other] {
        assert_eq!(films.get(1).await.unwrap().unwrap().version, 0);
    }
    let token = ledger.write();
    assert_eq!(version(&other, Lookup::one(1)).await, (0, Level::L1), "another reader need not see it");
    assert_eq!(version(&other, Lookup::one(1).skip_l1()).await, (0, Level::L2));
    assert_eq!(version(&other, Lookup::one(1).seen(&token)).await, (1, Level::Origin));
    assert_eq!(version(&films, Lookup::one(1).seen(&token)).await, (1, Level::L2), "L2 has it now");
    assert_eq!(version(&films, Lookup::one(1)).await, (1, Level::L1), "and L1");
    assert_eq!(
        version(&films, Lookup::one(1).seen(&WriteToken::default())).await.1,
        Level::L1,
        "nothing to see"
    );
    assert_eq!(ledger.loads(), 2);
    let both = token.and(&ledger.write());
    assert_eq!(
        version(&films, Lookup::one(1).seen(&both)).await,
        (2, Level::Origin),
        "all of it must be seen"
    );
    let unknown = look(&films, Lookup::one(1).seen(&ledger.write()).never_load()).await.unwrap();
    assert!(unknown.is_none(), "no tier has it, and the origin was excluded");
    assert_eq!(version(&films, Lookup::one(1).seen(&token).seen(&both)).await, (2, Level::L2));
}

/// The handle's own methods do the same: rows, batches and lists.
#[tokio::test(start_paused = true)]
async fn a_handle_that_has_seen_a_write_reads_nothing_older() {
    let (shop, ledger) = (Shop::new(0), Ledger::new());
    let films = films(&shop, &ledger);
    films.objects_by_pks([1, 2]).await.unwrap();
    films.list(&rated_pg()).await.unwrap();
    let reader = films.seen(&ledger.write());
    assert_eq!(films.list(&rated_pg()).await.unwrap().len(), 1, "the list from before the write");
    let listed = reader.list(&rated_pg()).await.unwrap();
    assert_eq!(listed.iter().map(|film| film.version).collect::<Vec<_>>(), [1, 1], "the list and its rows");
    assert_eq!(reader.get(1).await.unwrap().unwrap().version, 1);
    let rows = reader.objects_by_pks([1, 2, 1]).await.unwrap();
    assert!(rows.iter().all(|row| row.as_ref().unwrap().version == 1));
    assert_eq!(films.get(2).await.unwrap().unwrap().version, 1, "L1 was filled with what it found");
    let later = reader.clone().seen(&ledger.write());
    assert_eq!(later.get(1).await.unwrap().unwrap().version, 2);
    assert_eq!(later.pks(&rated_pg()).await.unwrap().len(), 3);
}

/// It follows nobody who began earlier; who comes after it may follow it.
#[tokio::test(start_paused = true)]
async fn a_lookup_with_a_token_follows_no_older_flight() {
    for lookup in [
        |token: &WriteToken| Lookup::one(1).seen(token),
        |token: &WriteToken| Lookup::one(1).seen(&token.and(&WriteToken::must_load())),
    ] {
        let (shop, ledger) = (Shop::new(0), Ledger::new());
        let films = films(&shop, &ledger);
        ledger.0.gate.forget_permits(1_000);
        let ask = |lookup| {
            let films = films.clone();
            tokio::spawn(async move { look(&films, lookup).await.unwrap().unwrap() })
        };
        let older = ask(Lookup::one(1));
        settle().await;
        let token = ledger.write();
        let (own, mut later) = (ask(lookup(&token)), Vec::new());
        settle().await;
        later.push(ask(Lookup::one(1)));
        for _ in 0..10 {
            if ledger.loads() > 1 {
                break;
            }
            shop.pass_s(1);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        assert_eq!(ledger.loads(), 2, "it loads for itself");
        ledger.0.gate.add_permits(9);
        let version = |answer: tierstack_core::Answer<Film>| answer.entry.into_present().unwrap().version;
        assert_eq!(version(older.await.unwrap()), 0);
        let own = own.await.unwrap();
        assert!(!own.followed);
        assert_eq!(version(own), 1);
        for later in later {
            let later = later.await.unwrap();
            assert!(later.followed, "it came after");
            assert_eq!(version(later), 1);
        }
    }
}

/// Two lookups of one key, each with the token of another write, in one round: each sees its own.
#[tokio::test(start_paused = true)]
async fn lookups_with_other_tokens_share_no_read() {
    let (shop, ledger) = (Shop::new(0), Ledger::new());
    let films = films(&shop, &ledger);
    films.get(1).await.unwrap();
    let (first, second) = (ledger.write(), ledger.write());
    version(&films, Lookup::one(1).refresh()).await;
    let third = ledger.write();
    let tokens = [WriteToken::default(), first, second, third];
    let asked = tokens.map(|token| {
        let films = films.clone();
        tokio::spawn(async move { version(&films, Lookup::one(1).skip_l1().seen(&token)).await })
    });
    let mut told = Vec::new();
    for asked in asked {
        told.push(asked.await.unwrap());
    }
    assert_eq!(told.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [2, 2, 2, 3]);
}

/// An origin that says nothing of its writes leaves a token that loads, also past what a load before the write left.
#[tokio::test(start_paused = true)]
async fn a_token_of_any_origin_loads() {
    let shop = Shop::new(1);
    let (writer, reader) = (shop.films(), shop.films());
    reader.get(1).await.unwrap();
    let write = writer.begin_write([1], std::time::Duration::from_secs(5)).await.unwrap();
    shop.repository.put(Film { version: 1, ..film(1) });
    let token: WriteToken = write.commit().await.unwrap().to_string().parse().unwrap();
    assert_eq!(reader.get(1).await.unwrap().unwrap().version, 0, "its L1 has not heard");
    let requests = reader.stats().l2_requests;
    assert_eq!(reader.seen(&token).get(1).await.unwrap().unwrap().version, 1);
    assert_eq!(reader.stats().l2_requests, requests + 2, "a lease and a fill: L2 is not read in vain");
}
