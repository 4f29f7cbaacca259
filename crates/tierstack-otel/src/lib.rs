//! Traces and metrics of a [`Namespace`](tierstack_core::Namespace), on the OpenTelemetry API.
//!
//! ```
//! use tierstack_core::Namespace;
//! use tierstack_otel::OtelRecorder;
//! # fn main() -> Result<(), tierstack_core::Error> {
//! // After the application has set its global providers.
//! let shop = Namespace::builder("shop").recorder(OtelRecorder::global()).build()?;
//! # Ok(()) }
//! ```
//!
//! The SDK, its sampler and its exporters are the application's. With providers of its own, and keys in its spans:
//!
//! ```
//! use opentelemetry::metrics::noop::NoopMeterProvider;
//! use opentelemetry::trace::noop::NoopTracerProvider;
//! use tierstack_otel::{Keys, OtelRecorder};
//! let recorder = OtelRecorder::builder()
//!     .tracer_provider(&NoopTracerProvider::new())
//!     .meter_provider(&NoopMeterProvider::new())
//!     .keys(Keys::Hashed)
//!     .build();
//! ```
//!
//! 1. A lookup is a span, with what was done for it: the round that looked it up, requests to L2, the load. Work that one
//!    task does for several lookups is part of the first, and the others are linked to it; a refresh is a trace of its own,
//!    linked to the lookup that caused it.
//! 2. The span of whoever asks is the parent, also of one made with `tracing` if its bridge to OpenTelemetry is there; and
//!    what a loader records is part of the load, in whatever task that runs.
//! 3. An L1 hit is a span only if its caller's is sampled; else it costs one look at the current context.
//! 4. What is counted is read from the caches' own counters when the meter collects. No label has a key in it.
//! 5. Keys are left out unless [`Keys`] says otherwise; values always are.
//!
//! `docs/telemetry.md` has the table of all names.

mod attributes;
mod counted;
mod measured;
mod names;
mod recorder;
mod span;

pub use recorder::{Builder, Keys, OtelRecorder};
