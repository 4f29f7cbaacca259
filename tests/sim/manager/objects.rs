//! `_objects_by_pks`, and the lists that it hydrates.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{Accept, ErrorKind, L1, Level, Lookup, Origin, Query};

use crate::shop::{Shop, by_title, look, rated_pg};

/// `_objects_by_pks`: order and duplicates are kept, holes are explicit, and all that is missing is one load.
#[tokio::test(start_paused = true)]
async fn objects_by_pks_keeps_order_and_duplicates_and_shows_holes() {
    let shop = Shop::new(3);
    let films = shop.films();
    let ids = |rows: &[Option<Arc<Film>>]| {
        rows.iter().map(|row| row.as_ref().map(|film| film.film_id)).collect::<Vec<_>>()
    };
    films.get(2).await.unwrap();
    for _ in 0..2 {
        let rows = films.objects_by_pks([3, 9, 1, 2, 3, 9]).await.unwrap();
        assert_eq!(ids(&rows), [Some(3), None, Some(1), Some(2), Some(3), None]);
        assert!(Arc::ptr_eq(rows[0].as_ref().unwrap(), rows[4].as_ref().unwrap()), "one object, named twice");
    }
    assert_eq!(
        shop.repository.loaded(),
        [vec![2], vec![3, 9, 1]],
        "one load for all missing, absent rows remembered"
    );
    let compact = films.present_by_pks([3, 9, 1]).await.unwrap();
    assert_eq!(compact.iter().map(|film| film.film_id).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(shop.repository.loads(), 2);
}

/// `_objects_by_pks` takes keys from anything that can be iterated, by value or by reference.
#[tokio::test(start_paused = true)]
async fn objects_by_pks_takes_any_iterator() {
    let shop = Shop::new(4);
    let films = shop.films();
    let slice: &[i32] = &[1, 2];
    let set = HashSet::from([1, 2, 3]);
    assert_eq!(films.objects_by_pks(1..=4).await.unwrap().len(), 4);
    assert_eq!(films.objects_by_pks(slice).await.unwrap().len(), 2);
    assert_eq!(films.objects_by_pks(slice.iter().copied()).await.unwrap().len(), 2);
    assert_eq!(films.objects_by_pks(&set).await.unwrap().len(), 3);
    assert_eq!(films.objects_by_pks(set).await.unwrap().len(), 3);
    let even = films.objects_by_pks((1..=4).filter(|pk| pk % 2 == 0)).await.unwrap();
    assert_eq!(even.iter().flatten().map(|film| film.film_id).collect::<Vec<_>>(), [2, 4]);
    assert!(films.objects_by_pks(std::iter::empty::<i32>()).await.unwrap().is_empty());
    assert_eq!(shop.repository.loads(), 1, "all of it came from the first load");
}

/// `dict_key`: rows by another unique field, one index load for all its values.
#[tokio::test(start_paused = true)]
async fn objects_by_pks_with_dict_key_is_objects_by_a_secondary_key() {
    let shop = Shop::new(3);
    let films = shop.films();
    for _ in 0..2 {
        let rows = films.objects_by(&by_title(), ["Film 3", "?", "Film 1", "Film 3"]).await.unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.as_ref().map(|film| film.film_id)).collect();
        assert_eq!(ids, [Some(3), None, Some(1), Some(3)]);
    }
    assert_eq!(shop.repository.queries(), [3], "one index load for three titles");
    assert_eq!(shop.repository.loaded(), [vec![3, 1]], "and one load for their rows");
}

/// `_objects_by_pks` over a repository that knows one key at a time: bounded concurrency, the same answers.
#[tokio::test(start_paused = true)]
async fn objects_by_pks_over_a_per_key_loader_is_bounded() {
    let (now, most, calls) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let seen = Arc::new((now, most, calls));
    let counting = Arc::clone(&seen);
    let one = tower::service_fn(move |pk: i32| {
        let seen = Arc::clone(&counting);
        async move {
            seen.2.fetch_add(1, Ordering::SeqCst);
            seen.1.fetch_max(seen.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            seen.0.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, io::Error>((pk <= 50).then(|| film(pk)))
        }
    });
    let shop = Shop::new(0);
    let films =
        shop.node().cache().l1(L1::capacity(1_000)).origin(Origin::each(one, 8).unwrap()).build().unwrap();
    let began = tokio::time::Instant::now();
    let rows = films.objects_by_pks(1..=64).await.unwrap();
    assert_eq!(rows.iter().flatten().count(), 50);
    assert!(rows[..50].iter().zip(1..).all(|(row, pk)| row.as_ref().unwrap().film_id == pk), "in order");
    assert_eq!(seen.1.load(Ordering::SeqCst), 8, "never more than at_once, and no fewer");
    assert_eq!(seen.2.load(Ordering::SeqCst), 64, "one call for each key");
    assert!(began.elapsed() < Duration::from_millis(100), "8 rounds of 10 ms: {:?}", began.elapsed());
    assert_eq!(
        Origin::<Film>::each(tower::service_fn(|_: i32| std::future::ready(Ok::<_, io::Error>(None))), 0)
            .unwrap_err()
            .kind(),
        ErrorKind::Invalid
    );
}

/// Lists of pks are hydrated by `objects_by_pks`: two lists share one copy of each object.
#[tokio::test(start_paused = true)]
async fn pk_lists_share_one_copy_of_each_object() {
    let shop = Shop::new(3);
    let films = shop.films();
    let all = Query::<Film>::list("all").build().unwrap().bind(());
    let (rated, all) = (films.list(&rated_pg()).await.unwrap(), films.list(&all).await.unwrap());
    assert_eq!((rated.len(), all.len()), (3, 3));
    assert!(rated.iter().zip(&all).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert!(Arc::ptr_eq(&rated[0], &films.get(1).await.unwrap().unwrap()));
    assert_eq!(shop.repository.loads(), 1, "the second list loaded no row");
}

/// A row that is gone since the list was cached is left out of it.
#[tokio::test(start_paused = true)]
async fn pk_lists_leave_out_a_row_that_is_gone() {
    let shop = Shop::new(3);
    let films = shop.films();
    assert_eq!(films.list(&rated_pg()).await.unwrap().len(), 3);
    shop.repository.remove(2);
    films.evict_l1(2);
    assert!(shop.tier.evict(films.key_text(2).unwrap().as_bytes()), "nobody invalidated it");
    let left = films.list(&rated_pg()).await.unwrap();
    assert_eq!(left.iter().map(|film| film.film_id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(shop.repository.queries().len(), 1, "the list itself is the cached one");
    films.invalidate([2]).await.unwrap();
    assert_eq!(*films.pks(&rated_pg()).await.unwrap(), [1, 3], "told so, it loads again");
    let fresh = look(&films, Lookup::one(1).accept(Accept::Fresh)).await.unwrap().unwrap();
    assert_eq!(fresh.source, Level::L1, "other rows stay");
}
