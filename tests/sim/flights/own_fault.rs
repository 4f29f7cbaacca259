//! What a service, a row or a weigher does wrong costs its own key only; what is old replaces nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use tests::{Film, film};
use tierstack_core::single_flight::{FlightOptions, Flights, SingleFlightLayer};
use tierstack_core::{
    Answers, BoxFuture, Cache, Clock, Counters, Entity, Error, ErrorKind, L1, Level, Loaded, Loader, Lookup,
    Namespace, Origin, Schema, Settings, origin_fn,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::shop::{Shop, look, settle};

/// A weigher that panics for one row: that row is answered, and kept out of L1; the others are kept.
#[tokio::test(start_paused = true)]
async fn a_weigher_that_panics_costs_its_row_a_place_in_l1() {
    let shop = Shop::new(3);
    let weigh = |film: &Film| if film.film_id == 2 { panic!("a weigher of a test") } else { 1 };
    let node = Namespace::builder("alone").clock(shop.manual.clock()).build().unwrap();
    let films: Cache<Film> =
        node.cache().l1(L1::weighed(10, weigh)).origin(shop.repository.films()).build().unwrap();
    for _ in 0..2 {
        let found = films.objects_by_pks([1, 2, 3]).await.unwrap();
        assert_eq!(found.iter().flatten().count(), 3);
    }
    assert_eq!(shop.repository.loaded(), [vec![1, 2, 3], vec![2]]);
}

/// A row that can't be written without a panic.
#[derive(Clone, Debug, Deserialize)]
struct Unwritable {
    film_id: i32,
}

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.film_id, 2, "a row of a test that can't be written");
        let mut row = serializer.serialize_struct("Unwritable", 1)?;
        row.serialize_field("film_id", &self.film_id)?;
        row.end()
    }
}

impl Entity for Unwritable {
    type Pk = i32;
    fn schema() -> Schema {
        Schema::table("unwritable").pk(["film_id"]).columns(["film_id"])
    }
    fn pk(&self) -> i32 {
        self.film_id
    }
}

/// A row whose encoder panics is answered and not stored; the others of its batch are.
#[tokio::test(start_paused = true)]
async fn an_encoder_that_panics_costs_its_row_a_place_in_l2() {
    let shop = Shop::new(0);
    let films: Cache<Unwritable> = shop
        .node()
        .cache()
        .origin(origin_fn(|keys: Vec<i32>| async move {
            Ok::<_, Error>(keys.into_iter().map(|film_id| (film_id, Unwritable { film_id })).collect())
        }))
        .build()
        .unwrap();
    let found = films.objects_by_pks([1, 2, 3]).await.unwrap();
    assert_eq!(found.iter().flatten().map(|row| row.film_id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((films.stats().fills[0], films.stats().unfillable), (2, 1));
}

/// Films 1 to 3, of which the second is one that nobody can decide whether to keep.
struct Undecided;

impl Loader<i32, Film> for Undecided {
    fn load<'a>(&'a self, keys: &'a [i32]) -> BoxFuture<'a, Result<Loaded<i32, Film>, Error>> {
        Box::pin(async { Ok(Loaded::rows(keys.iter().map(|key| (*key, film(*key))).collect())) })
    }

    fn keeps(&self, key: &i32, _: &Film) -> bool {
        assert_ne!(*key, 2, "a loader of a test that panics over a row");
        true
    }
}

/// A loader that panics when it is asked whether a row may be kept: an error for that row's key; the others are kept.
#[tokio::test(start_paused = true)]
async fn a_loader_that_panics_over_one_row_costs_its_key() {
    let shop = Shop::new(0);
    let films = shop.node().cache().l1(L1::capacity(10)).origin(Origin::new(Undecided)).build().unwrap();
    let outcomes = films.objects_by_pks([1, 2, 3]).await.unwrap_err().into_outcomes();
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), ErrorKind::Origin);
    assert_eq!((films.stats().loads, films.stats().failed_loads, films.stats().errors), (1, 1, 1));
    assert_eq!(films.objects_by_pks([1, 3]).await.unwrap().iter().flatten().count(), 2);
    assert_eq!(films.stats().loads, 1);
}

/// What was loaded before a `refresh()` began comes back after it: L1 keeps what the refresh found.
#[tokio::test(start_paused = true)]
async fn an_older_load_replaces_nothing_that_a_refresh_found() {
    let shop = Shop::new(1);
    let node = Namespace::builder("alone").clock(shop.manual.clock()).build().unwrap();
    let films = shop.films_of(&node);
    shop.repository.set_delay(Duration::from_secs(1));
    let older = tokio::spawn({
        let films = films.clone();
        async move { films.get(1).await }
    });
    settle().await;
    assert_eq!(shop.repository.loads(), 1);
    shop.repository.put(Film { version: 1, ..film(1) });
    shop.repository.set_delay(Duration::ZERO);
    let refreshed = look(&films, Lookup::one(1).refresh()).await.unwrap().unwrap();
    assert_eq!(refreshed.entry.into_present().unwrap().version, 1);
    assert_eq!(older.await.unwrap().unwrap().unwrap().version, 0, "it asked before the write");
    let now = look(&films, Lookup::one(1).never_load()).await.unwrap().unwrap();
    assert_eq!((now.source, now.entry.into_present().unwrap().version), (Level::L1, 1));
}

/// A service below that leaves a key out: an error for that key, and never an absence.
#[tokio::test(start_paused = true)]
async fn a_key_that_a_service_leaves_out_is_an_error() {
    let flights = Flights::new(
        FlightOptions {
            settings: Settings::default(),
            clock: Clock::system(),
            counters: Arc::new(Counters::default()),
            over_l2: false,
            one_by_one: false,
        },
        None,
    )
    .unwrap();
    let stack = ServiceBuilder::new().layer(SingleFlightLayer::new(Arc::new(flights))).service(service_fn(
        |lookup: Lookup<i32>| async move {
            Ok::<_, Error>(Answers::<i32, String>::all(lookup.into_keys(), &Ok(None)))
        },
    ));
    for (_, outcome) in stack.oneshot(Lookup::batch([1, 2])).await.unwrap() {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Loader);
    }
}
