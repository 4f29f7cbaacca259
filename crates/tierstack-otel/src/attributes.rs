//! Attributes: which words stand for what.

use opentelemetry::KeyValue;
use tierstack_core::record::Unusable;
use tierstack_core::recorder::{Request, Scope, System, Told, Work};
use tierstack_core::{ErrorKind, Filled, Level};

use crate::names::attribute;

pub(crate) fn of_scope(scope: &Scope) -> Vec<KeyValue> {
    let mut all = vec![KeyValue::new(attribute::NAMESPACE, scope.namespace.clone())];
    all.extend(scope.entity.iter().map(|entity| KeyValue::new(attribute::ENTITY, entity.clone())));
    all.extend(scope.projection.iter().map(|name| KeyValue::new(attribute::PROJECTION, name.clone())));
    all
}

/// What the conventions for databases ask for.
pub(crate) fn of_system(work: Work, system: &System, scope: &Scope) -> Vec<KeyValue> {
    let System { name, server, database, .. } = system;
    let mut all = vec![
        KeyValue::new(attribute::SYSTEM, *name),
        KeyValue::new(attribute::OPERATION, operation(work, system)),
    ];
    all.extend(database.iter().map(|name| KeyValue::new(attribute::DATABASE, name.clone())));
    if let Some((address, port)) = server {
        all.push(KeyValue::new(attribute::SERVER, address.clone()));
        all.push(KeyValue::new(attribute::PORT, i64::from(*port)));
    }
    if let (Work::Load, Some(entity)) = (work, &scope.entity) {
        all.push(KeyValue::new(attribute::COLLECTION, entity.clone()));
    }
    all
}

/// The command by which a system is asked.
pub(crate) fn operation(work: Work, system: &System) -> &'static str {
    match work {
        Work::Request(Request::Lease | Request::Fill | Request::Invalidate) => system.writes_by,
        _ => system.reads_by,
    }
}

pub(crate) fn size(keys: usize) -> i64 {
    i64::try_from(keys).unwrap_or(i64::MAX)
}

pub(crate) fn request(request: Request) -> &'static str {
    match request {
        Request::Read => "read",
        Request::Lease => "lease",
        Request::Fill => "fill",
        Request::Invalidate => "invalidate",
    }
}

pub(crate) fn tier(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::L1) => "l1",
        Some(Level::L2) => "l2",
        Some(Level::Origin) => "origin",
        None => "none",
    }
}

pub(crate) fn outcome(told: Told) -> &'static str {
    match told {
        Told::Hit => "hit",
        Told::Stale => "stale",
        Told::Absent => "absent",
        Told::Miss => "miss",
        Told::Bypass => "bypass",
        Told::Error => "error",
    }
}

pub(crate) fn filled(filled: Filled) -> &'static str {
    match filled {
        Filled::Ok => "ok",
        Filled::Lost => "lost",
        Filled::Superseded => "superseded",
        Filled::Unseen => "unseen",
        Filled::Released => "released",
    }
}

pub(crate) fn unusable(why: Unusable) -> &'static str {
    match why {
        Unusable::NotOurs => "not_ours",
        Unusable::Format => "format",
        Unusable::Floor => "floor",
        Unusable::Corrupt => "corrupt",
        Unusable::OtherKey => "other_key",
        Unusable::OtherSchema => "other_schema",
        Unusable::TooLarge => "too_large",
        Unusable::Future => "future",
        Unusable::Payload => "payload",
        Unusable::Dependency => "dependency",
        _ => "_OTHER",
    }
}

/// `None`: it was given up by whoever waited for it.
pub(crate) fn error(kind: Option<ErrorKind>) -> &'static str {
    match kind {
        Some(ErrorKind::Invalid) => "invalid",
        Some(ErrorKind::NotFound) => "not_found",
        Some(ErrorKind::Origin) => "origin",
        Some(ErrorKind::Loader) => "loader",
        Some(ErrorKind::Timeout) => "timeout",
        Some(ErrorKind::Overloaded) => "overloaded",
        Some(ErrorKind::Unavailable) => "unavailable",
        Some(ErrorKind::Undelivered) => "undelivered",
        Some(_) => "_OTHER",
        None => "cancelled",
    }
}
