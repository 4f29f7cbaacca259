//! Exported over OTLP by the real SDK, to a receiver of the test's, and counted against the servers' own statistics.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

#[path = "live/receiver.rs"]
mod receiver;
#[path = "live/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer, TracerProvider};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use receiver::Receiver;
use servers::Servers;
use tests::Film;
use tests_telemetry::{Spans, Sums};
use tierstack::otel::OtelRecorder;
use tierstack::postgres::PgOrigin;
use tierstack::{Cache, Freshness, L1, Lookup, Settings};

/// Longer than all that is to be fresh takes.
const FRESH_FOR: Duration = Duration::from_secs(4);

/// What the bus asks of Redis meanwhile, in no span.
const BEATS: u64 = 1;

/// How it is exported.
#[derive(Clone, Copy)]
enum By {
    Grpc,
    Http,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_by_grpc_is_what_the_servers_counted() {
    exported(By::Grpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_by_http_is_what_the_servers_counted() {
    exported(By::Http).await;
}

struct Application {
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
}

impl Application {
    fn new(by: By, receiver: &Receiver) -> Self {
        let (spans, metrics) = match by {
            By::Grpc => {
                let to = receiver.grpc();
                let spans = SpanExporter::builder().with_tonic().with_endpoint(&to).build();
                (spans, MetricExporter::builder().with_tonic().with_endpoint(&to).build())
            }
            By::Http => {
                let to = receiver.http();
                let spans = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
                let metrics = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
                let spans = spans.with_endpoint(format!("{to}/v1/traces")).build();
                (spans, metrics.with_endpoint(format!("{to}/v1/metrics")).build())
            }
        };
        let tracers = SdkTracerProvider::builder().with_batch_exporter(spans.expect("an exporter"));
        let reader = PeriodicReader::builder(metrics.expect("an exporter"));
        let reader = reader.with_interval(Duration::from_secs(3_600)).build();
        let meters = SdkMeterProvider::builder().with_reader(reader);
        Application { tracers: tracers.build(), meters: meters.build() }
    }

    /// Does `work` within a span of its own.
    async fn within<T>(&self, name: &'static str, work: impl Future<Output = T>) -> T {
        let span = self.tracers.tracer("application").start_with_context(name, &Context::new());
        work.with_context(Context::new().with_span(span)).await
    }

    /// Sends what there is.
    async fn export(self) {
        let sent = tokio::task::spawn_blocking(move || {
            self.tracers.shutdown().expect("the spans are sent");
            self.meters.shutdown().expect("the metrics are sent");
        });
        sent.await.expect("it is sent");
    }
}

fn films(servers: &Servers, application: &Application) -> Cache<Film> {
    let builder = OtelRecorder::builder().tracer_provider(&application.tracers);
    let recorder = builder.meter_provider(&application.meters).build();
    let mut settings = Settings::default();
    settings.lookup_timeout = Duration::from_secs(40);
    settings.l2_timeout = Duration::from_secs(10);
    let freshness = Freshness::default().jitter(0.0).fresh_for(FRESH_FOR);
    let freshness = freshness.absent_for(Duration::from_secs(60)).stale_for(Duration::from_secs(600));
    let cache = servers.shop().recorder(recorder).build().expect("a plain name").cache();
    let cache = cache.l1(L1::capacity(1_000)).settings(settings).freshness(freshness);
    cache.origin(PgOrigin::new(servers.pool.clone())).build().expect("the settings are right")
}

/// Lookups that are cold, followed, warm, absent, failing, stale and refreshed, and an invalidation. Then each key is in one
/// outcome; as many requests are in spans as the servers served; and each span has its parent in the same trace.
async fn exported(by: By) {
    let servers = Servers::new().await;
    let receiver = Receiver::start().await;
    let application = Application::new(by, &receiver);
    // Redis learns the scripts from a node that nobody records.
    servers.warm().await;
    let films = films(&servers, &application);
    let before = servers.counts();

    let mut asked = 0;
    let mut keys = |count| asked += count;
    application.within("cold", films.objects_by_pks(0..50)).await.expect("rows");
    keys(50);
    application.within("warm", films.objects_by_pks(0..50)).await.expect("rows");
    keys(50);
    application.within("l2", films.lookup(Lookup::batch(0..50).skip_l1())).await.expect("rows");
    keys(50);
    application.within("absent", films.get(1_000)).await.expect("an absence");
    application.within("absent", films.get(1_000)).await.expect("an absence");
    keys(2);
    let followed = futures(&application, &films, 60, 20).await;
    keys(followed);
    tokio::time::sleep(FRESH_FOR + Duration::from_millis(100)).await;
    application.within("stale", films.get(7)).await.expect("a stale row");
    keys(1);
    servers.wait_for(&films, |films| films.stats().refreshes == 1 && films.stats().loads == 4).await;
    application.within("write", films.invalidate([7])).await.expect("it is told");
    servers.rename("film", "gone").await;
    application.within("failing", films.get(7)).await.expect_err("no table");
    keys(1);
    servers.rename("gone", "film").await;
    // The bus has heard the invalidation, and its one heartbeat of this minute, which is a call of a script as well.
    servers
        .wait_for(&films, |films| films.namespace().bus_stats().is_some_and(|bus| bus.messages == 2))
        .await;
    films.namespace().shutdown().await;

    let (after, stats) = (servers.counts(), films.stats());
    let failed_loads = stats.failed_loads;
    application.export().await;
    let spans: Spans = receiver.spans();
    let sums = receiver.sums();

    let of = |name: &str| spans.named(name).len() as u64;
    assert_eq!(of("MGET"), after.mget - before.mget, "of:\n{spans}");
    assert_eq!(of("EVALSHA") + BEATS, after.evalsha - before.evalsha, "of:\n{spans}");
    // Postgres counts what it could run.
    assert_eq!(of("cache.load") - failed_loads, after.selects - before.selects, "of:\n{spans}");
    assert_eq!((of("cache.load"), failed_loads), (stats.loads, 1));
    let lookups: u64 = sums.iter().filter(|((name, _), _)| name == "cache.lookups").map(|(_, sum)| sum).sum();
    assert_eq!((lookups, stats.keys()), (asked, asked), "each key in one outcome: {sums:#?}");
    let told = |tier: &str, outcome: &str| told(&sums, tier, outcome);
    assert_eq!((told("l1", "hit"), told("l1", "absent"), told("l1", "stale")), (stats.l1.fresh, 1, 1));
    assert_eq!((told("l2", "hit"), told("origin", "absent"), told("none", "error")), (50, 1, 1));
    assert_eq!(told("origin", "miss"), stats.origin.fresh);
    let requests: u64 = ["MGET", "EVALSHA"].iter().map(|name| of(name)).sum();
    assert_eq!(requests, receiver.count("db.client.operation.duration"));
    assert_eq!(of("cache.load"), receiver.count("cache.load.duration"));

    for span in spans.0.iter().filter(|span| !span.parent.is_empty()) {
        assert_eq!(spans.0.iter().filter(|parent| span.is_in(parent)).count(), 1, "{span:?} has its parent");
    }
    let refresh = spans.one("cache.refresh");
    let cause = spans.children(spans.one("stale"))[0];
    assert!(refresh.parent.is_empty() && refresh.leads_to(cause));
    let served: Vec<_> =
        spans.named("follower").into_iter().flat_map(|caller| spans.children(caller)).collect();
    let leads =
        served.iter().filter(|lookup| lookup.name == "cache.lookup" && !spans.children(lookup).is_empty());
    assert_eq!(leads.count(), 1, "one leads");
    let rounds = spans.named("cache.round");
    let linked =
        served.iter().filter(|lookup| rounds.iter().any(|round| lookup.leads_to(round))).count() as u64;
    assert_eq!(linked, stats.followed, "who followed is linked to the round");
    let redis = spans.named("MGET")[0];
    assert_eq!((redis.get("db.system.name"), redis.get("server.port")), ("redis", &*servers.port()));
}

/// So many callers of one key, at once.
async fn futures(application: &Application, films: &Cache<Film>, key: i32, callers: u64) -> u64 {
    let mut asked = Vec::new();
    for _ in 0..callers {
        let films = films.clone();
        let span = application.tracers.tracer("application").start_with_context("follower", &Context::new());
        let context = Context::new().with_span(span);
        asked.push(tokio::spawn(async move { films.get(key).await }.with_context(context)));
    }
    for found in asked {
        found.await.expect("it ends").expect("a row");
    }
    callers
}

fn told(sums: &Sums, tier: &str, outcome: &str) -> u64 {
    let is = |(name, labels): &(String, BTreeMap<String, String>)| {
        name == "cache.lookups" && labels["cache.tier"] == tier && labels["cache.outcome"] == outcome
    };
    sums.iter().filter(|(key, _)| is(key)).map(|(_, sum)| sum).sum()
}
