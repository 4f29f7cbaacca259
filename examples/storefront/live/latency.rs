//! Latency by tier: what the meter's histograms have grown by in the last ten seconds.

use std::collections::VecDeque;

use prometheus::Registry;
use prometheus::proto::MetricFamily;
use serde::Serialize;

/// Samples, half a second apart, that a window spans.
const SAMPLES: usize = 20;

/// What is timed: its tier, what it is, and the histogram it is in, with the request it is of.
const TIMED: [(&str, &str, &str, Option<&str>); 6] = [
    ("l2", "read (MGET)", REQUESTS, Some("read")),
    ("l2", "lease (EVALSHA)", REQUESTS, Some("lease")),
    ("l2", "fill (EVALSHA)", REQUESTS, Some("fill")),
    ("l2", "invalidate (EVALSHA)", REQUESTS, Some("invalidate")),
    ("l2", "wait for another node", "cache_wait_duration_seconds", None),
    ("origin", "load (SELECT)", "cache_load_duration_seconds", None),
];
const REQUESTS: &str = "db_client_operation_duration_seconds";

/// How long one kind of work took, in milliseconds; nothing if there was none in the window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    tier: &'static str,
    what: &'static str,
    /// How often it was done in the window.
    count: u64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

/// Upper bounds in seconds, with how many took at most that long.
type Buckets = Vec<(f64, u64)>;

/// The window.
pub(crate) struct Latencies {
    registry: Registry,
    samples: VecDeque<[Buckets; TIMED.len()]>,
}

impl Latencies {
    pub(crate) fn new(registry: Registry) -> Latencies {
        Latencies { registry, samples: VecDeque::new() }
    }

    /// Nobody has looked for a while: the window begins anew.
    pub(crate) fn forget(&mut self) {
        self.samples.clear();
    }

    /// Takes a sample, and tells what was done since the oldest there is.
    pub(crate) fn read(&mut self) -> Vec<Latency> {
        let families = self.registry.gather();
        let now = TIMED.map(|(_, _, name, request)| buckets(&families, name, request));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(now.clone());
        let before = &self.samples[0];
        let each = TIMED.iter().zip(now.iter().zip(before));
        each.map(|(&(tier, what, ..), (now, before))| {
            let grown = grown(now, before);
            let [p50_ms, p95_ms] = [0.5, 0.95].map(|share| quantile(&grown, share).map(|s| s * 1e3));
            Latency { tier, what, count: grown.last().map_or(0, |bucket| bucket.1), p50_ms, p95_ms }
        })
        .collect()
    }
}

/// The histogram of that name, of all entities.
fn buckets(families: &[MetricFamily], name: &str, request: Option<&str>) -> Buckets {
    let mut sum = Buckets::new();
    for metric in
        families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric())
    {
        let of = metric.get_label().iter().find(|label| label.name() == "cache_request");
        if of.map(|label| label.value()) != request {
            continue;
        }
        for (at, bucket) in metric.get_histogram().get_bucket().iter().enumerate() {
            match sum.get_mut(at) {
                Some(all) => all.1 += bucket.cumulative_count(),
                None => sum.push((bucket.upper_bound(), bucket.cumulative_count())),
            }
        }
        let total = metric.get_histogram().get_sample_count();
        let bounds = metric.get_histogram().get_bucket().len();
        // The exporter leaves the last bound, which is infinite, to the count.
        if metric.get_histogram().get_bucket().last().is_some_and(|last| last.upper_bound().is_finite()) {
            match sum.get_mut(bounds) {
                Some(all) => all.1 += total,
                None => sum.push((f64::INFINITY, total)),
            }
        }
    }
    sum
}

/// What came in between.
fn grown(now: &Buckets, before: &Buckets) -> Buckets {
    let was = |at: usize| before.get(at).map_or(0, |bucket| bucket.1);
    now.iter().enumerate().map(|(at, &(bound, count))| (bound, count.saturating_sub(was(at)))).collect()
}

/// The time that a share of all took at most: within its bucket, as if they were spread evenly. Beyond the last bound, that.
fn quantile(buckets: &Buckets, share: f64) -> Option<f64> {
    let total = buckets.last()?.1;
    let rank = share * total as f64;
    let (mut below, mut counted) = (0.0, 0);
    for &(bound, count) in buckets {
        if total > 0 && count as f64 >= rank && count > counted {
            let within = (rank - counted as f64) / (count - counted) as f64;
            return Some(if bound.is_finite() { below + (bound - below) * within } else { below });
        }
        (below, counted) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let of =
            |counts: [u64; 4]| [0.1, 0.2, 0.4, f64::INFINITY].into_iter().zip(counts).collect::<Buckets>();
        for (counts, share, expected) in [
            ([0, 0, 0, 0], 0.5, None),
            ([10, 10, 10, 10], 0.5, Some(0.05)),
            ([0, 10, 10, 10], 0.5, Some(0.15)),
            ([0, 10, 10, 10], 0.95, Some(0.195)),
            ([5, 5, 10, 10], 0.95, Some(0.38)),
            ([0, 0, 0, 3], 0.5, Some(0.4)),
        ] {
            let is = quantile(&of(counts), share);
            let near = match (is, expected) {
                (Some(is), Some(expected)) => (is - expected).abs() < 1e-9,
                (is, expected) => is == expected,
            };
            assert!(near, "{counts:?} {share}: {is:?}, not {expected:?}");
        }
        assert_eq!(quantile(&Buckets::new(), 0.5), None);
        assert_eq!(grown(&of([1, 2, 3, 4]), &of([1, 1, 1, 1])), of([0, 1, 2, 3]));
        assert_eq!(grown(&of([1, 2, 3, 4]), &Buckets::new()), of([1, 2, 3, 4]));
    }
}
