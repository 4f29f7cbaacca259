//! Loaders that break their contract, panic, fail or are late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::{Film, film};
use tierstack_core::{BoxFuture, Cache, Error, ErrorKind, L1, Loaded, Loader, Lookup, Origin};

use crate::shop::{Shop, look};

/// What a load of the script ends with.
type Load = BoxFuture<'static, Result<Loaded<i32, Film>, Error>>;

/// What the loader does at its n-th call, from 0.
type Script = dyn Fn(usize, Vec<i32>) -> Load + Send + Sync;

/// A loader that follows a script.
struct Scripted {
    script: Box<Script>,
    calls: Arc<AtomicUsize>,
}

impl Loader<i32, Film> for Scripted {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        (self.script)(self.calls.fetch_add(1, Ordering::SeqCst), keys.to_vec())
    }
}

/// Films of one more node of a shop, over a scripted loader; and how often it was called.
fn scripted<F>(shop: &Shop, script: F) -> (Cache<Film>, Arc<AtomicUsize>)
where
    F: Fn(usize, Vec<i32>) -> Load + Send + Sync + 'static,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let origin = Origin::new(Scripted { script: Box::new(script), calls: Arc::clone(&calls) });
    let cache = shop.node().cache().l1(L1::capacity(100)).settings(shop.settings.clone()).origin(origin);
    (cache.build().unwrap(), calls)
}

/// Rows at once.
fn rows(keys: impl IntoIterator<Item = i32>) -> Load {
    rows_and_errors(keys, &[])
}

/// Rows at once, and keys that failed.
fn rows_and_errors(keys: impl IntoIterator<Item = i32>, failed: &[i32]) -> Load {
    let mut loaded = Loaded::rows(keys.into_iter().map(|key| (key, film(key))).collect());
    failed.iter().for_each(|key| loaded.fail(*key, std::io::Error::other("torn")));
    Box::pin(std::future::ready(Ok(loaded)))
}

/// `+` a row, `-` absent, `!` an error of the loader's contract, `x` one of the origin: for 1, 2 and 3.
async fn seen(films: &Cache<Film>) -> String {
    let answers = films.lookup(Lookup::batch([1, 2, 3])).await.unwrap();
    let shown = answers.into_iter().map(|(key, outcome)| match outcome {
        Ok(answer) => match answer.unwrap().entry.into_present() {
            Some(row) => {
                assert_eq!(row.film_id, key);
                '+'
            }
            None => '-',
        },
        Err(error) if error.kind() == ErrorKind::Origin => 'x',
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Loader);
            assert!(error.to_string().contains("mend it"), "{error}");
            '!'
        }
    });
    shown.collect()
}

/// Rows are matched by key. A surplus row makes absences unsure, a doubled one its own key; neither is kept, and the
/// other keys are answered. What was said in error is asked again.
#[tokio::test(start_paused = true)]
async fn rows_out_of_order_missing_surplus_or_doubled() {
    for (first, expected, again) in [
        (vec![3, 1, 2], "+++", "+++"),
        (vec![2], "-+-", "-+-"),
        (vec![], "---", "---"),
        (vec![2, 77], "!+!", "+++"),
        (vec![77, 1, 2, 3], "+++", "+++"),
        (vec![1, 1, 2, 3], "!++", "+++"),
        (vec![1, 1, 77], "!!!", "+++"),
        (vec![3, 3, 3], "--!", "--+"),
    ] {
        let shop = Shop::new(0);
        let script = {
            let first = first.clone();
            move |call, keys: Vec<i32>| if call == 0 { rows(first.clone()) } else { rows(keys) }
        };
        let (films, calls) = scripted(&shop, script);
        assert_eq!(seen(&films).await, expected, "{first:?}");
        assert_eq!(seen(&films).await, again, "{first:?}, the second time");
        let failed = expected.contains('!');
        assert_eq!(
            calls.load(Ordering::SeqCst),
            if failed { 2 } else { 1 },
            "{first:?}: only errors load again"
        );
        let elsewhere = look(&shop.films(), Lookup::one(77).never_load()).await.unwrap();
        assert!(elsewhere.is_none(), "{first:?}: the row nobody asked for is kept nowhere");
    }
}

/// So are errors of single keys: one beside a row, twice, or for a key that nobody asked for. Each such load is counted as a
/// failed one, once.
#[tokio::test(start_paused = true)]
async fn errors_of_keys_surplus_or_doubled() {
    for (found, failed, expected, again) in [
        (vec![1, 3], vec![2], "+x+", "+++"),
        (vec![1], vec![3], "+-x", "+-+"),
        (vec![1, 2, 3], vec![2], "+!+", "+++"),
        (vec![1], vec![2, 2, 3], "+!x", "+++"),
        (vec![1], vec![2, 77], "+x!", "+++"),
        (vec![], vec![1, 2, 3], "xxx", "+++"),
    ] {
        let (first, torn) = (found.clone(), failed.clone());
        let script = move |call, keys: Vec<i32>| {
            if call == 0 { rows_and_errors(first.clone(), &torn) } else { rows(keys) }
        };
        let (films, _) = scripted(&Shop::new(0), script);
        assert_eq!(seen(&films).await, expected, "{found:?} {failed:?}");
        assert_eq!(seen(&films).await, again, "{found:?} {failed:?}, the second time");
        assert_eq!((films.stats().loads, films.stats().failed_loads), (2, 1));
    }
}

/// A loader that panics, before its first await or after it, is an error of that call; the next call loads, and no key
/// waits for a right that nobody will use.
#[tokio::test(start_paused = true)]
async fn a_panic_is_one_error_and_the_next_call_loads() {
    let before = |call, keys| {
        assert!(call > 0, "scripted: before the first await");
        rows(keys)
    };
    let after = |call, keys| -> BoxFuture<'static, _> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(call > 0, "scripted: after the first await");
            rows(keys).await
        })
    };
    let shop = Shop::new(0);
    for (films, calls) in [scripted(&shop, before), scripted(&Shop::new(0), after)] {
        let began = tokio::time::Instant::now();
        let error = films.get(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Origin);
        assert!(error.to_string().contains("panicked"), "{error}");
        assert_eq!(*films.get(1).await.unwrap().unwrap(), film(1));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert!(began.elapsed() < Duration::from_millis(100), "nobody waited: {:?}", began.elapsed());
        assert_eq!((films.stats().failed_loads, films.stats().errors), (1, 1));
    }
}

/// A loader that never answers is a timeout at `load_timeout`, and at an earlier deadline of the lookup; its future is
/// dropped, and the next call loads.
#[tokio::test(start_paused = true)]
async fn a_late_load_is_a_timeout_and_the_next_call_loads() {
    struct Ended(Arc<AtomicUsize>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let shop = Shop::new(0);
    let ended = Arc::new(AtomicUsize::new(0));
    let guard = Arc::clone(&ended);
    let (films, _) = scripted(&shop, move |call, keys| {
        let guard = Ended(Arc::clone(&guard));
        Box::pin(async move {
            if call < 2 {
                std::future::pending::<()>().await;
            }
            drop(guard);
            rows(keys).await
        })
    });
    let began = tokio::time::Instant::now();
    assert_eq!(films.get(1).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(began.elapsed().as_secs(), shop.settings.load_timeout.as_secs());
    let soon = shop.manual.clock().coarse().plus(Duration::from_millis(300));
    let began = tokio::time::Instant::now();
    let error = look(&films, Lookup::one(1).deadline(soon)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() <= Duration::from_millis(302), "{:?}", began.elapsed());
    assert_eq!(ended.load(Ordering::SeqCst), 1, "the caller has gone, its load has not had its time");
    tokio::time::sleep(shop.settings.load_timeout).await;
    assert_eq!(ended.load(Ordering::SeqCst), 2, "late loads are dropped");
    assert_eq!(*films.get(1).await.unwrap().unwrap(), film(1));
}

/// A load that holds for its caller only is answered and kept nowhere.
#[tokio::test(start_paused = true)]
async fn what_only_this_caller_may_see_is_kept_nowhere() {
    struct Mine(Arc<AtomicUsize>);
    impl Loader<i32, Film> for Mine {
        fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let rows = keys.iter().map(|key| (*key, film(*key))).collect();
            Box::pin(std::future::ready(Ok(Loaded::rows(rows).shared(false))))
        }
    }
    let shop = Shop::new(0);
    let calls = Arc::new(AtomicUsize::new(0));
    let origin = Origin::new(Mine(Arc::clone(&calls)));
    let films = shop.node().cache().l1(L1::capacity(100)).origin(origin).build().unwrap();
    for times in 1..=3 {
        assert_eq!(*films.get(1).await.unwrap().unwrap(), film(1));
        assert_eq!(calls.load(Ordering::SeqCst), times);
    }
    assert!(look(&shop.films(), Lookup::one(1).never_load()).await.unwrap().is_none());
}
