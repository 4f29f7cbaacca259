//! A receiver of OTLP, by gRPC and by HTTP, that keeps what it gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tests_telemetry::{Seen, Spans, Sums};
use tokio::net::TcpListener;
use tonic::transport::server::{Router, Server, TcpIncoming};
use tonic::{Request, Response, Status};

/// Listens until it is dropped with its runtime.
pub(crate) struct Receiver {
    grpc: SocketAddr,
    http: SocketAddr,
    kept: Kept,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Requests>>);

#[derive(Default)]
struct Requests {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let kept = Kept::default();
        let by_grpc = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let grpc = by_grpc.local_addr().expect("a port");
        let services: Router = Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()))
            .add_service(MetricsServiceServer::new(kept.clone()));
        tokio::spawn(services.serve_with_incoming(TcpIncoming::from(by_grpc)));
        let by_http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let http = by_http.local_addr().expect("a port");
        let routes = axum::Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .with_state(kept.clone());
        tokio::spawn(async move { axum::serve(by_http, routes).await });
        Receiver { grpc, http, kept }
    }

    pub(crate) fn grpc(&self) -> String {
        format!("http://{}", self.grpc)
    }

    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    pub(crate) fn spans(&self) -> Spans {
        let kept = self.kept.0.lock().unwrap();
        let spans = kept.traces.iter().flat_map(|request| &request.resource_spans);
        let spans = spans.flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans);
        Spans(spans.map(seen).collect())
    }

    /// Sums as they last were, by name and labels.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        self.each(|name, data| {
            let metric::Data::Sum(sum) = data else { return };
            for at in &sum.data_points {
                if let Some(number_data_point::Value::AsInt(value)) = at.value {
                    sums.insert((name.to_owned(), labels(&at.attributes)), value as u64);
                }
            }
        });
        sums
    }

    /// How many values a histogram has.
    pub(crate) fn count(&self, of: &str) -> u64 {
        let mut count = 0;
        self.each(|name, data| {
            if let metric::Data::Histogram(histogram) = data
                && name == of
            {
                count = histogram.data_points.iter().map(|at| at.count).sum();
            }
        });
        count
    }

    fn each(&self, mut take: impl FnMut(&str, &metric::Data)) {
        let kept = self.kept.0.lock().unwrap();
        let metrics = kept.metrics.iter().flat_map(|request| &request.resource_metrics);
        for metric in metrics.flat_map(|of| &of.scope_metrics).flat_map(|of| &of.metrics) {
            if let Some(data) = &metric.data {
                take(&metric.name, data);
            }
        }
    }
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn labels(all: &[KeyValue]) -> BTreeMap<String, String> {
    all.iter().map(|at| (at.key.clone(), at.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn seen(span: &Span) -> Seen {
    Seen {
        name: span.name.clone(),
        id: (span.trace_id.clone(), span.span_id.clone()),
        parent: span.parent_span_id.clone(),
        is_client: span.kind() == SpanKind::Client,
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        attributes: labels(&span.attributes),
        links: span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect(),
    }
}

async fn traces(State(kept): State<Kept>, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request");
    kept.0.lock().unwrap().traces.push(request);
    ExportTraceServiceResponse::default().encode_to_vec()
}

async fn metrics(State(kept): State<Kept>, body: Bytes) -> Vec<u8> {
    let request = ExportMetricsServiceRequest::decode(body).expect("a request");
    kept.0.lock().unwrap().metrics.push(request);
    ExportMetricsServiceResponse::default().encode_to_vec()
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().traces.push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.0.lock().unwrap().metrics.push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}
