//! What the services of one layer share, and what they don't share with others; what is kept, and what is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tests::Film;
use tierstack_core::{
    Cache, CacheKey, CacheLayer, CacheLayerBuilder, CacheService, Entity, Error, ErrorKind, L1, MemoryTier,
    Namespace, RequestWriter, Written, origin_fn,
};
use tower::{Layer, ServiceExt, service_fn};

use super::inner::{Films, FindFilms, Script, alone, begun, cached, cached_alone, find};
use crate::shop::{Shop, settle};

async fn ask(service: &CacheService<FindFilms, Films>, rating: &str) -> usize {
    service.clone().oneshot(find(rating)).await.unwrap().call
}

/// Clones of a service and of its layer, and services that the layer makes later, share entries, counters and refreshes.
#[tokio::test(start_paused = true)]
async fn clones_and_repeated_layers_share_everything() {
    let shop = Shop::new(0);
    let script = Script::default();
    for layer in [cached(&shop), cached_alone(&shop)] {
        let first = layer.layer(script.service());
        let calls = script.calls();
        let services = [first.clone(), layer.clone().layer(script.service()), layer.layer(script.service())];
        for service in services.iter().chain([&first]) {
            assert_eq!(ask(service, "PG").await, calls + 1);
        }
        assert_eq!((layer.stats().loads, layer.stats().l1.fresh, layer.l1_len()), (1, 3, 1));
        // Stale for all, refreshed once.
        shop.pass_s(301);
        for service in &services {
            assert_eq!(ask(service, "PG").await, calls + 1);
        }
        settle().await;
        assert_eq!((layer.stats().refreshes, script.calls()), (1, calls + 2));
        layer.clone().invalidate([find("PG")]).await.unwrap();
        assert_eq!(ask(&services[1], "PG").await, calls + 3);
    }
}

/// The entries live as long as anything that was made of the layer, and then the name is free.
#[tokio::test(start_paused = true)]
async fn a_name_is_one_layers() {
    let shop = Shop::new(0);
    let node = shop.node();
    let script = Script::default();
    let service = begun(&shop, &node).build().unwrap().layer(script.service());
    let error = begun(&shop, &node).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("find_films") && error.to_string().contains("choose another"),
        "{error}"
    );
    drop(service);
    begun(&shop, &node).build().unwrap();
}

/// A service's cache shares its name with no entity either, whichever comes first.
#[tokio::test(start_paused = true)]
async fn a_name_is_no_entitys() {
    let shop = Shop::new(1);
    let films = |node: &Namespace| -> Result<Cache<Film>, Error> {
        node.cache().origin(shop.repository.films()).build()
    };
    let layer = |node: &Namespace| node.cache_layer::<FindFilms, Films>(Film::schema().table).build();
    let (first, second) = (shop.node(), shop.node());
    let _films = films(&first).unwrap();
    assert_eq!(layer(&first).unwrap_err().kind(), ErrorKind::Invalid);
    let _layer = layer(&second).unwrap();
    assert_eq!(films(&second).unwrap_err().kind(), ErrorKind::Invalid);
    let titles = origin_fn(|_: Vec<i32>| async { Ok::<_, std::io::Error>(vec![]) });
    let projected = second.cache::<tests::FilmTitle>().origin(titles).build();
    assert_eq!(projected.unwrap_err().kind(), ErrorKind::Invalid);
}

/// Names that would have to be escaped in every key are refused, as are settings that can't be.
#[tokio::test(start_paused = true)]
async fn wrong_names_and_settings_are_refused() {
    let shop = Shop::new(0);
    let node = shop.node();
    for name in ["", "a:b", "a b", "a\0b", "@a", "ä", &"a".repeat(65)] {
        let error = node.cache_layer::<FindFilms, Films>(name).build().unwrap_err();
        assert!(error.to_string().contains("name it with"), "{name:?}: {error}");
    }
    let refused = |begun: CacheLayerBuilder<FindFilms, Films>| begun.build().unwrap_err().kind();
    let mut settings = shop.settings.clone();
    settings.max_batch = 0;
    assert_eq!(refused(begun(&shop, &node).settings(settings)), ErrorKind::Invalid);
    assert_eq!(refused(begun(&shop, &node).l1(L1::capacity(0))), ErrorKind::Invalid);
    let freshness = shop.freshness.clone().jitter(2.0);
    assert_eq!(refused(begun(&shop, &node).freshness(freshness)), ErrorKind::Invalid);
    begun(&shop, &node).build().expect("what was refused holds no name");
}

/// A response that counts how often it is cloned.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Heavy {
    #[serde(skip)]
    clones: Arc<AtomicUsize>,
}

impl Clone for Heavy {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        Heavy { clones: Arc::clone(&self.clones) }
    }
}

/// A response that only the caller holds is given out as it is; one that L1 holds is cloned once for each caller.
#[tokio::test(start_paused = true)]
async fn a_response_that_nobody_else_holds_is_not_cloned() {
    let node = Namespace::builder("shop").l2(MemoryTier::new(100)).build().unwrap();
    let clones = Arc::new(AtomicUsize::new(0));
    let heavy = {
        let clones = Arc::clone(&clones);
        service_fn(move |_: u64| {
            let clones = Arc::clone(&clones);
            async move { Ok::<_, std::io::Error>(Heavy { clones }) }
        })
    };
    let bare: CacheLayer<u64, Heavy> = node.cache_layer("bare").build().unwrap();
    let kept = node.cache_layer::<u64, Heavy>("kept").l1(L1::capacity(10)).build().unwrap();
    bare.layer(heavy.clone()).oneshot(1).await.unwrap();
    assert_eq!(clones.load(Ordering::SeqCst), 0);
    let kept = kept.layer(heavy);
    for _ in 0..2 {
        kept.clone().oneshot(1).await.unwrap();
    }
    assert_eq!(clones.load(Ordering::SeqCst), 2);
}

/// L1 lets go of the request when it keeps the response.
#[tokio::test(start_paused = true)]
async fn l1_keeps_no_request() {
    #[derive(Clone)]
    struct Held(Arc<()>);
    impl CacheKey for Held {
        fn write_key(&self, out: RequestWriter<'_>) -> Written {
            out.text("held")
        }
    }
    let shop = Shop::new(0);
    for node in [shop.node(), alone(&shop)] {
        let layer = node.cache_layer::<Held, u64>("held").l1(L1::capacity(10)).build().unwrap();
        let service = layer.layer(service_fn(|held: Held| async move {
            let count = Arc::strong_count(&held.0);
            Ok::<_, std::io::Error>(count as u64)
        }));
        let held = Arc::new(());
        service.clone().oneshot(Held(Arc::clone(&held))).await.unwrap();
        service.oneshot(Held(Arc::clone(&held))).await.unwrap();
        assert_eq!((layer.l1_len(), Arc::strong_count(&held)), (1, 1));
    }
}
