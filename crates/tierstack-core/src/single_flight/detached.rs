//! Flights that nobody may join.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;

use super::flight::Follower;
use crate::Key;

type Hasher = foldhash::quality::RandomState;

/// Flights that an invalidation detached, or that were led for one caller only, by key and batch: who follows them. They go on
/// for these; and their loads are to be told if they ask for what they load.
pub(super) struct Detached<K, V>(HashMap<K, OfKey<K, V>, Hasher>);

type OfKey<K, V> = HashMap<u64, Vec<Follower<K, V>>, Hasher>;

impl<K: Key, V> Detached<K, V> {
    pub(super) fn new() -> Self {
        Detached(HashMap::default())
    }

    /// Adds the flight of `key` that `batch` leads.
    pub(super) fn add(&mut self, key: K, batch: u64, followers: Vec<Follower<K, V>>) {
        self.0.entry(key).or_default().insert(batch, followers);
    }

    /// Takes out the flight of `key` that `batch` leads, and says who follows it.
    pub(super) fn end(&mut self, key: &K, batch: u64) -> Vec<Follower<K, V>> {
        let Place::Occupied(mut flights) = self.0.entry(key.clone()) else { return Vec::new() };
        let followers = flights.get_mut().remove(&batch);
        if flights.get().is_empty() {
            flights.remove();
        }
        followers.unwrap_or_default()
    }

    /// Who follows the flight of `key` that `batch` leads.
    pub(super) fn followers(&self, key: &K, batch: u64) -> &[Follower<K, V>] {
        let followers = self.0.get(key).and_then(|flights| flights.get(&batch));
        followers.map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether one of `batches` leads `key`.
    pub(super) fn is_led_by(&self, key: &K, batches: &[u64]) -> bool {
        self.0.get(key).is_some_and(|flights| batches.iter().any(|batch| flights.contains_key(batch)))
    }

    /// Of how many keys there are any.
    #[cfg(all(test, shuttle))]
    pub(super) fn keys(&self) -> usize {
        self.0.len()
    }
}
