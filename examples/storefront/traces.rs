//! A span around each request of the shop, and what keeps the last of them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::trace::{FutureExt, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::live::Paths;
use crate::shop::Shop;

/// The scope of the requests' spans; those of the caches have another.
pub(crate) const SCOPE: &str = "storefront";
pub(crate) const METHOD: &str = "http.request.method";
pub(crate) const STATUS: &str = "http.response.status_code";
pub(crate) const TARGET: &str = "storefront.target";

/// A longer address is cut: a span is kept in memory.
const LONGEST_TARGET: usize = 60;

pub(crate) struct Traces {
    pub(crate) provider: SdkTracerProvider,
    pub(crate) paths: Paths,
    tracer: SdkTracer,
}

impl Traces {
    pub(crate) fn new() -> Traces {
        let paths = Paths::default();
        // An application adds a processor that exports.
        let provider = SdkTracerProvider::builder().with_span_processor(paths.clone()).build();
        let tracer = provider.tracer(SCOPE);
        Traces { provider, paths, tracer }
    }
}

/// What a request looks up is part of its span.
pub(crate) async fn traced(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut shown: String = target.chars().take(LONGEST_TARGET).collect();
    if shown.len() < target.len() {
        shown.push('…');
    }
    // The conventions want few names, so the address is no part of it.
    let span = shop.traces.tracer.span_builder(request.method().to_string()).with_kind(SpanKind::Server);
    let span = span
        .with_attributes([KeyValue::new(METHOD, request.method().to_string()), KeyValue::new(TARGET, shown)]);
    let context = Context::new().with_span(shop.traces.tracer.build_with_context(span, &Context::new()));
    let response = next.run(request).with_context(context.clone()).await;
    context.span().set_attribute(KeyValue::new(STATUS, i64::from(response.status().as_u16())));
    context.span().end();
    response
}
