//! The last requests: their spans, kept as they end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TraceContextExt, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::request::Request;
use crate::traces::SCOPE;

/// Requests that are kept.
const LAST: usize = 12;
/// Requests under way; when there are more, the oldest is left out.
const UNDER_WAY: usize = 256;
/// Spans of one request; what is beyond is counted.
const SPANS: usize = 40;

/// A processor of spans that keeps the last requests. What isn't part of a request, as a refresh behind an answer, is no
/// path of anyone's, and is left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    under_way: VecDeque<Trace>,
    ended: VecDeque<Request>,
}

#[derive(Debug)]
struct Trace {
    id: TraceId,
    root: SpanId,
    /// Spans that have begun, and not ended. A round may end behind the answer, so the request's span isn't always the last.
    open: usize,
    request: Option<SpanData>,
    spans: Vec<SpanData>,
    left_out: usize,
}

impl Paths {
    /// The last requests that have ended with all that was done for them, the newest first.
    pub(crate) fn last(&self) -> Vec<Request> {
        self.lock().ended.iter().rev().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn end(&mut self, span: SpanData) {
        let id = span.span_context.trace_id();
        let Some(at) = self.under_way.iter().rposition(|trace| trace.id == id) else { return };
        let trace = &mut self.under_way[at];
        trace.open = trace.open.saturating_sub(1);
        if span.span_context.span_id() == trace.root {
            trace.request = Some(span);
        } else if trace.spans.len() < SPANS {
            trace.spans.push(span);
        } else {
            trace.left_out += 1;
        }
        if trace.open > 0 {
            return;
        }
        let Some(Trace { request: Some(request), spans, left_out, .. }) = self.under_way.remove(at) else {
            return;
        };
        if self.ended.len() == LAST {
            self.ended.pop_front();
        }
        self.ended.push_back(Request::new(&request, &spans, left_out));
    }
}

impl SpanProcessor for Paths {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let (id, root) = (span.span_context().trace_id(), span.span_context().span_id());
        let mut kept = self.lock();
        if let Some(trace) = kept.under_way.iter_mut().rfind(|trace| trace.id == id) {
            trace.open += 1;
        } else if !context.has_active_span()
            && span.exported_data().is_some_and(|data| data.instrumentation_scope.name() == SCOPE)
        {
            if kept.under_way.len() == UNDER_WAY {
                kept.under_way.pop_front();
            }
            let trace = Trace { id, root, open: 1, request: None, spans: Vec::new(), left_out: 0 };
            kept.under_way.push_back(trace);
        }
    }

    fn on_end(&self, span: SpanData) {
        self.lock().end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

    use super::*;

    fn tracer(paths: &Paths, scope: &'static str) -> SdkTracer {
        SdkTracerProvider::builder().with_span_processor(paths.clone()).build().tracer(scope)
    }

    fn child(tracer: &SdkTracer, parent: &Context) -> Context {
        parent.with_span(tracer.start_with_context("cache.lookup", parent))
    }

    #[test]
    fn a_request_is_told_when_all_of_it_has_ended() {
        let paths = Paths::default();
        let tracer = tracer(&paths, SCOPE);
        let request = child(&tracer, &Context::new());
        let lookup = child(&tracer, &request);
        request.span().end();
        assert!(paths.last().is_empty(), "a part is under way");
        lookup.span().end();
        assert_eq!(paths.last().len(), 1);
        assert!(paths.lock().under_way.is_empty());
    }

    #[test]
    fn a_request_whose_client_hangs_up_has_no_status() {
        let paths = Paths::default();
        drop(child(&tracer(&paths, SCOPE), &Context::new()));
        assert_eq!(paths.last()[0].status, None);
    }

    #[test]
    fn everything_is_bounded() {
        let paths = Paths::default();
        let tracer = tracer(&paths, SCOPE);
        let oldest = child(&tracer, &Context::new());
        let under_way: Vec<Context> = (0..UNDER_WAY).map(|_| child(&tracer, &Context::new())).collect();
        assert_eq!(paths.lock().under_way.len(), UNDER_WAY);
        oldest.span().end();
        assert!(paths.last().is_empty(), "the oldest was left out");
        for request in &under_way {
            request.span().end();
        }
        assert_eq!(paths.last().len(), LAST);

        let request = child(&tracer, &Context::new());
        for _ in 0..SPANS + 3 {
            child(&tracer, &request).span().end();
        }
        request.span().end();
        assert_eq!(paths.last()[0].left_out, 3);
    }

    #[test]
    fn what_is_part_of_no_request_is_left_out() {
        let paths = Paths::default();
        child(&tracer(&paths, "tierstack"), &Context::new()).span().end();
        assert!(paths.last().is_empty() && paths.lock().under_way.is_empty());
    }
}
