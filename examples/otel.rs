//! What OpenTelemetry gets to see of a few lookups: the tree of their spans, and where each key was answered.
//!
//! No server: an in-process tier stands for Redis, a closure for Postgres, and the SDK's exporters keep what they get.
//!
//! ```text
//! cargo run --example otel
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use opentelemetry::trace::{FutureExt, SpanId, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde::{Deserialize, Serialize};
use tierstack::otel::OtelRecorder;
use tierstack::{Cache, Entity, L1, MemoryTier, Namespace, Schema, origin_fn};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Film {
    film_id: i32,
    title: String,
}

impl Entity for Film {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("film").pk(["film_id"]).columns(["film_id", "title"])
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // What an application sets up once, with exporters that send.
    let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
    let tracers = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let reader = PeriodicReader::builder(metrics.clone()).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    global::set_tracer_provider(tracers.clone());
    global::set_meter_provider(meters.clone());

    let shop =
        Namespace::builder("shop").l2(MemoryTier::new(10_000)).recorder(OtelRecorder::global()).build()?;
    let origin = origin_fn(|keys: Vec<i32>| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let row = |film_id| (film_id, Film { film_id, title: format!("Film {film_id}") });
        Ok::<_, std::io::Error>(keys.into_iter().filter(|key| *key < 100).map(row).collect())
    });
    let films: Cache<Film> = shop.cache().l1(L1::capacity(1_000)).origin(origin).build()?;

    // A request's own span is the parent of what is looked up for it.
    let request = |name: &'static str| {
        Context::new().with_span(tracers.tracer("example").start_with_context(name, &Context::new()))
    };
    films.get(7).with_context(request("GET /films/7")).await?;
    films.objects_by_pks([7, 8, 100]).with_context(request("GET /films?ids=7,8,100")).await?;
    films.get(7).with_context(request("GET /films/7, again")).await?;
    // Two requests for one key: the second one follows, and is linked to what the first one waits for.
    let first = films.get(9).with_context(request("GET /films/9, first"));
    let second = films.get(9).with_context(request("GET /films/9, second"));
    tokio::try_join!(first, second)?;
    films.invalidate([7]).with_context(request("PATCH /films/7")).await?;
    shop.shutdown().await;

    let ended = spans.get_finished_spans()?;
    for root in ended.iter().filter(|span| span.parent_span_id == SpanId::INVALID) {
        show(&ended, root, 0);
    }
    meters.force_flush()?;
    println!("\ncache.lookups, by tier and outcome:");
    for metric in metrics.get_finished_metrics()?.iter().flat_map(|all| all.scope_metrics()) {
        for metric in metric.metrics().filter(|metric| metric.name() == "cache.lookups") {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else { continue };
            for at in sum.data_points().filter(|at| at.value() > 0) {
                let labels: BTreeMap<_, _> =
                    at.attributes().map(|label| (label.key.as_str(), label.value.as_str())).collect();
                println!("  {:6} {:7} {}", labels["cache.tier"], labels["cache.outcome"], at.value());
            }
        }
    }
    Ok(())
}

fn show(all: &[SpanData], span: &SpanData, depth: usize) {
    let of =
        |name: &str| span.attributes.iter().find(|at| at.key.as_str() == name).map(|at| at.value.to_string());
    let said = ["cache.batch.size", "cache.outcome", "cache.tier", "cache.request", "cache.fill.result"];
    let said: Vec<String> =
        said.into_iter().filter_map(|name| Some(format!("{name}={}", of(name)?))).collect();
    let linked = span.links.iter().filter_map(|link| {
        let to = all.iter().find(|other| other.span_context.span_id() == link.span_context.span_id())?;
        Some(format!(" -> {}", to.name))
    });
    let linked: String = linked.collect();
    println!("{:indent$}{} {}{linked}", "", span.name, said.join(" "), indent = 2 * depth);
    for child in all.iter().filter(|other| other.parent_span_id == span.span_context.span_id()) {
        show(all, child, depth + 1);
    }
}
