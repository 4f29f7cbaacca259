//! Every name that is emitted, in the order of the table in `docs/telemetry.md`, which a test compares with them.

/// Of the tracer, and of the meter.
pub(crate) const LIBRARY: &str = "tierstack";

pub(crate) mod span {
    pub(crate) const LOOKUP: &str = "cache.lookup";
    pub(crate) const ROUND: &str = "cache.round";
    pub(crate) const REQUEST: &str = "cache.request";
    pub(crate) const WAIT: &str = "cache.wait";
    pub(crate) const LOAD: &str = "cache.load";
    pub(crate) const REFRESH: &str = "cache.refresh";
    pub(crate) const INVALIDATE: &str = "cache.invalidate";
}

pub(crate) mod attribute {
    pub(crate) const NAMESPACE: &str = "cache.namespace";
    pub(crate) const ENTITY: &str = "cache.entity";
    pub(crate) const PROJECTION: &str = "cache.projection";
    pub(crate) const TIER: &str = "cache.tier";
    pub(crate) const OUTCOME: &str = "cache.outcome";
    pub(crate) const BATCH_SIZE: &str = "cache.batch.size";
    pub(crate) const REQUEST: &str = "cache.request";
    pub(crate) const FILL_RESULT: &str = "cache.fill.result";
    pub(crate) const RESULT: &str = "cache.result";
    pub(crate) const REASON: &str = "cache.reason";
    pub(crate) const KEYS: &str = "cache.keys";
    pub(crate) const ERROR_TYPE: &str = "error.type";
    pub(crate) const SYSTEM: &str = "db.system.name";
    pub(crate) const DATABASE: &str = "db.namespace";
    pub(crate) const COLLECTION: &str = "db.collection.name";
    pub(crate) const OPERATION: &str = "db.operation.name";
    pub(crate) const OPERATION_SIZE: &str = "db.operation.batch.size";
    pub(crate) const SERVER: &str = "server.address";
    pub(crate) const PORT: &str = "server.port";
}

pub(crate) mod histogram {
    pub(crate) const REQUEST_DURATION: &str = "db.client.operation.duration";
    pub(crate) const REQUEST_SIZE: &str = "cache.request.batch.size";
    pub(crate) const LOAD_DURATION: &str = "cache.load.duration";
    pub(crate) const LOAD_SIZE: &str = "cache.load.batch.size";
    pub(crate) const WAIT_DURATION: &str = "cache.wait.duration";
    pub(crate) const INVALIDATE_DURATION: &str = "cache.invalidate.duration";
    pub(crate) const AGE_AT_HIT: &str = "cache.l1.hit.age";
}
