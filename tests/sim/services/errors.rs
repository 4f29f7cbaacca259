//! What goes wrong below: found by type by all who asked, and kept by nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use tierstack_core::{ErrorKind, Settings};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use super::inner::{Act, Films, FindFilms, Refused, Script, begun, cached, find};
use crate::shop::{Shop, settle};

/// An inner service that fails with a boxed error, as tower's layers do, or refuses to become ready.
#[tokio::test(start_paused = true)]
async fn boxed_errors_and_errors_of_readiness_are_found_by_type() {
    let shop = Shop::new(0);
    let boxed = service_fn(|_: FindFilms| async { Err::<Films, BoxError>(Box::new(Refused(7))) });
    let error = cached(&shop).layer(boxed).oneshot(find("PG")).await.unwrap_err();
    assert_eq!((error.kind(), error.downcast_ref::<Refused>().unwrap().0), (ErrorKind::Origin, 7));

    let (mock, mut handle) = tower_test::mock::pair::<FindFilms, Films>();
    handle.send_error(Refused(8));
    let error = cached(&shop).layer(mock).oneshot(find("PG")).await.unwrap_err();
    assert_eq!((error.kind(), error.downcast_ref::<Refused>().unwrap().0), (ErrorKind::Origin, 8));
}

/// An error of ours from an inner service, such as a cached service further down, says the same above.
#[tokio::test(start_paused = true)]
async fn an_error_of_ours_keeps_its_kind() {
    let shop = Shop::new(0);
    let script = Script::default();
    script.set(Act::Refuse);
    let mut strict = Settings::default();
    strict.max_key_bytes = 3;
    let below = shop.node().cache_layer("below").settings(strict).build().unwrap();
    let service = cached(&shop).layer(below.layer(script.service()));
    let error = service.clone().oneshot(find("PG")).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Refused>().unwrap().0, 1);
    let error = service.oneshot(find("NC-17")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// A panic of the inner service is an error; the next call asks again.
#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error() {
    let script = Script::default();
    let layer = cached(&Shop::new(0));
    let service = layer.layer(script.service());
    script.set(Act::Panic);
    let error = service.clone().oneshot(find("PG")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert!(error.to_string().contains("panicked"), "{error}");
    script.set(Act::Respond);
    assert_eq!(service.oneshot(find("PG")).await.unwrap().call, 2);
}

/// So is one of the predicate that says what is kept.
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_predicate_is_an_error() {
    let shop = Shop::new(0);
    let script = Script::default();
    let asked = AtomicBool::new(false);
    let once = move |_: &FindFilms, _: &Films| {
        assert!(asked.swap(true, Ordering::SeqCst), "panics once, as it was told");
        true
    };
    let service = begun(&shop, &shop.node()).keep_if(once).build().unwrap().layer(script.service());
    let error = service.clone().oneshot(find("PG")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert_eq!(service.oneshot(find("PG")).await.unwrap().call, 2);
}

/// A failing service is asked, not the stale response answered as fresh: stale ones answer until their end, then errors do.
#[tokio::test(start_paused = true)]
async fn stale_responses_answer_until_their_end() {
    let shop = Shop::new(0);
    let script = Script::default();
    let layer = cached(&shop);
    let service = layer.layer(script.service());
    service.clone().oneshot(find("PG")).await.unwrap();
    script.set(Act::Refuse);
    shop.pass_s(301);
    assert_eq!(service.clone().oneshot(find("PG")).await.unwrap().call, 1);
    settle().await;
    assert_eq!(layer.stats().refreshes_failed, 1);
    shop.pass_s(3_600);
    assert_eq!(service.oneshot(find("PG")).await.unwrap_err().kind(), ErrorKind::Origin);
}
