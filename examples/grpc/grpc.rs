//! A tonic server with two caches, and a real client of it, in one process.
//!
//! `GetFilm` is kept whole: the second call never reaches the method. `GetPrice` is read through a cache of rows, and a client
//! that has written brings a token, so that it reads its own write. After each call the program prints how the caches
//! answered, and fails if that is anything else than it should be.
//!
//! ```text
//! cargo run --example grpc
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use examples_grpc::films_client::FilmsClient;
use examples_grpc::films_server::{Films, FilmsServer};
use examples_grpc::{Film, GetFilmRequest, ListFilmsRequest, Price, SetPriceResponse};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use tierstack::http::tonic::{GrpcCacheLayer, status_of};
use tierstack::http::{Lookups, LookupsLayer};
use tierstack::{Cache, Entity, L1, MemoryTier, Namespace, Schema, origin_fn};
use tokio::net::TcpListener;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The metadata that the token of a write travels in.
const WRITE_TOKEN: &str = "tierstack-write-token";

/// A row of the table of prices.
#[derive(Clone, Serialize, Deserialize)]
struct Priced {
    film_id: i32,
    cents: i32,
}

impl Entity for Priced {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("price").pk(["film_id"]).columns(["film_id", "cents"])
    }

    fn pk(&self) -> i32 {
        self.film_id
    }
}

type Table = Arc<Mutex<BTreeMap<i32, i32>>>;

struct Shop {
    prices: Cache<Priced>,
    table: Table,
}

#[tonic::async_trait]
impl Films for Shop {
    async fn get_film(&self, request: Request<GetFilmRequest>) -> Result<Response<Film>, Status> {
        let GetFilmRequest { film_id } = request.into_inner();
        if film_id > 1_000 {
            return Err(Status::not_found("there is no such film"));
        }
        Ok(Response::new(Film { film_id, title: format!("Film {film_id}") }))
    }

    async fn get_price(&self, request: Request<GetFilmRequest>) -> Result<Response<Price>, Status> {
        let lookups = Lookups::of(request.extensions());
        let film_id = request.into_inner().film_id;
        let row = lookups.get(&self.prices, film_id).await.map_err(|error| status_of(&error))?;
        let row = row.ok_or_else(|| Status::not_found("there is no such film"))?;
        Ok(Response::new(Price { film_id, cents: row.cents }))
    }

    async fn set_price(&self, request: Request<Price>) -> Result<Response<SetPriceResponse>, Status> {
        let lookups = Lookups::of(request.extensions());
        let Price { film_id, cents } = request.into_inner();
        let within = Duration::from_secs(5);
        let write = self.prices.begin_write([film_id], within).await.map_err(|error| status_of(&error))?;
        self.table.lock().unwrap_or_else(PoisonError::into_inner).insert(film_id, cents);
        lookups.wrote(&write.commit().await.map_err(|error| status_of(&error))?);
        Ok(Response::new(SetPriceResponse {}))
    }

    type ListFilmsStream = BoxStream<'static, Result<Film, Status>>;

    async fn list_films(
        &self,
        request: Request<ListFilmsRequest>,
    ) -> Result<Response<Self::ListFilmsStream>, Status> {
        let film = |film_id| Ok(Film { film_id, title: format!("Film {film_id}") });
        Ok(Response::new(stream::iter(1..=request.into_inner().count).map(film).boxed()))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let namespace = Namespace::builder("shop").l2(MemoryTier::new(10_000)).build()?;
    let table: Table = Arc::new(Mutex::new(BTreeMap::from([(7, 499)])));
    let rows = table.clone();
    let origin = origin_fn(move |keys: Vec<i32>| {
        let rows = rows.clone();
        async move {
            let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            let row = |film_id| Some((film_id, Priced { film_id, cents: *rows.get(&film_id)? }));
            Ok::<_, std::io::Error>(keys.into_iter().filter_map(row).collect())
        }
    });
    let prices = namespace.cache::<Priced>().l1(L1::capacity(1_000)).origin(origin).build()?;
    let responses = GrpcCacheLayer::builder(&namespace, "responses").method("/shop.Films/GetFilm").build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder()
        .layer(LookupsLayer::new().named("rows").write_token_header())
        .layer(responses.clone())
        .add_service(FilmsServer::new(Shop { prices, table }))
        .serve_with_incoming(TcpIncoming::from(listener));
    let server = tokio::spawn(server);
    let mut client = FilmsClient::connect(format!("http://{address}")).await?;

    let film = |film_id| Request::new(GetFilmRequest { film_id });
    for (step, expected) in [("GetFilm 7", "responses; fwd=miss"), ("GetFilm 7, again", "responses; hit")] {
        let response = client.get_film(film(7)).await?;
        told(step, response.metadata(), expected)?;
        ensure!(response.get_ref().title == "Film 7", "another film");
    }
    let mut of_somebody = film(7);
    of_somebody.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer x"));
    told("GetFilm 7, of somebody", client.get_film(of_somebody).await?.metadata(), "-")?;
    for step in ["GetFilm 4040", "GetFilm 4040, again"] {
        let refused = client.get_film(film(4040)).await.err();
        let refused = refused.ok_or_else(|| anyhow::anyhow!("there is a film 4040"))?;
        ensure!(refused.code() == tonic::Code::NotFound, "{refused}");
        told(step, refused.metadata(), "responses; fwd=miss")?;
    }

    for (step, expected) in [("GetPrice 7", "rows; fwd=miss"), ("GetPrice 7, again", "rows; hit")] {
        let response = client.get_price(film(7)).await?;
        told(step, response.metadata(), expected)?;
        ensure!(response.get_ref().cents == 499, "another price");
    }
    let written = client.set_price(Price { film_id: 7, cents: 599 }).await?;
    let token = written.metadata().get(WRITE_TOKEN).cloned();
    let token = token.ok_or_else(|| anyhow::anyhow!("a write without a token"))?;
    told("SetPrice 7", written.metadata(), "-")?;
    let mut own = film(7);
    own.metadata_mut().insert(WRITE_TOKEN, token);
    let response = client.get_price(own).await?;
    told("GetPrice 7, with the token of the write", response.metadata(), "rows; fwd=")?;
    ensure!(response.get_ref().cents == 599, "an old price");

    let films = client.list_films(ListFilmsRequest { count: 3 }).await?;
    told("ListFilms, a stream", films.metadata(), "-")?;
    ensure!(films.into_inner().count().await == 3, "films of the stream are lost");

    let stats = responses.stats();
    ensure!((stats.keys(), stats.l1.total()) == (4, 1), "the responses: {stats:?}");
    server.abort();
    namespace.shutdown().await;
    println!("\nall as it should be");
    Ok(())
}

/// Prints how the caches answered a call, and holds that to how it should begin.
fn told(step: &str, metadata: &MetadataMap, expected: &str) -> Result<()> {
    let status = metadata.get("cache-status").map_or(Ok("-"), |value| value.to_str())?;
    println!("{step:<42} {status}");
    ensure!(status.starts_with(expected), "{step}: {status:?} should begin with {expected:?}");
    Ok(())
}
