//! A server that listens, until it is told to end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, put};
use tierstack::http::LookupsLayer;
use tierstack::http::axum::health_routes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::live::{self, Live};
use crate::shop::Shop;
use crate::traces::traced;
use crate::{films, metrics, people, stats};

/// Requests under way at the end have so much time.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) live: Arc<Live>,
    /// Dropped to end it.
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Serving {
    /// Listens on that port of this machine; on a free one if it is 0.
    ///
    /// # Errors
    /// When it can't.
    pub(crate) async fn begin(port: u16, shop: &Arc<Shop>) -> Result<Serving> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("can't listen: see PORT")?;
        let address = listener.local_addr()?;
        let live = Live::begin(shop);
        let (stop, stopped) = oneshot::channel::<()>();
        let streams = live.clone();
        let serve = axum::serve(listener, router(shop.clone(), live.clone()));
        let serve = serve.with_graceful_shutdown(async move {
            // A dropped sender stops it, too.
            let _ = stopped.await;
            // It waits for open responses, and these are open for as long as somebody looks.
            streams.end();
        });
        let served = tokio::spawn(serve.into_future());
        Ok(Serving { address, live, stop, served })
    }

    /// Takes no more requests, and waits for those under way.
    ///
    /// # Errors
    /// When one of them doesn't end in [`LAST_REQUESTS`].
    pub(crate) async fn end(self) -> Result<()> {
        drop(self.stop);
        tokio::time::timeout(LAST_REQUESTS, self.served).await.context("a request doesn't end")???;
        Ok(())
    }
}

fn router(shop: Arc<Shop>, live: Arc<Live>) -> Router {
    Router::new()
        .route("/films", get(films::many))
        .route("/films/{film_id}", get(films::one))
        .route("/films/{film_id}/actors", get(films::actors))
        .route("/films/{film_id}/rate", put(films::set_rate))
        .route("/actors/{actor_id}", get(people::actor))
        .route("/customers/{customer_id}", get(people::customer))
        .route("/customers/{customer_id}/rentals", get(people::rentals))
        .layer(LookupsLayer::new())
        .layer(from_fn_with_state(shop.clone(), traced))
        .route("/stats", get(stats::all))
        .route("/metrics", get(metrics::scrape))
        .merge(health_routes(shop.namespace.clone()))
        .merge(live::routes(live))
        .fallback(async || Failure::not_found("there is no such address"))
        .with_state(shop)
}
