//! Distributions: what is timed or sized when it ends.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use tierstack_core::recorder::{Measure, Work};

use crate::attributes::{self, of_scope, of_system};
use crate::names::{attribute, histogram};

pub(crate) struct Measured {
    request_duration: Histogram<f64>,
    request_size: Histogram<u64>,
    load_duration: Histogram<f64>,
    load_size: Histogram<u64>,
    wait_duration: Histogram<f64>,
    invalidate_duration: Histogram<f64>,
    age_at_hit: Histogram<f64>,
}

/// From what a local Redis takes to what a deadline allows.
const SECONDS: [f64; 15] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Lives of entries.
const AGES: [f64; 11] = [0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0];
const KEYS: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 10_000.0];

impl Measured {
    pub(crate) fn new(meter: &Meter) -> Self {
        let seconds = |name, description, bounds: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let keys = |name, description| {
            let histogram = meter.u64_histogram(name).with_unit("{key}").with_description(description);
            histogram.with_boundaries(KEYS.to_vec()).build()
        };
        Measured {
            request_duration: seconds(histogram::REQUEST_DURATION, "Requests to L2", &SECONDS),
            request_size: keys(histogram::REQUEST_SIZE, "Keys of a request to L2"),
            load_duration: seconds(histogram::LOAD_DURATION, "Loads at the origin", &SECONDS),
            load_size: keys(histogram::LOAD_SIZE, "Keys of a load"),
            wait_duration: seconds(histogram::WAIT_DURATION, "Waits for another node's load", &SECONDS),
            invalidate_duration: seconds(
                histogram::INVALIDATE_DURATION,
                "Invalidations and marks, to every tier",
                &SECONDS,
            ),
            age_at_hit: seconds(histogram::AGE_AT_HIT, "Age of an entry at a hit in L1, one in 1,024", &AGES),
        }
    }

    pub(crate) fn take(&self, measure: &Measure<'_>) {
        match *measure {
            Measure::Ended { work, scope, system, keys, took, failed } => {
                let (duration, size) = match work {
                    Work::Request(_) => (&self.request_duration, Some(&self.request_size)),
                    Work::Load => (&self.load_duration, Some(&self.load_size)),
                    Work::Wait => (&self.wait_duration, None),
                    Work::Invalidate => (&self.invalidate_duration, None),
                    _ => return,
                };
                let mut all = of_scope(scope);
                all.extend(system.iter().flat_map(|system| of_system(work, system, scope)));
                if let Work::Request(request) = work {
                    all.push(KeyValue::new(attribute::REQUEST, attributes::request(request)));
                }
                if let Some(size) = size {
                    size.record(keys as u64, &all);
                }
                all.extend(failed.map(|kind| KeyValue::new(attribute::ERROR_TYPE, attributes::error(kind))));
                duration.record(took.as_secs_f64(), &all);
            }
            Measure::AgeAtHit { scope, age } => self.age_at_hit.record(age.as_secs_f64(), &of_scope(scope)),
            _ => {}
        }
    }
}
