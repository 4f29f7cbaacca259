//! The consistency protocol, explored state by state with the scripts that run in Redis.
#![allow(missing_docs, clippy::panic, clippy::missing_panics_doc)]

pub mod anomaly;
pub mod bus;
pub mod catalogue;
pub mod environment;
pub mod explore;
pub mod l2;
pub mod mechanism;
pub mod memo;
pub mod readers;
pub mod record;
pub mod scenario;
pub mod state;
pub mod token;
pub mod verdict;
pub mod writers;
