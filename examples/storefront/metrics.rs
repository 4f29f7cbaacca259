//! `/metrics`: what the caches measure and count, as Prometheus scrapes it.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tierstack::otel::OtelRecorder;

use crate::failure::Failure;
use crate::shop::Shop;

/// The instruments of the caches and what reads them, at each scrape.
pub(crate) struct Metrics {
    registry: Registry,
    meters: SdkMeterProvider,
}

impl Metrics {
    /// # Errors
    /// When the registry refuses the exporter.
    pub(crate) fn new() -> Result<Metrics> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let resource = Resource::builder().with_service_name("storefront").build();
        let meters = SdkMeterProvider::builder().with_reader(exporter).with_resource(resource).build();
        Ok(Metrics { registry, meters })
    }

    /// What a namespace records with.
    pub(crate) fn recorder(&self, tracers: &SdkTracerProvider) -> Arc<OtelRecorder> {
        OtelRecorder::builder().meter_provider(&self.meters).tracer_provider(tracers).build()
    }

    /// What the live page reads, as a scrape does.
    pub(crate) fn registry(&self) -> Registry {
        self.registry.clone()
    }
}

/// `GET /metrics`
pub(crate) async fn scrape(State(shop): State<Arc<Shop>>) -> Result<Response, Failure> {
    let text = TextEncoder::new().encode_to_string(&shop.metrics.registry.gather());
    let text = text.map_err(Failure::unscraped)?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}
