//! Invalidations inside an open transaction: they take effect, and are told to be too early.

use std::sync::Arc;

use tests::Film;
use tierstack_core::{Cache, CacheLayer, Error, ErrorKind, Level, OpenTransaction};
use tokio::sync::{Semaphore, oneshot};

use super::held::below;
use crate::shop::Shop;

type Greetings = CacheLayer<String, String>;

/// Every kind of invalidation of a namespace.
async fn invalidations(films: &Cache<Film>, greetings: &Greetings) -> [Result<(), Error>; 5] {
    [
        films.invalidate([1]).await,
        films.invalidate_all().await,
        films.namespace().invalidate_all().await,
        greetings.invalidate(["Ada".to_owned()]).await,
        greetings.invalidate_all().await,
    ]
}

/// How many of them, called by a task, are told to be inside a transaction.
async fn told(films: &Cache<Film>, greetings: &Greetings) -> usize {
    let each = invalidations(films, greetings).await;
    for error in each.iter().filter_map(|done| done.as_ref().err()) {
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("touch"), "{error}");
    }
    each.iter().filter(|done| done.is_err()).count()
}

fn shop() -> (Shop, Cache<Film>, Greetings) {
    let shop = Shop::new(1);
    let node = shop.node();
    let greetings = node.cache_layer("greeting").build().unwrap();
    let films = shop.films_of(&node);
    (shop, films, greetings)
}

/// The task that began a transaction is told, as long as that is open, wherever it is dropped; and nothing is lost.
#[tokio::test(start_paused = true)]
async fn an_invalidation_by_the_task_of_an_open_transaction_is_told() {
    let (_shop, films, greetings) = shop();
    let (other, ended) = (films.clone(), Arc::new(Semaphore::new(0)));
    let (tell, is_open) = oneshot::channel();
    films.get(1).await.unwrap();
    let task = tokio::spawn({
        let (films, greetings, ended) = (films.clone(), greetings.clone(), ended.clone());
        async move {
            let open = |films: &Cache<Film>| films.namespace().open_transaction();
            assert_eq!(told(&films, &greetings).await, 0, "none is open");
            let two = [open(&films), open(&films)];
            assert_eq!(below(&films, 1).await.1, Level::Origin, "as they were invalidated");
            assert_eq!(below(&films, 1).await.1, Level::L2);
            assert_eq!(told(&films, &greetings).await, 5);
            assert_eq!(below(&films, 1).await.1, Level::Origin, "an early one takes effect, too");
            let [first, second] = two;
            drop(first);
            assert_eq!(told(&films, &greetings).await, 5, "the other is open");
            let of_another: OpenTransaction = second;
            tokio::spawn(async move { drop(of_another) }).await.unwrap();
            assert_eq!(told(&films, &greetings).await, 0);
            let _open = open(&films);
            tell.send(()).unwrap();
            ended.acquire().await.unwrap().forget();
        }
    });
    is_open.await.unwrap();
    let another = tokio::spawn({
        let greetings = greetings.clone();
        async move { told(&other, &greetings).await }
    });
    assert_eq!(another.await.unwrap(), 0, "another task has none");
    let _outside = films.namespace().open_transaction();
    assert_eq!(told(&films, &greetings).await, 0, "outside a task nobody can tell");
    ended.add_permits(1);
    task.await.unwrap();
}

/// Of another namespace of this process, nothing is said.
#[tokio::test(start_paused = true)]
async fn a_transaction_is_open_in_its_namespace_only() {
    let (shop, films, greetings) = shop();
    let node = shop.node();
    let told = tokio::spawn(async move {
        let _open = node.open_transaction();
        told(&films, &greetings).await
    });
    assert_eq!(told.await.unwrap(), 0);
}
