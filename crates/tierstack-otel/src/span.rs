//! A span under way, in the context that what is part of it runs in.

use opentelemetry::trace::{
    SpanContext, SpanId as Id, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use tierstack_core::recorder::{Fact, Span, SpanId};

use crate::attributes;
use crate::names::attribute;

pub(crate) struct OtelSpan {
    pub(crate) context: Context,
    /// Whether it was begun for this; else it is its caller's, and left alone.
    pub(crate) own: bool,
}

/// What a link leads to.
pub(crate) fn linked(to: SpanId) -> SpanContext {
    let (trace, span) = (TraceId::from_bytes(to.trace), Id::from_bytes(to.span));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default())
}

impl Span for OtelSpan {
    fn within(&self, work: &mut dyn FnMut()) {
        let _current = self.context.clone().attach();
        work();
    }

    fn note(&self, fact: Fact) {
        if !self.own {
            return;
        }
        let span = self.context.span();
        match fact {
            Fact::Told(told, tier) => span.set_attributes([
                KeyValue::new(attribute::OUTCOME, attributes::outcome(told)),
                KeyValue::new(attribute::TIER, attributes::tier(tier)),
            ]),
            Fact::Filled(filled) => {
                span.set_attribute(KeyValue::new(attribute::FILL_RESULT, attributes::filled(filled)));
            }
            Fact::Failed(kind) => {
                let error = attributes::error(kind);
                span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error));
                span.set_status(Status::error(error));
            }
            _ => {}
        }
    }

    fn link(&self, to: SpanId) {
        if self.own {
            self.context.span().add_link(linked(to), Vec::new());
        }
    }

    fn end(&self) {
        if self.own {
            self.context.span().end();
        }
    }

    fn id(&self) -> Option<SpanId> {
        let span = self.context.span();
        let context = span.span_context();
        (context.is_valid() && context.is_sampled())
            .then(|| SpanId { trace: context.trace_id().to_bytes(), span: context.span_id().to_bytes() })
    }
}
