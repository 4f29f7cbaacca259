//! An application's SDK, whose exporters keep what they get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, SpanData};
use tierstack::otel::{Keys, OtelRecorder};

use crate::span::{Seen, Spans, Sums};

/// Exports to memory, at once.
pub struct Memory {
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
}

impl Memory {
    /// Samples what its parent's sampler did, and every root.
    #[must_use]
    pub fn new() -> Self {
        Memory::sampling(Sampler::AlwaysOn)
    }

    /// Samples roots by `root`.
    #[must_use]
    pub fn sampling(root: Sampler) -> Self {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let sampler = Sampler::ParentBased(Box::new(root));
        let tracers = SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(spans.clone());
        let meters =
            SdkMeterProvider::builder().with_reader(PeriodicReader::builder(metrics.clone()).build());
        Memory { spans, metrics, tracers: tracers.build(), meters: meters.build() }
    }

    /// A recorder that says of keys what it is told.
    #[must_use]
    pub fn recorder(&self, keys: Keys) -> Arc<OtelRecorder> {
        let builder = OtelRecorder::builder().tracer_provider(&self.tracers).meter_provider(&self.meters);
        builder.keys(keys).build()
    }

    /// The application's own tracer.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.tracers.tracer("application")
    }

    /// The context of a span of the application's.
    #[must_use]
    pub fn caller(&self, name: &'static str) -> Context {
        Context::new().with_span(self.tracer().start_with_context(name, &Context::new()))
    }

    /// What has ended since the last look.
    ///
    /// # Panics
    /// If the exporter was shut down.
    #[must_use]
    pub fn spans(&self) -> Spans {
        let ended = self.spans.get_finished_spans().expect("it is there");
        self.spans.reset();
        Spans(ended.iter().map(seen).collect())
    }

    /// The sums, by name and attributes, and the names of all else that is measured; with the names of all attributes.
    ///
    /// # Panics
    /// If the exporter was shut down, or a metric is reported twice under the same labels.
    #[must_use]
    pub fn metrics(&self) -> (Sums, BTreeSet<String>, BTreeSet<String>) {
        self.metrics.reset();
        self.meters.force_flush().expect("it is there");
        let (mut sums, mut names, mut attributes) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let collected = self.metrics.get_finished_metrics().expect("it is there");
        for metric in collected.iter().flat_map(|all| all.scope_metrics()).flat_map(|scope| scope.metrics()) {
            let mut add = |value: u64, labels: Vec<KeyValue>| {
                let labels = labels.iter().map(|label| (label.key.to_string(), label.value.to_string()));
                let labels: BTreeMap<String, String> = labels.collect();
                attributes.extend(labels.keys().cloned());
                names.insert(metric.name().to_owned());
                let twice = sums.insert((metric.name().to_owned(), labels), value);
                assert!(twice.is_none(), "{} is reported twice", metric.name());
            };
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    sum.data_points().for_each(|at| add(at.value(), at.attributes().cloned().collect()));
                }
                AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                    gauge.data_points().for_each(|at| add(at.value(), at.attributes().cloned().collect()));
                }
                AggregatedMetrics::U64(MetricData::Histogram(all)) => {
                    all.data_points().for_each(|at| add(at.count(), at.attributes().cloned().collect()));
                }
                AggregatedMetrics::F64(MetricData::Histogram(all)) => {
                    all.data_points().for_each(|at| add(at.count(), at.attributes().cloned().collect()));
                }
                _ => {}
            }
        }
        (sums, names, attributes)
    }

    /// How many values a distribution of seconds has, and their sum, whatever their labels.
    ///
    /// # Panics
    /// If the exporter was shut down.
    #[must_use]
    pub fn distribution(&self, name: &str) -> (u64, f64) {
        self.metrics.reset();
        self.meters.force_flush().expect("it is there");
        let collected = self.metrics.get_finished_metrics().expect("it is there");
        let metrics = collected.iter().flat_map(|all| all.scope_metrics()).flat_map(|scope| scope.metrics());
        let mut all = (0, 0.0);
        for metric in metrics.filter(|metric| metric.name() == name) {
            if let AggregatedMetrics::F64(MetricData::Histogram(values)) = metric.data() {
                for at in values.data_points() {
                    all = (all.0 + at.count(), all.1 + at.sum());
                }
            }
        }
        all
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

fn seen(span: &SpanData) -> Seen {
    let id = |context: &opentelemetry::trace::SpanContext| {
        (context.trace_id().to_bytes().to_vec(), context.span_id().to_bytes().to_vec())
    };
    let parent = span.parent_span_id.to_bytes().to_vec();
    Seen {
        name: span.name.to_string(),
        id: id(&span.span_context),
        parent: if parent.iter().all(|byte| *byte == 0) { Vec::new() } else { parent },
        is_client: span.span_kind == SpanKind::Client,
        failed: matches!(span.status, Status::Error { .. }),
        attributes: span.attributes.iter().map(|at| (at.key.to_string(), at.value.to_string())).collect(),
        links: span.links.iter().map(|link| id(&link.span_context)).collect(),
    }
}
