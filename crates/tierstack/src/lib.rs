#![doc = include_str!("../../../README.md")]

pub use tierstack_core::*;

#[cfg(feature = "derive")]
pub use tierstack_derive::CacheKey;

#[cfg(feature = "http")]
pub use tierstack_http as http;
#[cfg(feature = "otel")]
pub use tierstack_otel as otel;
#[cfg(feature = "postgres")]
pub use tierstack_postgres as postgres;
#[cfg(feature = "redis")]
pub use tierstack_redis as redis;
