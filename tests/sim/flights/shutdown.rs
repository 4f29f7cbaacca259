//! A shutdown waits for what is under way, and nothing is written to L2 after it.

use std::time::Duration;

use tierstack_core::{Level, Lookup};

use crate::shop::{Shop, look, settle};

/// A load whose caller has gone is waited for, and has been stored when the shutdown returns.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_load_that_nobody_waits_for() {
    let shop = Shop::new(1);
    let films = shop.films();
    shop.repository.set_delay(Duration::from_secs(2));
    let caller = tokio::spawn({
        let films = films.clone();
        async move { films.get(1).await }
    });
    settle().await;
    caller.abort();
    let began = tokio::time::Instant::now();
    films.namespace().shutdown().await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!((films.stats().fills[0], films.stats().abandoned), (1, 1));
    assert_eq!(look(&shop.films(), Lookup::one(1)).await.unwrap().unwrap().source, Level::L2);
}

/// After a shutdown lookups are answered from L2 and the origin, and L2 is left as it is.
#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_is_written_to_l2() {
    let shop = Shop::new(2);
    shop.films().get(1).await.unwrap();
    let before = shop.tier.keys();
    let films = shop.films();
    films.namespace().shutdown().await;
    assert_eq!(look(&films, Lookup::one(1)).await.unwrap().unwrap().source, Level::L2);
    assert_eq!(look(&films, Lookup::one(2)).await.unwrap().unwrap().source, Level::Origin);
    assert!(films.get(3).await.unwrap().is_none());
    assert_eq!(shop.tier.keys(), before);
    assert_eq!(films.stats().fills, [0; 5]);
}
