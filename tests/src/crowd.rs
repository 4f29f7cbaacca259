//! Many callers at once, each in a task of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Film;
use tierstack_core::{Cache, Error};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What `get` gives.
pub type Found = Result<Option<Arc<Film>>, Error>;

/// Callers under way.
pub struct Crowd {
    callers: Vec<JoinHandle<Found>>,
    /// A permit for each that has asked.
    asked: Arc<Semaphore>,
}

impl Crowd {
    /// One caller for each of the keys.
    pub fn ask(films: &Cache<Film>, keys: impl IntoIterator<Item = i32>) -> Self {
        let asked = Arc::new(Semaphore::new(0));
        let caller = |key| {
            let (films, asked) = (films.clone(), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut found = pin!(films.get(key));
                let mut first = true;
                poll_fn(move |cx| {
                    let polled = found.as_mut().poll(cx);
                    asked.add_permits(usize::from(std::mem::take(&mut first)));
                    polled
                })
                .await
            })
        };
        Crowd { callers: keys.into_iter().map(caller).collect(), asked }
    }

    /// Returns when every one has asked, answered or not.
    pub async fn has_asked(&self) {
        let all = u32::try_from(self.callers.len()).unwrap();
        self.asked.acquire_many(all).await.unwrap().forget();
    }

    /// What each found, in the order of the keys.
    pub async fn found(self) -> Vec<Found> {
        let mut found = Vec::with_capacity(self.callers.len());
        for caller in self.callers {
            found.push(caller.await.unwrap());
        }
        found
    }

    /// The row that each found.
    pub async fn rows(self) -> Vec<Arc<Film>> {
        self.found().await.into_iter().map(|found| found.unwrap().unwrap()).collect()
    }
}

/// A hang fails the test.
pub async fn bounded(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
}

/// Waits until no more tasks are alive than so many.
pub async fn tasks_are_back_to(baseline: usize) {
    let alive = || Handle::current().metrics().num_alive_tasks();
    for _ in 0..1_000 {
        if alive() <= baseline {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks are alive, {baseline} were at first", alive());
}
