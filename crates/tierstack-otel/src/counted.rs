//! Counts: read from the caches' own counters when the meter collects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use tierstack_core::record::Unusable;
use tierstack_core::recorder::{Scope, Told};
use tierstack_core::{BusStats, CacheStats, Filled, Level, Namespace, WeakNamespace, WriteStats};

use crate::attributes::{self, of_scope};
use crate::names::attribute;

/// The namespaces that are observed.
#[derive(Clone, Default)]
pub(crate) struct Counted(Arc<Mutex<Vec<WeakNamespace>>>);

/// What is added to the labels of the scope, at most.
type Labels = [Option<(&'static str, &'static str)>; 2];

const NONE: Labels = [None, None];

fn one(name: &'static str, value: &'static str) -> Labels {
    [Some((name, value)), None]
}

/// What a number is, and what those of several nodes of one namespace come to.
#[derive(Clone, Copy)]
enum Kind {
    /// It only grows; their sum.
    Count,
    /// As of now; their sum.
    Now,
    /// As of now; the greatest of them.
    Most,
}
use Kind::{Count, Most, Now};

type Of<S> = (Kind, &'static str, &'static str, &'static str, fn(&S, &mut dyn FnMut(Labels, u64)));

/// Of each cache.
const OF_CACHES: &[Of<CacheStats>] = &[
    (Count, "cache.lookups", "{key}", "Keys looked up: each ends in exactly one outcome", lookups),
    (Count, "cache.loads", "{load}", "Loads, each of one batch", |of, add| add(NONE, of.stats.loads)),
    (Count, "cache.load.failures", "{load}", "Loads that failed, timed out or were refused", |of, add| {
        add(NONE, of.stats.failed_loads);
    }),
    (Count, "cache.requests", "{request}", "Requests of lookups to L2", |of, add| {
        add(NONE, of.stats.l2_requests)
    }),
    (Count, "cache.request.failures", "{key}", "Keys of requests to L2 that failed", |of, add| {
        add(NONE, of.stats.l2_failures);
    }),
    (Count, "cache.bypasses", "{key}", "Keys loaded without a right to fill L2", |of, add| {
        add(NONE, of.stats.bypasses);
    }),
    (Count, "cache.waits", "{key}", "Keys that waited for another node's load", |of, add| {
        add(NONE, of.stats.waits)
    }),
    (Count, "cache.followers", "{key}", "Keys that followed another lookup of this process", |of, add| {
        add(NONE, of.stats.followed);
    }),
    (
        Count,
        "cache.abandoned",
        "{key}",
        "Keys looked up to the end though nobody waited any more",
        |of, add| {
            add(NONE, of.stats.abandoned);
        },
    ),
    (Count, "cache.overloads", "{key}", "Keys refused, as too many were being looked up", |of, add| {
        add(NONE, of.stats.overloads);
    }),
    (Count, "cache.fills", "{key}", "Fills of L2 by what became of them", |of, add| {
        for (filled, count) in Filled::ALL.into_iter().zip(of.stats.fills) {
            add(one(attribute::FILL_RESULT, attributes::filled(filled)), count);
        }
    }),
    (Count, "cache.unfillable", "{key}", "Rows too large for L2, or not writable", |of, add| {
        add(NONE, of.stats.unfillable);
    }),
    (Count, "cache.unusable", "{record}", "Records of L2 that could not answer, by reason", |of, add| {
        for (why, count) in Unusable::ALL.into_iter().zip(of.stats.unusable) {
            add(one(attribute::REASON, attributes::unusable(why)), count);
        }
    }),
    (Count, "cache.refreshes", "{key}", "Keys whose refresh was begun, put off, or failed", |of, add| {
        add(one(attribute::RESULT, "begun"), of.stats.refreshes);
        add(one(attribute::RESULT, "skipped"), of.stats.refreshes_skipped);
        add(one(attribute::RESULT, "failed"), of.stats.refreshes_failed);
    }),
    (Count, "cache.invalidations", "{key}", "Keys invalidated by this cache", |of, add| {
        add(NONE, of.stats.invalidations);
    }),
    (Now, "cache.l1.entries", "{entry}", "Entries in L1, about", |of, add| add(NONE, of.l1_len)),
    (Now, "cache.flights", "{task}", "Tasks that look keys up", |of, add| add(NONE, of.flights)),
];

/// Of the writes of each namespace.
const OF_WRITES: &[Of<WriteStats>] = &[
    (Count, "cache.writes", "{write}", "Writes by what became of them", |of, add| {
        add(one(attribute::RESULT, "begun"), of.begun);
        add(one(attribute::RESULT, "committed"), of.committed);
        add(one(attribute::RESULT, "rolled_back"), of.rolled_back);
        add(one(attribute::RESULT, "abandoned"), of.abandoned);
    }),
    (Count, "cache.write.requests", "{request}", "Requests of writes to L2", |of, add| {
        add(NONE, of.requests)
    }),
    (Count, "cache.write.failures", "{key}", "Keys that could not be invalidated at once", |of, add| {
        add(NONE, of.failures);
    }),
    (Count, "cache.write.puts", "{key}", "Rows of writes that L2 took, or refused", |of, add| {
        add(one(attribute::RESULT, "taken"), of.put);
        add(one(attribute::RESULT, "refused"), of.put_refused);
    }),
    (Now, "cache.write.undelivered", "{key}", "Keys whose invalidation has not reached L2", |of, add| {
        add(NONE, of.undelivered);
    }),
];

/// Of the bus of each namespace.
const OF_BUS: &[Of<BusStats>] = &[
    (Count, "cache.bus.subscriptions", "{subscription}", "Subscriptions confirmed", |of, add| {
        add(NONE, of.subscriptions);
    }),
    (Count, "cache.bus.messages", "{message}", "Messages heard", |of, add| add(NONE, of.messages)),
    (Count, "cache.bus.keys", "{key}", "Keys heard to be invalid", |of, add| add(NONE, of.keys)),
    (Count, "cache.bus.unreadable", "{message}", "Messages that could not be read", |of, add| {
        add(NONE, of.unreadable);
    }),
    (Count, "cache.bus.beats_lost", "{beat}", "Heartbeats not heard in time", |of, add| {
        add(NONE, of.beats_lost)
    }),
    (Most, "cache.bus.lag", "ms", "For how long this node has been deaf; 0 if it hears", |of, add| {
        add(NONE, of.deaf_for.map_or(0, |lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)));
    }),
];

/// Each key that a caller was told of, in exactly one outcome.
fn lookups(of: &CacheStats, add: &mut dyn FnMut(Labels, u64)) {
    let stats = &of.stats;
    let mut told = |tier, told, count| {
        let tier = (attribute::TIER, attributes::tier(tier));
        add([Some(tier), Some((attribute::OUTCOME, attributes::outcome(told)))], count);
    };
    for (level, answered) in [(Level::L1, stats.l1), (Level::L2, stats.l2)] {
        told(Some(level), Told::Hit, answered.fresh);
        told(Some(level), Told::Stale, answered.stale);
        told(Some(level), Told::Absent, answered.absent);
    }
    let origin = Some(Level::Origin);
    told(origin, Told::Miss, stats.origin.fresh - stats.past_l2);
    told(origin, Told::Bypass, stats.past_l2);
    told(origin, Told::Stale, stats.origin.stale);
    told(origin, Told::Absent, stats.origin.absent);
    told(None, Told::Miss, stats.unknown);
    told(None, Told::Error, stats.errors);
}

impl Counted {
    /// Observes nothing yet.
    pub(crate) fn new(meter: &Meter) -> Self {
        let counted = Counted::default();
        counted.instruments(meter, OF_CACHES, |namespace| {
            namespace.caches().into_iter().map(|of| (of.scope.clone(), of)).collect()
        });
        counted.instruments(meter, OF_WRITES, |namespace| vec![(namespace.scope(), namespace.write_stats())]);
        counted.instruments(meter, OF_BUS, |namespace| {
            namespace.bus_stats().map(|stats| (namespace.scope(), stats)).into_iter().collect()
        });
        counted
    }

    pub(crate) fn add(&self, namespace: WeakNamespace) {
        let mut namespaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.retain(|there| there.upgrade().is_some());
        namespaces.push(namespace);
    }

    fn instruments<S: 'static>(
        &self,
        meter: &Meter,
        table: &[Of<S>],
        read: fn(&Namespace) -> Vec<(Scope, S)>,
    ) {
        for &(kind, name, unit, description, of) in table {
            let counted = self.clone();
            let observe = move |with: &dyn AsyncInstrument<u64>| counted.observe(with, kind, read, of);
            match kind {
                Count => {
                    let instrument = meter.u64_observable_counter(name).with_unit(unit);
                    instrument.with_description(description).with_callback(observe).build();
                }
                Now | Most => {
                    let instrument = meter.u64_observable_gauge(name).with_unit(unit);
                    instrument.with_description(description).with_callback(observe).build();
                }
            }
        }
    }

    /// Two nodes of one namespace in one process are one number: of two observations under the same labels one would be lost.
    fn observe<S>(
        &self,
        with: &dyn AsyncInstrument<u64>,
        kind: Kind,
        read: fn(&Namespace) -> Vec<(Scope, S)>,
        of: fn(&S, &mut dyn FnMut(Labels, u64)),
    ) {
        let namespaces: Vec<Namespace> = {
            let namespaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            namespaces.iter().filter_map(WeakNamespace::upgrade).collect()
        };
        let mut sums: HashMap<(Scope, Labels), u64> = HashMap::new();
        for (scope, stats) in namespaces.iter().flat_map(read) {
            of(&stats, &mut |labels, count| {
                let sum = sums.entry((scope.clone(), labels)).or_default();
                *sum = if matches!(kind, Most) { count.max(*sum) } else { count + *sum };
            });
        }
        for ((scope, labels), sum) in sums {
            let mut all = of_scope(&scope);
            all.extend(labels.into_iter().flatten().map(|(name, value)| KeyValue::new(name, value)));
            with.observe(sum, &all);
        }
    }
}
