//! The contract and the layers of tierstack: a read-through, multi-tier cache for repositories, built as tower services.
//!
//! Applications use the `tierstack` crate, which re-exports this one. This crate knows no Redis and no Postgres: a shared
//! tier is a [`Tier`], an origin a [`Loader`] or a tower service.
//!
//! From the ground up:
//!
//! * Pure, without clock, randomness or runtime: [`Moment`], [`Token`], [`Stamp`] and [`Marks`], keys ([`Key`],
//!   [`CacheKey`], [`KeyFormat`]), entries ([`Entry`], [`Meta`], [`judge`]), [`Lookup`] and [`Answers`], [`Schema`],
//!   [`Query`], [`record`].
//! * Seams: [`Clock`], [`Random`], [`Tier`], [`Loader`], [`Entity`], [`Stack`].
//! * Mechanism: [`l1`], [`l2`], [`origin`], [`revalidate`], [`MemoryTier`], the handle, [`Cache`], and the drop-in,
//!   [`cache_layer`].
//!
//! # Example
//! The handle composes the layers ([`Cache::get`] has an example). By hand, for keys and rows of any type:
//!
//! ```
//! use std::sync::Arc;
//! use tierstack_core::l1::L1Layer;
//! use tierstack_core::origin::{Bulkhead, OriginLayer, OriginOptions};
//! use tierstack_core::revalidate::{Refreshes, RevalidateLayer};
//! use tierstack_core::single_flight::{FlightOptions, Flights, SingleFlightLayer};
//! use tierstack_core::{Clock, Counters, Freshness, L1, Lookup, Random, Settings};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tierstack_core::Error> {
//! let (settings, clock, counters) = (Settings::default(), Clock::system(), Arc::new(Counters::default()));
//! let store = L1::<String>::capacity(1_000).store::<i32>(false, &settings, clock.clone(), counters.clone())?;
//! let store = Arc::new(store);
//! let refreshes = Refreshes::new(&settings, clock.clone(), counters.clone());
//! let flights = Flights::new(
//!     FlightOptions {
//!         settings: settings.clone(),
//!         clock: clock.clone(),
//!         counters: counters.clone(),
//!         over_l2: false,
//!         one_by_one: false,
//!     },
//!     Some(store.clone()),
//! )?;
//! let (freshness, random, bulkhead) = (Freshness::default(), Random::system(), Arc::new(Bulkhead::new(&settings)));
//! let origin = OriginLayer::new(OriginOptions { freshness, settings, clock, random, counters, bulkhead })?;
//! let titles = ServiceBuilder::new()
//!     .layer(RevalidateLayer::new(Arc::new(refreshes)))
//!     .layer(L1Layer::new(store))
//!     .layer(SingleFlightLayer::new(Arc::new(flights)))
//!     .layer(origin)
//!     .service(service_fn(|keys: Vec<i32>| async move {
//!         Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, format!("Film {key}"))).collect::<Vec<_>>())
//!     }));
//! for (key, outcome) in titles.oneshot(Lookup::batch([7, 3])).await? {
//!     assert_eq!(*outcome?.unwrap().entry.into_present().unwrap(), format!("Film {key}"));
//! }
//! # Ok(()) }
//! ```

mod bus;
mod cache;
pub mod cache_layer;
mod causes;
mod clock;
pub mod conformance;
mod counters;
mod entry;
mod error;
mod freshness;
mod health;
mod key;
pub mod l1;
pub mod l2;
mod loader;
mod lookup;
mod memory_tier;
pub mod merge;
pub mod mutants;
mod namespace;
pub mod origin;
mod query;
mod random;
pub mod record;
pub mod recorder;
pub mod revalidate;
mod rounds;
mod schema;
mod settings;
pub mod single_flight;
mod stack;
mod stamp;
mod store;
mod sync;
mod tier;
mod time;
mod token;
pub mod transitions;
mod write_token;
mod writes;

pub use bus::{Beat, Bus, BusSettings, BusStats, Channel, Message, Subscription};
pub use cache::{BatchError, Cache, CacheBuilder};
pub use cache_layer::{CacheLayer, CacheLayerBuilder, CacheService};
pub use clock::{Clock, ManualClock};
pub use counters::{Answered, CacheStats, Counters, Stats};
pub use entry::{Age, Entry, Keep, Level, Meta};
pub use error::{BoxError, Error, ErrorKind};
pub use freshness::{Freshness, judge, satisfies};
pub use health::{BusHealth, CacheHealth, Fault, Health, State, TierHealth};
pub use key::{
    CacheKey, IntoKey, Key, KeyFormat, KeyPart, KeyText, KeyWriter, RequestGroup, RequestWriter, RowKey,
    RowKeyPart, Value, WireKey, Written,
};
pub use l1::L1;
pub use loader::{Loaded, Loader, LoaderFn, loader_fn};
pub use lookup::{Accept, Answer, Answers, Lookup, Outcome, Terms};
pub use memory_tier::MemoryTier;
pub use namespace::{Drain, Namespace, NamespaceBuilder};
pub use origin::{EachLayer, Origin, origin_fn};
pub use query::{Bound, Direction, Mode, Params, Query, QueryBuilder, QueryDef};
pub use random::Random;
pub use recorder::{Recorder, System, WeakNamespace};
pub use schema::{Column, Entity, Schema};
pub use settings::Settings;
pub use stack::{Inner, Stack};
pub use stamp::{Hold, Marks, Stamp, Xid};
pub use store::{Eviction, Reservation, Store};
pub use tier::{BoxFuture, Fill, Filled, Ground, Invalidate, Invalidated, LeaseFor, Leased, Reply, Tier};
pub use time::Moment;
pub use token::Token;
pub use write_token::WriteToken;
pub use writes::{Mark, Marked, OpenTransaction, Put, Touched, WithoutL2, Write, WriteSettings, WriteStats};
