//! What a recorder may read of a namespace.

use std::fmt;
use std::sync::{Arc, Weak};

use super::Scope;
use crate::namespace::Shared;
use crate::{CacheStats, Namespace};

impl Namespace {
    /// The namespace as a recorder names it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match &self.0.traced {
            Some(traced) => traced.scope.clone(),
            None => Scope { namespace: self.name().into(), entity: None, projection: None },
        }
    }

    /// What was counted of each of its caches on this node, if a recorder was handed in.
    #[must_use]
    pub fn caches(&self) -> Vec<CacheStats> {
        self.locals().iter().filter_map(|cache| cache.counted()).collect()
    }

    /// A reference that doesn't keep it.
    #[must_use]
    pub fn downgrade(&self) -> WeakNamespace {
        WeakNamespace(Arc::downgrade(&self.0))
    }
}

/// A reference to a namespace that doesn't keep it.
#[derive(Clone)]
pub struct WeakNamespace(Weak<Shared>);

impl WeakNamespace {
    /// The namespace, if it is still there.
    #[must_use]
    pub fn upgrade(&self) -> Option<Namespace> {
        self.0.upgrade().map(Namespace)
    }
}

impl fmt::Debug for WeakNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakNamespace")
    }
}
