//! What handlers are given, and what clients are told: the lookups of a request, typed keys, problems, health.

mod films;
mod handlers;
mod lookups;
