//! Several callers of one missing response.

use std::time::Duration;

use futures_util::future::join_all;
use tierstack_core::{CacheService, Error, ErrorKind};
use tower::{Layer, ServiceExt};

use super::inner::{Act, Films, FindFilms, Refused, Script, alone, begun, cached, cached_alone, find};
use crate::shop::{Shop, settle};

/// How many calls of the inner service several callers of one missing response make together.
const CALLS_FOR_ALL: usize = 1;

/// Ten callers at once for one request that takes a while.
async fn ten_at_once(script: &Script, service: &CacheService<FindFilms, Films>) -> Vec<Result<Films, Error>> {
    script.set_delay(Duration::from_millis(50));
    join_all((0..10).map(|_| service.clone().oneshot(find("PG")))).await
}

/// Callers of one missing response share one call, without an L2 to share it through.
#[tokio::test(start_paused = true)]
async fn callers_of_one_missing_response_share_a_call() {
    let script = Script::default();
    let service = cached_alone(&Shop::new(0)).layer(script.service());
    for found in ten_at_once(&script, &service).await {
        assert_eq!(found.unwrap().rating, "PG");
    }
    assert_eq!(script.calls(), CALLS_FOR_ALL);
}

/// Leader and followers find the inner service's error by its type, as kind `Origin`; the next call asks again.
#[tokio::test(start_paused = true)]
async fn leader_and_followers_find_the_inner_error_by_type() {
    let script = Script::default();
    let layer = cached_alone(&Shop::new(0));
    let service = layer.layer(script.service());
    script.set(Act::Refuse);
    for found in ten_at_once(&script, &service).await {
        let error = found.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Origin);
        assert!(error.downcast_ref::<Refused>().is_some(), "{error:?}");
    }
    assert_eq!(layer.l1_len(), 0, "an error is not kept");
    assert_eq!(script.calls(), CALLS_FOR_ALL);
    script.set(Act::Respond);
    assert_eq!(service.oneshot(find("PG")).await.unwrap().call, CALLS_FOR_ALL + 1);
}

/// A response that is not to be kept goes to all who wait for it; who asks next makes a call.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_kept_goes_to_all_who_wait() {
    let shop = Shop::new(0);
    let script = Script::default();
    for node in [shop.node(), alone(&shop)] {
        let layer = begun(&shop, &node).keep_if(|_, _| false).build().unwrap();
        let service = layer.layer(script.service());
        let calls = script.calls();
        for found in ten_at_once(&script, &service).await {
            assert_eq!(found.unwrap().call, calls + CALLS_FOR_ALL);
        }
        assert_eq!(service.oneshot(find("PG")).await.unwrap().call, calls + CALLS_FOR_ALL + 1);
    }
}

/// With an L2, each finds the error, nothing is left in L2, and the next call loads without waiting.
#[tokio::test(start_paused = true)]
async fn an_error_leaves_nothing_in_l2() {
    let shop = Shop::new(0);
    let script = Script::default();
    let layer = cached(&shop);
    let service = layer.layer(script.service());
    script.set(Act::Refuse);
    for found in ten_at_once(&script, &service).await {
        assert!(found.unwrap_err().downcast_ref::<Refused>().is_some());
    }
    settle().await;
    let key = layer.key_text(&find("PG")).unwrap();
    assert!(!shop.tier.keys().iter().any(|there| **there == *key.as_bytes()), "the right is left");
    script.set(Act::Respond);
    let (calls, waits) = (script.calls(), layer.stats().waits);
    assert_eq!(service.oneshot(find("PG")).await.unwrap().call, calls + 1);
    assert_eq!(layer.stats().waits, waits);
}
