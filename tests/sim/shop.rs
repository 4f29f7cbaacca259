//! One shop: a clock, a shared tier and an origin, and any number of nodes over them.

use std::sync::Arc;
use std::time::Duration;

use tests::{Film, FilmTitle, Repository, film, steady};
use tierstack_core::l2::{L2Layer, L2Options};
use tierstack_core::origin::{Bulkhead, OriginLayer, OriginOptions};
use tierstack_core::{
    Answer, Bound, Cache, Counters, Entity, Error, Freshness, KeyFormat, L1, LeaseFor, Leased, Lookup,
    ManualClock, MemoryTier, Namespace, Query, Random, Settings, Tier, WireKey, WriteSettings,
};

/// What the nodes of a test share. Every node is a namespace of its own, with its own L1.
pub(crate) struct Shop {
    pub(crate) manual: ManualClock,
    pub(crate) tier: Arc<MemoryTier>,
    pub(crate) repository: Repository,
    pub(crate) settings: Settings,
    pub(crate) writes: WriteSettings,
    pub(crate) freshness: Freshness,
    pub(crate) random: Random,
}

impl Shop {
    /// A shop with films 1 to `films`, lives without jitter, and nothing cached.
    pub(crate) fn new(films: i32) -> Self {
        let manual = ManualClock::new();
        Shop {
            tier: Arc::new(MemoryTier::with_clock(1_000_000, manual.clock())),
            manual,
            repository: Repository::new((1..=films).map(film)),
            settings: Settings::default(),
            writes: WriteSettings::default(),
            freshness: Freshness::default().jitter(0.0),
            random: Random::seeded(7),
        }
    }

    /// One more node.
    pub(crate) fn node(&self) -> Namespace {
        let builder = Namespace::builder("shop").l2_shared(self.tier.clone());
        let builder = builder.bus(steady()).writes(self.writes.clone());
        builder.clock(self.manual.clock()).random(self.random.clone()).build().unwrap()
    }

    /// The films of one more node, with an L1.
    pub(crate) fn films(&self) -> Cache<Film> {
        self.films_of(&self.node())
    }

    /// The films of a node, with an L1.
    pub(crate) fn films_of(&self, node: &Namespace) -> Cache<Film> {
        let cache = node.cache().l1(L1::capacity(100_000)).origin(self.repository.films());
        cache.settings(self.settings.clone()).freshness(self.freshness.clone()).build().unwrap()
    }

    /// The films' titles of a node, with an L1.
    pub(crate) fn titles_of(&self, node: &Namespace) -> Cache<FilmTitle> {
        let cache = node.cache().l1(L1::capacity(100_000)).origin(self.repository.titles());
        cache.settings(self.settings.clone()).freshness(self.freshness.clone()).build().unwrap()
    }

    /// A node takes the right to fill a film, as it would for a load, and is gone.
    pub(crate) async fn take_right_and_die(&self, pk: i32) {
        let format = Film::schema().key_format("shop", 64).unwrap();
        let key = format.wire(&[pk]).pop().unwrap().unwrap();
        let (right, life) = (self.random.token(), self.settings.right_life());
        let reply = self.tier.lease(&[LeaseFor::new(key, right, None, life)]).await;
        assert!(matches!(reply.each[..], [Ok(Leased::Right(_))]));
    }

    /// How many keys of rows and lists L2 holds: without those that others rest on.
    pub(crate) fn rows_in_l2(&self) -> usize {
        self.tier.keys().iter().filter(|key| !key.contains(&b'!')).count()
    }

    /// Moves the clock on by so many seconds.
    pub(crate) fn pass_s(&self, seconds: u64) {
        self.manual.advance(Duration::from_secs(seconds));
    }

    /// The layer over this shop's tier for rows of `V` by number, of the given schema.
    pub(crate) fn l2_layer<V>(&self, schema: u64, counters: &Arc<Counters>) -> L2Layer<i32, V> {
        L2Layer::new(L2Options {
            tier: self.tier.clone(),
            format: number_format(),
            schema,
            depends_on: None,
            freshness: self.freshness.clone(),
            settings: self.settings.clone(),
            clock: self.manual.clock(),
            random: self.random.clone(),
            counters: Arc::clone(counters),
        })
        .unwrap()
    }

    /// The layer over a repository of rows of `V` by number.
    pub(crate) fn origin_layer<V: Send + Sync + 'static>(
        &self,
        counters: &Arc<Counters>,
    ) -> OriginLayer<i32, V> {
        OriginLayer::new(OriginOptions {
            freshness: self.freshness.clone(),
            settings: self.settings.clone(),
            clock: self.manual.clock(),
            random: self.random.clone(),
            counters: Arc::clone(counters),
            bulkhead: Arc::new(Bulkhead::new(&self.settings)),
        })
        .unwrap()
    }
}

/// The format of the keys of [`Shop::l2_layer`].
pub(crate) fn number_format() -> KeyFormat {
    KeyFormat::new("shop", "number", None, &["id"], 64).unwrap()
}

/// The key of a number.
pub(crate) fn number_key(id: i32) -> WireKey {
    number_format().wire(&[id]).pop().unwrap().unwrap()
}

/// A secondary key: at most one film by its title.
pub(crate) fn by_title() -> Query<Film, (String,)> {
    Query::one("by_title").param::<String>("title").build().unwrap()
}

/// A list: the films of a rating.
pub(crate) fn by_rating() -> Query<Film, (String,)> {
    Query::list("by_rating").param::<String>("rating").order_by("film_id").build().unwrap()
}

/// The list of films rated PG.
pub(crate) fn rated_pg() -> Bound<Film> {
    by_rating().bind(("PG".to_owned(),))
}

/// The outcome for the only key of a lookup.
pub(crate) async fn look<E: Entity>(
    cache: &Cache<E>,
    lookup: Lookup<E::Pk>,
) -> Result<Option<Answer<E>>, Error> {
    cache.lookup(lookup).await?.into_iter().next().unwrap().1
}

/// Lets every task that can go on do so, until nothing moves without the clock.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
