//! The service below, as the loader of one request at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tower_service::Service;

use super::key::RequestKey;
use crate::loader::{Loader, call_ready};
use crate::tier::BoxFuture;
use crate::{BoxError, CacheKey, Error, Loaded};

/// Whether a response to a request may be kept.
pub(super) type KeepIf<Req, Res> = Arc<dyn Fn(&Req, &Res) -> bool + Send + Sync>;

/// Loads by a call of the service for each request.
pub(super) struct RequestLoader<Req, Res, S> {
    /// The lock is for the clone alone: a service need not be `Sync`.
    service: Mutex<S>,
    keep_if: Option<KeepIf<Req, Res>>,
}

impl<Req, Res, S> RequestLoader<Req, Res, S> {
    pub(super) fn new(service: S, keep_if: Option<KeepIf<Req, Res>>) -> Self {
        RequestLoader { service: Mutex::new(service), keep_if }
    }
}

impl<Req, Res, S> Loader<RequestKey<Req>, Res> for RequestLoader<Req, Res, S>
where
    Req: CacheKey + Clone,
    Res: Send + 'static,
    S: Service<Req, Response = Res, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    fn load<'a>(
        &'a self,
        keys: &'a [RequestKey<Req>],
    ) -> BoxFuture<'a, Result<Loaded<RequestKey<Req>, Res>, Error>> {
        Box::pin(async move {
            let mut loaded = Loaded::rows(Vec::with_capacity(keys.len()));
            // One: the stack knows that its origin answers one key at a time.
            for key in keys {
                let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let response = call_ready(service, key.request().clone()).await?;
                loaded.rows.push((key.clone(), response));
            }
            Ok(loaded)
        })
    }

    fn keeps(&self, key: &RequestKey<Req>, response: &Res) -> bool {
        self.keep_if.as_ref().is_none_or(|keep| keep(key.request(), response))
    }
}
