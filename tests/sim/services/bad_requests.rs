//! Requests that are odd, huge, or look like others.

use std::collections::BTreeSet;

use tierstack_core::{CacheKey, ErrorKind, L1, Level, RequestWriter, Terms, Written};
use tower::{Layer, ServiceExt, service_fn};

use super::inner::{Script, cached, cached_alone, find};
use crate::shop::Shop;

/// Texts that a formatter, a pattern or a log could stumble over.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "\0",
    "\r\n",
    ":",
    "*",
    "?",
    "[",
    "\\",
    "{a}b",
    "(",
    ")",
    ",",
    "=",
    "~",
    "!n",
    "!all",
    "%41",
    "A",
    "PG,page=2",
    "PG)",
    "é",
    "e\u{301}",
    "\u{202e}",
    "None",
    "rating=PG",
    "'; DROP TABLE film; --",
];

/// Each hostile request has a response of its own, on the node that loaded it and, from L2, on another.
#[tokio::test(start_paused = true)]
async fn hostile_requests_are_kept_apart() {
    let (shop, script) = (Shop::new(0), Script::default());
    let layers = [cached(&shop), cached(&shop), cached_alone(&shop)];
    for layer in &layers {
        for _ in 0..2 {
            for rating in HOSTILE {
                let films = layer.layer(script.service()).oneshot(find(rating)).await.unwrap();
                assert_eq!(films.rating, *rating);
            }
        }
    }
    assert_eq!(script.calls(), 2 * HOSTILE.len());
    let texts: BTreeSet<String> =
        HOSTILE.iter().map(|rating| layers[0].key_text(&find(rating)).unwrap()).collect();
    assert_eq!(texts.len(), HOSTILE.len());
    assert!(
        texts
            .iter()
            .all(|text| text.starts_with("shop:find_films:(") && text.bytes().all(|b| b.is_ascii_graphic()))
    );
}

/// Two texts, in either of which the other's separators might stand.
#[derive(Clone)]
struct Pair(String, String);

impl CacheKey for Pair {
    fn write_key(&self, out: RequestWriter<'_>) -> Written {
        out.group().item(&self.0).item(&self.1).end()
    }
}

/// Requests whose fields run into each other under a careless format don't collide.
#[tokio::test(start_paused = true)]
async fn fields_that_run_into_each_other_do_not_collide() {
    let shop = Shop::new(0);
    let layer = shop.node().cache_layer::<Pair, String>("pairs").l1(L1::capacity(100)).build().unwrap();
    let service = layer.layer(service_fn(|pair: Pair| async move {
        Ok::<_, std::io::Error>(format!("{:?}+{:?}", pair.0, pair.1))
    }));
    let pairs =
        [("a:b", "c"), ("a", "b:c"), ("a,b", "c"), ("a", "b,c"), ("", "abc"), ("abc", ""), ("a),(b", "")];
    for _ in 0..2 {
        for (first, second) in pairs {
            let found = service.clone().oneshot(Pair(first.into(), second.into())).await.unwrap();
            assert_eq!(found, format!("{first:?}+{second:?}"));
        }
    }
    assert_eq!(layer.stats().loads, pairs.len() as u64);
}

/// A request over the limit is refused with advice, before anything is asked; one at the limit is served. Long ones that
/// share their readable beginning are kept apart.
#[tokio::test(start_paused = true)]
async fn a_huge_request_is_refused() {
    let (shop, script) = (Shop::new(0), Script::default());
    let layer = cached(&shop);
    let service = layer.layer(script.service());
    for size in [shop.settings.max_key_bytes + 1, 1 << 20] {
        let huge = find(&"x".repeat(size));
        let error = service.clone().oneshot(huge.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().contains("max_key_bytes = 1024") && error.to_string().len() < 200,
            "{error}"
        );
        assert_eq!(
            service.lookup(huge.clone(), Terms::default()).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
        assert_eq!(layer.key_text(&huge).unwrap_err().kind(), ErrorKind::Invalid);
        let error = layer.invalidate([huge, find("PG")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let stats = layer.stats();
    assert_eq!((script.calls(), stats.errors, stats.invalidations, stats.l2_requests), (0, 4, 2, 0));
    for end in ["a", "b"] {
        let long = find(&("x".repeat(shop.settings.max_key_bytes - 1) + end));
        assert!(layer.key_text(&long).unwrap().len() < 256);
        for _ in 0..2 {
            assert_eq!(service.clone().oneshot(long.clone()).await.unwrap().rating, long.rating);
        }
        assert_eq!(
            cached(&shop).layer(script.service()).oneshot(long.clone()).await.unwrap().rating,
            long.rating
        );
    }
    assert_eq!(script.calls(), 2);
}

/// Two services under two names don't answer for each other, whatever they are asked.
#[tokio::test(start_paused = true)]
async fn two_names_share_nothing() {
    let shop = Shop::new(0);
    let node = shop.node();
    let times = |factor: u64| service_fn(move |n: u64| async move { Ok::<_, std::io::Error>(n * factor) });
    let layer = |name: &str| node.cache_layer::<u64, u64>(name).l1(L1::capacity(10)).build().unwrap();
    let (doubles, triples) = (layer("doubles"), layer("triples"));
    assert_eq!(doubles.layer(times(2)).oneshot(7).await.unwrap(), 14);
    assert_eq!(triples.layer(times(3)).oneshot(7).await.unwrap(), 21);
    doubles.invalidate_all().await.unwrap();
    let answer = triples.layer(times(3)).lookup(7, Terms::default()).await.unwrap().unwrap();
    assert_eq!(answer.source, Level::L1);
}
