//! What a write touches, and what is forgotten of it.

use tests::{Film, FilmTitle, film};
use tierstack_core::{Cache, Entity, ErrorKind, Level, Lookup, Mark, Namespace, Schema, Touched};
use tower::{Layer, ServiceExt, service_fn};

use crate::shop::{Shop, look, rated_pg, settle};

/// Where the row of a film comes from, past L1.
async fn source(films: &Cache<Film>, pk: i32) -> Level {
    look(films, Lookup::one(pk).skip_l1()).await.unwrap().unwrap().source
}

/// A service that only writes has no cache of what it writes: its invalidation reaches L2 all the same.
#[tokio::test(start_paused = true)]
async fn a_node_without_a_cache_of_the_entity_invalidates_its_rows() {
    let shop = Shop::new(3);
    let films = shop.films();
    films.objects_by_pks([1, 2]).await.unwrap();
    films.list(&rated_pg()).await.unwrap();
    let loads = shop.repository.queries().len();
    let mut touched = Touched::new(&shop.node());
    touched.rows::<Film>([1, 1]).unwrap();
    touched.mark(Mark::finished()).await.unwrap();
    assert_eq!((source(&films, 1).await, source(&films, 2).await), (Level::Origin, Level::L2));
    shop.pass_s(6);
    films.list(&rated_pg()).await.unwrap();
    assert_eq!(shop.repository.queries().len(), loads + 1, "a list rests on the rows");
}

/// A projection is touched with its rows, and a row by its projection's type as by its own.
#[tokio::test(start_paused = true)]
async fn rows_are_touched_by_a_projection_of_them_too() {
    let shop = Shop::new(3);
    let node = shop.node();
    let (films, titles) = (shop.films_of(&node), shop.titles_of(&node));
    films.get(1).await.unwrap();
    titles.get(2).await.unwrap();
    let mut touched = Touched::new(&node);
    assert!(touched.is_empty() && !touched.touches::<Film>(&1));
    touched.rows::<FilmTitle>([1]).unwrap();
    assert!(touched.touches::<Film>(&1) && touched.touches::<FilmTitle>(&1) && !touched.touches::<Film>(&2));
    shop.repository.put(Film { version: 1, ..film(1) });
    shop.repository.put(Film { title: "New".into(), ..film(2) });
    touched.mark(Mark::finished()).await.unwrap();
    assert_eq!(films.get(1).await.unwrap().unwrap().version, 1);
    assert_eq!(titles.get(2).await.unwrap().unwrap().title, "New", "any row's write makes projections load");
}

/// Beyond the limit, the rows of an entity become the whole entity.
#[tokio::test(start_paused = true)]
async fn a_write_of_too_many_rows_touches_the_whole_entity() {
    let mut shop = Shop::new(9);
    shop.writes.max_rows = 3;
    let films = shop.films();
    films.objects_by_pks(1..=9).await.unwrap();
    let mut touched = Touched::new(&shop.node());
    touched.rows::<Film>(1..=3).unwrap();
    assert!(!touched.touches::<Film>(&9));
    touched.rows::<Film>(4..=4).unwrap();
    assert!(touched.touches::<Film>(&9) && touched.touches::<Film>(&1));
    touched.mark(Mark::finished()).await.unwrap();
    for pk in [1, 9] {
        assert_eq!(source(&films, pk).await, Level::Origin);
    }
}

/// Nothing touched, nobody asked.
#[tokio::test(start_paused = true)]
async fn an_invalidation_of_nothing_asks_nobody() {
    let shop = Shop::new(1);
    let films = shop.films();
    films.invalidate([0; 0]).await.unwrap();
    assert_eq!(films.namespace().write_stats().requests, 0);
    films.invalidate([1]).await.unwrap();
    assert_eq!(films.namespace().write_stats().requests, 1);
}

/// Every row and list of one entity goes, and no other's: on each node, in L1 and L2, by two records.
#[tokio::test(start_paused = true)]
async fn an_invalidation_of_an_entity_reaches_every_row_and_list() {
    let shop = Shop::new(9);
    let (films, other) = (shop.films(), shop.films());
    let titles = shop.titles_of(films.namespace());
    for films in [&films, &other] {
        films.objects_by_pks(1..=9).await.unwrap();
        films.list(&rated_pg()).await.unwrap();
    }
    titles.get(1).await.unwrap();
    for pk in 1..=9 {
        shop.repository.put(Film { version: 1, title: "New".into(), ..film(pk) });
    }
    films.invalidate_all().await.unwrap();
    assert_eq!(films.namespace().write_stats().requests, 1);
    assert_eq!(films.get(3).await.unwrap().unwrap().version, 1, "L1 of this node forgot");
    assert_eq!(titles.get(1).await.unwrap().unwrap().title, "New");
    assert_eq!(source(&other, 4).await, Level::Origin, "L2 answers no row from before");
    assert_eq!(source(&other, 4).await, Level::L2);
    let lists = shop.repository.queries().len();
    films.list(&rated_pg()).await.unwrap();
    assert_eq!(shop.repository.queries().len(), lists + 1);
}

/// Every entity and every service of a namespace goes, by one request.
#[tokio::test(start_paused = true)]
async fn an_invalidation_of_a_namespace_reaches_every_entity_and_service() {
    let shop = Shop::new(2);
    let node = shop.node();
    let films = shop.films_of(&node);
    let layer = node.cache_layer::<String, String>("greeting").build().unwrap();
    let greets = layer.layer(service_fn(|name: String| async move { Ok::<_, std::io::Error>(name) }));
    node.invalidate_all().await.unwrap();
    for _ in 0..2 {
        films.get(1).await.unwrap();
        greets.clone().oneshot("Ada".into()).await.unwrap();
    }
    let loads = || (films.stats().loads, layer.stats().loads);
    assert_eq!(loads(), (1, 1));
    let requests = node.write_stats().requests;
    node.invalidate_all().await.unwrap();
    assert_eq!(node.write_stats().requests, requests + 1);
    films.get(1).await.unwrap();
    greets.clone().oneshot("Ada".into()).await.unwrap();
    assert_eq!(loads(), (2, 2));
}

/// A node that caches no films is told of them when it is built: its invalidation of the namespace reaches them on every node.
#[tokio::test(start_paused = true)]
async fn an_invalidation_of_a_namespace_reaches_what_it_was_told_of() {
    let shop = Shop::new(2);
    let node = |also: Option<Schema>| {
        let node = Namespace::builder("shop").l2_shared(shop.tier.clone()).also(also);
        node.clock(shop.manual.clock()).random(shop.random.clone()).build()
    };
    let films = shop.films();
    for (also, from) in [(None, Level::L1), (Some(Schema::table("film")), Level::Origin)] {
        films.get(1).await.unwrap();
        settle().await;
        node(also).unwrap().invalidate_all().await.unwrap();
        settle().await;
        assert_eq!(look(&films, Lookup::one(1)).await.unwrap().unwrap().source, from);
        assert_eq!(films.get(2).await.unwrap().unwrap().version, 0);
    }
    assert_eq!(node(Some(FilmTitle::schema())).unwrap().name(), "shop", "a projection's table counts");
    assert_eq!(node(Some(Schema::table(""))).unwrap_err().kind(), ErrorKind::Invalid);
}

/// A mark of a write that has not ended, and that L2 did not take, is told apart from an invalidation that was lost.
#[tokio::test(start_paused = true)]
async fn a_mark_that_l2_does_not_take_is_an_error() {
    let shop = Shop::new(1);
    let mut touched = Touched::new(&shop.node());
    touched.rows::<Film>([1]).unwrap();
    shop.tier.set_outage(true);
    let error = touched.mark(Mark::begun()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = touched.mark(Mark::finished()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undelivered);
    assert!(error.to_string().contains('2'), "a row, and what is derived from rows: {error}");
}
