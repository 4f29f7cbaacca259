//! One request: its lookups, and what each asked of the tiers, in order and in time.

use std::collections::HashMap;
use std::time::SystemTime;

use opentelemetry::Value;
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;
use serde::Serialize;

use crate::traces::{METHOD, STATUS, TARGET};

/// A request that has ended. Times are microseconds since it began.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Request {
    id: String,
    method: String,
    target: String,
    /// None if its client hung up before.
    pub(super) status: Option<i64>,
    took_us: u64,
    lookups: Vec<Lookup>,
    /// Spans that were too many to keep.
    pub(super) left_out: usize,
}

/// A lookup, or an invalidation.
#[derive(Clone, Debug, Serialize)]
struct Lookup {
    what: &'static str,
    entity: String,
    keys: i64,
    outcome: String,
    /// The farthest tier that answered.
    tier: String,
    at_us: u64,
    took_us: u64,
    /// It waited for what another lookup asked.
    followed: bool,
    steps: Vec<Step>,
}

/// A request to a tier.
#[derive(Clone, Debug, Serialize)]
struct Step {
    tier: &'static str,
    /// The command, and what it is for.
    name: String,
    what: String,
    keys: i64,
    /// What became of it, if that is told.
    result: String,
    at_us: u64,
    took_us: u64,
}

impl Request {
    pub(super) fn new(request: &SpanData, spans: &[SpanData], left_out: usize) -> Request {
        let begun = request.start_time;
        let parents: HashMap<SpanId, SpanId> =
            spans.iter().map(|span| (span.span_context.span_id(), span.parent_span_id)).collect();
        let mut spans: Vec<&SpanData> = spans.iter().collect();
        spans.sort_by_key(|span| span.start_time);
        let lookups = spans.iter().filter_map(|span| lookup(span, &spans, &parents, begun));
        Request {
            id: request.span_context.span_id().to_string(),
            method: text(request, METHOD),
            target: text(request, TARGET),
            status: value(request, STATUS).map(|_| number(request, STATUS)),
            took_us: micros(request.start_time, request.end_time),
            lookups: lookups.collect(),
            left_out,
        }
    }
}

fn lookup(
    span: &SpanData,
    spans: &[&SpanData],
    parents: &HashMap<SpanId, SpanId>,
    begun: SystemTime,
) -> Option<Lookup> {
    let what = match &*span.name {
        "cache.lookup" => "lookup",
        "cache.invalidate" => "invalidate",
        _ => return None,
    };
    let steps = spans.iter().filter(|step| is_within(step, span, parents));
    let steps: Vec<Step> = steps.filter_map(|span| step(span, begun)).collect();
    let failed = text(span, "error.type");
    Some(Lookup {
        what,
        entity: text(span, "cache.entity"),
        keys: number(span, "cache.batch.size"),
        outcome: if failed.is_empty() { text(span, "cache.outcome") } else { failed },
        tier: text(span, "cache.tier"),
        at_us: micros(begun, span.start_time),
        took_us: micros(span.start_time, span.end_time),
        followed: steps.is_empty() && !span.links.is_empty(),
        steps,
    })
}

fn step(span: &SpanData, begun: SystemTime) -> Option<Step> {
    let request = text(span, "cache.request");
    let (tier, what) = match &*span.name {
        "cache.load" => ("origin", "load".to_owned()),
        "cache.wait" => ("l2", "wait".to_owned()),
        _ if !request.is_empty() => ("l2", request),
        _ => return None,
    };
    let failed = text(span, "error.type");
    Some(Step {
        tier,
        name: text(span, "db.operation.name"),
        what,
        keys: number(span, "cache.batch.size"),
        result: if failed.is_empty() { text(span, "cache.fill.result") } else { failed },
        at_us: micros(begun, span.start_time),
        took_us: micros(span.start_time, span.end_time),
    })
}

/// Whether a span is below another, at any depth.
fn is_within(span: &SpanData, other: &SpanData, parents: &HashMap<SpanId, SpanId>) -> bool {
    let mut at = span.parent_span_id;
    // A span of somebody else's could be its own parent.
    for _ in 0..parents.len() {
        if at == other.span_context.span_id() {
            return true;
        }
        match parents.get(&at) {
            Some(&parent) => at = parent,
            None => return false,
        }
    }
    false
}

fn value<'a>(span: &'a SpanData, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.value)
}

fn text(span: &SpanData, name: &str) -> String {
    value(span, name).map(|value| value.as_str().into_owned()).unwrap_or_default()
}

fn number(span: &SpanData, name: &str) -> i64 {
    match value(span, name) {
        Some(Value::I64(number)) => *number,
        _ => 0,
    }
}

/// None if a wall clock was set back meanwhile.
fn micros(from: SystemTime, to: SystemTime) -> u64 {
    to.duration_since(from).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
