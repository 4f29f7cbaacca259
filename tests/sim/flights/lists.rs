//! Lists are loaded each on their own: a slow or failing one is nobody else's.

use std::time::Duration;

use tests::{Film, Repository};
use tierstack_core::{
    Bound, BoxFuture, Cache, Error, ErrorKind, L1, Loaded, Loader, Namespace, Origin, Value,
};

use crate::shop::{Shop, by_rating};

/// Answers a list whose rating is a number after so many milliseconds, and fails for other ratings.
struct SlowLists;

impl Loader<Bound<Film>, Vec<i32>> for SlowLists {
    fn load<'a>(
        &'a self,
        queries: &'a [Bound<Film>],
    ) -> BoxFuture<'a, Result<Loaded<Bound<Film>, Vec<i32>>, Error>> {
        Box::pin(async move {
            let mut rows = Vec::new();
            for query in queries {
                let Value::Text(rating) = &query.values()[0] else { return Ok(Loaded::rows(vec![])) };
                let Ok(ms) = rating.parse() else {
                    return Err(Error::new(ErrorKind::Origin, "no such rating"));
                };
                tokio::time::sleep(Duration::from_millis(ms)).await;
                rows.push((query.clone(), vec![]));
            }
            Ok(Loaded::rows(rows))
        })
    }
}

async fn is_held_up(shop: &Shop, node: Namespace) {
    let origin = Origin::new(Rows(Repository::new([]))).with_queries(SlowLists);
    let films: Cache<Film> = node.cache().l1(L1::capacity(10)).origin(origin).build().unwrap();
    let ask = |rating: &str| {
        let (films, query) = (films.clone(), by_rating().bind((rating.to_owned(),)));
        tokio::spawn(async move { (films.list(&query).await, tokio::time::Instant::now()) })
    };
    let began = tokio::time::Instant::now();
    let asked = [ask("4000"), ask("10"), ask("none"), ask("20")];
    let [slow, quick, failing, other] = asked;
    let (found, at) = quick.await.unwrap();
    found.unwrap();
    assert!(at - began < Duration::from_millis(100), "{:?}", at - began);
    let (found, at) = other.await.unwrap();
    found.unwrap();
    assert!(at - began < Duration::from_millis(100), "{:?}", at - began);
    assert_eq!(failing.await.unwrap().0.unwrap_err().kind(), ErrorKind::Origin);
    slow.await.unwrap().0.unwrap();
    assert!(began.elapsed() < shop.settings.load_timeout);
}

struct Rows(Repository);

impl Loader<i32, Film> for Rows {
    fn load<'a>(&'a self, _: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        Box::pin(async move { Ok(Loaded::rows(self.0.row(0).into_iter().map(|film| (0, film)).collect())) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_holds_up_no_other_over_l2() {
    let shop = Shop::new(0);
    is_held_up(&shop, shop.node()).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_holds_up_no_other_without_l2() {
    let shop = Shop::new(0);
    let node = Namespace::builder("alone").clock(shop.manual.clock()).build().unwrap();
    is_held_up(&shop, node).await;
}
