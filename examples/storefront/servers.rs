//! The Redis and Postgres of this run: given by the environment, or private.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tierstack_servers::{Postgres, Redis};

const DATABASE: &str = "storefront";

/// Where the servers are. The private ones end with it, and with the process however that ends.
pub(crate) struct Servers {
    redis: Server<Redis>,
    postgres: Server<Postgres>,
}

enum Server<S> {
    Given(String),
    Private(S),
}

impl Servers {
    /// Takes or starts them. Blocks.
    ///
    /// # Errors
    /// When one can't be started, or the sample data can't be loaded.
    pub(crate) fn start() -> Result<Servers> {
        let redis = match std::env::var("REDIS_URL") {
            Ok(url) => Server::Given(url),
            Err(_) => Server::Private(Redis::start().context("no private Redis: set REDIS_URL")?),
        };
        let postgres = match std::env::var("DATABASE_URL") {
            Ok(url) => Server::Given(url),
            Err(_) => {
                let postgres = Postgres::start().context("no private Postgres: set DATABASE_URL")?;
                postgres.create_database(DATABASE)?;
                if let Some(data) = std::env::var_os("TIERSTACK_DATA") {
                    let pagila = Path::new(&data).join("pagila");
                    for file in ["pagila-schema.sql", "pagila-data.sql"] {
                        postgres.load_file(DATABASE, &pagila.join(file)).context("TIERSTACK_DATA")?;
                    }
                }
                Server::Private(postgres)
            }
        };
        Ok(Servers { redis, postgres })
    }

    pub(crate) fn redis_url(&self) -> String {
        match &self.redis {
            Server::Given(url) => url.clone(),
            Server::Private(redis) => redis.url(),
        }
    }

    pub(crate) fn database_url(&self) -> String {
        match &self.postgres {
            Server::Given(url) => url.clone(),
            Server::Private(postgres) => postgres.url_for(DATABASE),
        }
    }

    /// The name before all keys. A private database is a new one each time: what a given Redis holds of an earlier run
    /// is about other rows.
    pub(crate) fn namespace(&self) -> String {
        match self.postgres {
            Server::Given(_) => "shop".to_owned(),
            Server::Private(_) => format!("shop-{}", std::process::id()),
        }
    }

    /// A Redis that may be stopped.
    ///
    /// # Errors
    /// When it was given.
    pub(crate) fn private_redis(&self) -> Result<&Redis> {
        match &self.redis {
            Server::Given(_) => bail!("REDIS_URL is set, and this stops Redis for a moment: run it without"),
            Server::Private(redis) => Ok(redis),
        }
    }

    /// Where Redis is, for people; a given address may hold a password.
    pub(crate) fn redis(&self) -> String {
        match &self.redis {
            Server::Given(_) => "as REDIS_URL says".to_owned(),
            Server::Private(redis) => format!("{} (private)", redis.url()),
        }
    }

    /// Where Postgres is, for people.
    pub(crate) fn postgres(&self) -> String {
        match &self.postgres {
            Server::Given(_) => "as DATABASE_URL says".to_owned(),
            Server::Private(postgres) => format!("{} (private)", postgres.url_for(DATABASE)),
        }
    }
}
