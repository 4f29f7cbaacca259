//! The drop-in cache, and the layers, as tower services among others.

mod above;
mod bad_requests;
mod bad_responses;
mod below;
mod errors;
mod followers;
mod inner;
mod kept;
mod readiness;
mod runtimes;
mod shared;
mod tiers;
