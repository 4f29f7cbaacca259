//! Rows 1 and 2: a hit in L1, through the handle and as a service, beside moka's own `get`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::{Film, Pair, film, films, threads};
use futures_util::FutureExt;
use opentelemetry::Context;
use opentelemetry::trace::{Span, TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tierstack_core::l1::L1Layer;
use tierstack_core::revalidate::{Refreshes, RevalidateLayer};
use tierstack_core::{
    Answers, BusSettings, Cache, Clock, Counters, Error, L1, Lookup, MemoryTier, Namespace, Settings, Stack,
    origin_fn,
};
use tierstack_otel::OtelRecorder;
use tower::{Layer, Service, ServiceExt, service_fn};

const ROUNDS: i32 = 4_096;
const LARGEST: i32 = 10_000;

fn pair(row: u32, what: &'static str, limit: f64) -> Pair {
    Pair { bench: "l1_hit", row, what, floor: "moka get, TTL", limit: Some(limit) }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let moka: moka::sync::Cache<i32, Arc<Film>> =
        moka::sync::Cache::builder().max_capacity(100_000).time_to_live(Duration::from_secs(3_600)).build();
    let films = films(100_000);
    for key in 0..LARGEST {
        moka.insert(key, Arc::new(film(key)));
    }
    runtime.block_on(films.objects_by_pks(0..LARGEST)).expect("the origin has every row");
    moka.run_pending_tasks();

    handle(&moka, &films);
    hearing(&moka, &runtime);
    service(&moka, &runtime);
    telemetry(&runtime);
    assert!(films.stats().loads <= 10, "the benches measured hits: {:?}", films.stats());
}

fn handle(moka: &moka::sync::Cache<i32, Arc<Film>>, films: &Cache<Film>) {
    let floor = || (0..ROUNDS).for_each(|round| drop(black_box(moka.get(&(round & 63)))));
    let ours = || {
        for round in 0..ROUNDS {
            drop(black_box(films.get(round & 63).now_or_never()));
        }
    };
    pair(1, "L1 hit by the handle, 64 hot keys, 1 thread", 1.2).run(floor, ours, ROUNDS as u64);

    let apart = |thread: usize, round: i32| (round & 31) + 32 * thread as i32;
    let floor = || {
        threads(2, |thread| {
            (0..64 * ROUNDS).for_each(|round| drop(black_box(moka.get(&apart(thread, round)))))
        })
    };
    let ours = || {
        threads(2, |thread| {
            for round in 0..64 * ROUNDS {
                drop(black_box(films.get(apart(thread, round)).now_or_never()));
            }
        });
    };
    pair(1, "L1 hit by the handle, 64 hot keys, 2 threads", 1.2).run(floor, ours, 128 * ROUNDS as u64);

    for (what, two, keys) in [
        ("L1 hits by objects_by_pks, 64 keys, 1 thread", "L1 hits by objects_by_pks, 64 keys, 2 threads", 64),
        (
            "L1 hits by objects_by_pks, 10,000 keys, 1 thread",
            "L1 hits by objects_by_pks, 10,000 keys, 2 threads",
            LARGEST,
        ),
    ] {
        let floor = || drop(black_box((0..keys).map(|key| moka.get(&key)).collect::<Vec<_>>()));
        let ours = || drop(black_box(films.objects_by_pks(0..keys).now_or_never()));
        pair(1, what, 1.2).run(floor, ours, keys as u64);
        let repeat = if keys == 64 { 2_000 } else { 20 };
        let floor = || threads(2, |_| (0..repeat).for_each(|_| floor()));
        let ours = || threads(2, |_| (0..repeat).for_each(|_| ours()));
        pair(1, two, 1.2).run(floor, ours, 2 * keys as u64 * repeat);
    }
}

/// The same on a node that hears of other nodes' writes: a hit looks whether it still does.
fn hearing(moka: &moka::sync::Cache<i32, Arc<Film>>, runtime: &tokio::runtime::Runtime) {
    let mut bus = BusSettings::default();
    // The runtime stands still while the benches run.
    bus.deaf_after = Duration::from_secs(3_600);
    bus.beat_every = Duration::from_secs(60);
    let shop = Namespace::builder("shop").l2(MemoryTier::new(1_000)).bus(bus).build().expect("a plain name");
    let origin = origin_fn(|keys: Vec<i32>| async move {
        Ok::<_, Error>(keys.into_iter().map(|key| (key, film(key))).collect())
    });
    let films: Cache<Film> = shop
        .cache()
        .l1(L1::capacity(1_000))
        .origin(origin)
        .build()
        .expect("the settings are the default ones");
    runtime.block_on(films.objects_by_pks(0..64)).expect("the origin has every row");
    assert_eq!(shop.bus_stats().and_then(|stats| stats.deaf_for), None, "it hears");
    let floor = || (0..ROUNDS).for_each(|round| drop(black_box(moka.get(&(round & 63)))));
    let ours = || {
        for round in 0..ROUNDS {
            drop(black_box(films.get(round & 63).now_or_never()));
        }
    };
    pair(1, "L1 hit by the handle of a node that hears", 1.2).run(floor, ours, ROUNDS as u64);
    assert!(films.stats().loads <= 1, "the bench measured hits: {:?}", films.stats());
}

/// Row 9: traces and metrics on, and the caller not sampled, beside the same hit without them.
fn telemetry(runtime: &tokio::runtime::Runtime) {
    let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    let tracers = SdkTracerProvider::builder().with_sampler(sampler).build();
    let meters = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(InMemoryMetricExporter::default()).build())
        .build();
    let recorder = OtelRecorder::builder().tracer_provider(&tracers).meter_provider(&meters).build();
    let shop = Namespace::builder("shop").recorder(recorder).build().expect("a plain name");
    let recorded: Cache<Film> = benches::films_of(&shop, 100_000);
    let plain = benches::films(100_000);
    for films in [&recorded, &plain] {
        runtime.block_on(films.objects_by_pks(0..64)).expect("the origin has every row");
    }
    let caller = tracers.tracer("bench").start("request");
    assert!(!caller.span_context().is_sampled(), "the caller is not sampled");
    let _caller = Context::current_with_span(caller).attach();
    let hits = |films: &Cache<Film>| {
        for round in 0..ROUNDS {
            drop(black_box(films.get(round & 63).now_or_never()));
        }
    };
    let pair = |what| Pair { floor: "the same without a recorder", ..pair(9, what, 1.1) };
    pair("L1 hit recorded, caller not sampled").run(|| hits(&plain), || hits(&recorded), ROUNDS as u64);
    let batch = |films: &Cache<Film>| drop(black_box(films.objects_by_pks(0..64).now_or_never()));
    pair("64 L1 hits recorded, caller not sampled").run(|| batch(&plain), || batch(&recorded), 64);
    assert!(recorded.stats().loads <= 1, "the bench measured hits: {:?}", recorded.stats());
}

fn service(moka: &moka::sync::Cache<i32, Arc<Film>>, runtime: &tokio::runtime::Runtime) {
    let settings = Settings::default();
    let (clock, counters) = (Clock::system(), Arc::new(Counters::default()));
    let store =
        L1::<Film>::capacity(100_000).store::<i32>(false, &settings, clock.clone(), Arc::clone(&counters));
    let store = Arc::new(store.expect("the settings are the default ones"));
    let policy = tierstack_core::Freshness::default();
    let origin = tierstack_core::origin::OriginLayer::new(tierstack_core::origin::OriginOptions {
        freshness: policy,
        settings: settings.clone(),
        clock: clock.clone(),
        random: tierstack_core::Random::system(),
        counters: Arc::clone(&counters),
        bulkhead: Arc::new(tierstack_core::origin::Bulkhead::new(&settings)),
    })
    .expect("the settings are the default ones")
    .layer(service_fn(|keys: Vec<i32>| async move {
        Ok::<_, Error>(keys.into_iter().map(|key| (key, film(key))).collect::<Vec<_>>())
    }));
    let refreshes = Arc::new(Refreshes::new(&settings, clock, counters));
    let stack = RevalidateLayer::new(refreshes).layer(L1Layer::new(store).layer(Stack::new(origin)));
    let _: Answers<i32, Film> =
        runtime.block_on(stack.clone().oneshot(Lookup::batch(0..64))).expect("the origin has every row");

    let floor = || (0..ROUNDS).for_each(|round| drop(black_box(moka.get(&(round & 63)))));
    let mut held = stack.clone();
    let ours = || {
        for round in 0..ROUNDS {
            drop(black_box(held.call(Lookup::one(round & 63)).now_or_never()));
        }
    };
    pair(2, "L1 hit by Revalidate + L1 as a service, held", 1.8).run(floor, ours, ROUNDS as u64);
    let ours = || {
        for round in 0..ROUNDS {
            let mut own = stack.clone();
            drop(black_box(own.call(Lookup::one(round & 63)).now_or_never()));
        }
    };
    pair(2, "L1 hit by Revalidate + L1, cloned per request", 2.2).run(floor, ours, ROUNDS as u64);
    let erased = Stack::new(stack.clone());
    let ours = || {
        for round in 0..ROUNDS {
            drop(black_box(erased.ask(Lookup::one(round & 63)).now_or_never()));
        }
    };
    pair(2, "L1 hit by the erased stack, counters on", 2.6).run(floor, ours, ROUNDS as u64);
}
