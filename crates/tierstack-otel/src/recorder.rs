//! The recorder: spans by a tracer, measures by a meter.

use std::fmt;
use std::sync::Arc;

use opentelemetry::global::{self, BoxedTracer, ObjectSafeTracer};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use tierstack_core::WeakNamespace;
use tierstack_core::recorder::{Begin, Current, Measure, Parent, Recorder, Span, Work};

use crate::attributes::{self, of_scope, of_system, size};
use crate::counted::Counted;
use crate::measured::Measured;
use crate::names::{LIBRARY, attribute, span};
use crate::span::{OtelSpan, linked};

/// What a span of a lookup says of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keys {
    /// Nothing.
    #[default]
    LeftOut,
    /// The XXH3 hash (64 bits, seed 0) of each key's text, in 16 hexadecimal digits: the same on every machine, and in every
    /// release. Whoever can guess a key can find it by its hash.
    Hashed,
    /// Their text as it is.
    Plain,
}

/// A span names so many of its keys, at most.
const MOST_KEYS: usize = 16;

/// Records what caches do by OpenTelemetry. One serves any number of namespaces; they are observed as long as they are
/// there.
pub struct OtelRecorder {
    tracer: BoxedTracer,
    measured: Measured,
    counted: Counted,
    keys: Keys,
}

impl OtelRecorder {
    /// Records by the global providers as they are now: to be called after the application has set them.
    #[must_use]
    pub fn global() -> Arc<Self> {
        OtelRecorder::builder().build()
    }

    /// Begins one with other providers or settings.
    pub fn builder() -> Builder {
        Builder { tracer: None, meter: None, keys: Keys::default() }
    }
}

/// An [`OtelRecorder`] being built.
#[must_use]
pub struct Builder {
    tracer: Option<BoxedTracer>,
    meter: Option<Meter>,
    keys: Keys,
}

impl Builder {
    /// Sets what makes spans. Default: the global tracer provider.
    pub fn tracer_provider<P>(mut self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: ObjectSafeTracer + Send + Sync + 'static,
    {
        self.tracer = Some(BoxedTracer::new(Box::new(provider.tracer(LIBRARY))));
        self
    }

    /// Sets what makes instruments. Default: the global meter provider.
    pub fn meter_provider(mut self, provider: &impl MeterProvider) -> Self {
        self.meter = Some(provider.meter(LIBRARY));
        self
    }

    /// Sets what spans say of keys. Default: nothing.
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// The recorder. Its instruments stand for the life of the meter: build one, and share it. Of two recorders on one meter
    /// that serve namespaces of one name, the counts of one are lost.
    #[must_use]
    pub fn build(self) -> Arc<OtelRecorder> {
        let Builder { tracer, meter, keys } = self;
        let tracer = tracer.unwrap_or_else(|| global::tracer(LIBRARY));
        let meter = meter.unwrap_or_else(|| global::meter(LIBRARY));
        Arc::new(OtelRecorder {
            tracer,
            measured: Measured::new(&meter),
            counted: Counted::new(&meter),
            keys,
        })
    }
}

impl Recorder for OtelRecorder {
    #[inline]
    fn current(&self) -> Current {
        Context::map_current(|context| {
            if !context.has_active_span() {
                return Current::None;
            }
            let span = context.span();
            match span.span_context() {
                context if !context.is_valid() => Current::None,
                context if context.is_sampled() => Current::Recorded,
                _ => Current::Dropped,
            }
        })
    }

    fn begin(&self, begin: &Begin<'_>) -> Arc<dyn Span> {
        let &Begin { work, scope, keys, keys_text, system, parent, .. } = begin;
        let context = Context::current();
        if parent == Parent::Current && self.current() == Current::Dropped {
            return Arc::new(OtelSpan { context, own: false });
        }
        let (name, mut kind) = match work {
            Work::Lookup => (span::LOOKUP, SpanKind::Internal),
            Work::Round => (span::ROUND, SpanKind::Internal),
            Work::Wait => (span::WAIT, SpanKind::Internal),
            Work::Load => (span::LOAD, SpanKind::Internal),
            Work::Refresh => (span::REFRESH, SpanKind::Internal),
            Work::Invalidate => (span::INVALIDATE, SpanKind::Internal),
            _ => (span::REQUEST, SpanKind::Client),
        };
        let mut all = of_scope(scope);
        all.push(KeyValue::new(attribute::BATCH_SIZE, size(keys)));
        let mut name = name;
        if let Some(system) = system {
            kind = SpanKind::Client;
            all.extend(of_system(work, system, scope));
        }
        if let Work::Request(request) = work {
            all.push(KeyValue::new(attribute::TIER, "l2"));
            all.push(KeyValue::new(attribute::REQUEST, attributes::request(request)));
            if let Some(system) = system {
                // The conventions name a span after what is asked of the database.
                name = attributes::operation(work, system);
                // One is no batch to them.
                if keys > 1 {
                    all.push(KeyValue::new(attribute::OPERATION_SIZE, size(keys)));
                }
            }
        }
        all.extend(keys_text.and_then(|text| self.keys(text)));
        let mut builder = self.tracer.span_builder(name).with_kind(kind).with_attributes(all);
        let parent = match parent {
            Parent::Current => context.clone(),
            Parent::CausedBy(cause) => {
                let links = cause.map(|cause| Link::with_context(linked(cause)));
                builder = builder.with_links(links.into_iter().collect());
                Context::new()
            }
        };
        let span = self.tracer.build_with_context(builder, &parent);
        Arc::new(OtelSpan { context: parent.with_span(span), own: true })
    }

    fn measure(&self, measure: &Measure<'_>) {
        self.measured.take(measure);
    }

    fn attach(&self, namespace: WeakNamespace) {
        self.counted.add(namespace);
    }
}

impl OtelRecorder {
    fn keys(&self, text: &dyn Fn() -> Vec<String>) -> Option<KeyValue> {
        let shown: fn(String) -> String = match self.keys {
            Keys::LeftOut => return None,
            Keys::Hashed => |text| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes())),
            Keys::Plain => |text| text,
        };
        let keys: Vec<StringValue> =
            text().into_iter().take(MOST_KEYS).map(|text| shown(text).into()).collect();
        Some(KeyValue::new(attribute::KEYS, Value::Array(Array::String(keys))))
    }
}

impl fmt::Debug for OtelRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelRecorder").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("keys", &self.keys).finish_non_exhaustive()
    }
}
