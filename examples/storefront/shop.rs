//! The shop: one cache for each entity, and the only place that writes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry::trace::FutureExt;
use tierstack::http::Lookups;
use tierstack::postgres::deadpool_postgres::{Manager, Pool, Runtime, Timeouts};
use tierstack::postgres::tokio_postgres::{Config, NoTls};
use tierstack::postgres::{PgEntity, PgOrigin};
use tierstack::redis::{RedisSettings, RedisTier};
use tierstack::{Cache, Entity, L1, Namespace, Query};

use crate::actor::Actor;
use crate::customer::Customer;
use crate::failure::Failure;
use crate::film::Film;
use crate::film_actor::FilmActor;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::rental::Rental;
use crate::servers::Servers;
use crate::traces::Traces;

pub(crate) struct Shop {
    pub(crate) films: Cache<Film>,
    pub(crate) films_by_rating: Query<Film, (String,)>,
    pub(crate) actors: Cache<Actor>,
    pub(crate) cast: Cache<FilmActor>,
    pub(crate) cast_by_film: Query<FilmActor, (i32,)>,
    pub(crate) customers: Cache<Customer>,
    pub(crate) rentals: Cache<Rental>,
    pub(crate) rentals_by_customer: Query<Rental, (i32,)>,
    /// Origin of all of them, and the way of the writes.
    pub(crate) pool: Pool,
    pub(crate) namespace: Namespace,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Traces,
}

/// A request that finds no connection in this time fails, rather than wait for the lookup's whole time.
const CONNECTION_WITHIN: Duration = Duration::from_secs(2);

impl Shop {
    /// Builds the caches, and fills a database that has no films.
    ///
    /// # Errors
    /// When an address is wrong, or Postgres doesn't answer.
    pub(crate) async fn open(servers: &Servers, limits: &Limits) -> Result<Shop> {
        let pool = pool(&servers.database_url())?;
        fill(&pool).await?;
        let (metrics, traces) = (Metrics::new()?, Traces::new());
        let namespace = Namespace::builder(servers.namespace())
            .l2(RedisTier::new(RedisSettings::new(servers.redis_url()))?)
            .bus(limits.bus.clone())
            .writes(limits.writes.clone())
            .recorder(metrics.recorder(&traces.provider))
            .build()?;
        Ok(Shop {
            films: cache(&namespace, &pool, limits)?,
            films_by_rating: Query::list("by_rating").param("rating").order_by("film_id").build()?,
            actors: cache(&namespace, &pool, limits)?,
            cast: cache(&namespace, &pool, limits)?,
            cast_by_film: Query::list("by_film").param("film_id").order_by("actor_id").build()?,
            customers: cache(&namespace, &pool, limits)?,
            rentals: cache(&namespace, &pool, limits)?,
            rentals_by_customer: Query::list("by_customer")
                .param("customer_id")
                .order_by("rental_id")
                .limit(1_000)
                .build()?,
            pool,
            namespace,
            metrics,
            traces,
        })
    }

    /// Sets the price of a film, and says whether there is such a film.
    ///
    /// # Errors
    /// When it could not be saved; when it was, and Redis could not be told. Either way, asking once more is right.
    ///
    /// # Cancel safety
    /// The write and what follows it are a task of their own: a client that hangs up between the two would leave the old
    /// rate in the caches.
    pub(crate) async fn set_rate(&self, film_id: i32, rental_rate: f64) -> Result<bool, Failure> {
        let (pool, films) = (self.pool.clone(), self.films.clone());
        let write = async move {
            let client = pool.get().await.map_err(Failure::unsaved)?;
            let set = "UPDATE film SET rental_rate = $1::float8 WHERE film_id = $2";
            let updated = client.execute(set, &[&rental_rate, &film_id]).await;
            // Before the answer: whoever has it reads the new rate. After an error, too: it may have been committed.
            let told = films.invalidate([film_id]).await;
            if updated.map_err(Failure::unsaved)? == 0 {
                return Ok(false);
            }
            told?;
            Ok(true)
        };
        // What it tells the caches is part of its request's span, in another task, too.
        tokio::spawn(write.with_current_context()).await.map_err(Failure::unsaved)?
    }

    /// Waits for work behind answers, and closes the connections.
    pub(crate) async fn close(&self) {
        self.namespace.shutdown().await;
        self.pool.close();
    }
}

/// The row that a path names.
///
/// # Errors
/// 404 if there is none; 503 if it could not be loaded.
pub(crate) async fn named<E: Entity>(lookups: &Lookups, of: &Cache<E>, pk: E::Pk) -> Result<Arc<E>, Failure> {
    let row = lookups.get(of, pk.clone()).await?;
    row.ok_or_else(|| Failure::not_found(format!("there is no {} {pk:?}", E::schema().table)))
}

fn cache<E: PgEntity>(namespace: &Namespace, pool: &Pool, limits: &Limits) -> Result<Cache<E>> {
    let cache = namespace.cache().l1(L1::capacity(10_000)).settings(limits.lookups.clone());
    Ok(cache.origin(PgOrigin::new(pool.clone())).build()?)
}

fn pool(url: &str) -> Result<Pool> {
    // Not with the URL in it, which may hold a password.
    let config: Config = url.parse().context("DATABASE_URL: write postgres://user@host:port/database")?;
    let timeouts = Timeouts {
        wait: Some(CONNECTION_WITHIN),
        create: Some(CONNECTION_WITHIN),
        recycle: Some(CONNECTION_WITHIN),
    };
    let manager = Manager::new(config, NoTls);
    Ok(Pool::builder(manager).max_size(8).timeouts(timeouts).runtime(Runtime::Tokio1).build()?)
}

async fn fill(pool: &Pool) -> Result<()> {
    let client = pool.get().await.context("no connection to Postgres")?;
    let row = client.query_one("SELECT to_regclass('film') IS NULL", &[]).await?;
    if row.try_get(0)? {
        client.batch_execute(include_str!("catalogue.sql")).await.context("can't make up a catalogue")?;
    }
    Ok(())
}
