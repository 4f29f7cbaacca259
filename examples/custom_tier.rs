//! A shared tier of one's own: a directory, with a file for each record. What the requests do to a record is the library's
//! (`transitions`); a tier moves the bytes, a key at a time, and is held to the laws by the conformance suite.
//!
//! ```text
//! cargo run --example custom_tier
//! ```

use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use examples::shelf::{Film, Shelf};
use tierstack::transitions::{self, Stored};
use tierstack::{
    BoxFuture, Channel, Clock, Error, ErrorKind, Fill, Filled, Invalidate, Invalidated, L1, LeaseFor, Leased,
    Namespace, Reply, Tier, WireKey, conformance,
};

/// For the nodes of one process, as the lock is one of threads. It tells nobody of invalidations, so L1 is short-lived.
struct Directory(PathBuf, Mutex<()>);

impl Directory {
    fn open(path: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Directory(path.to_owned(), Mutex::new(())))
    }

    /// What a batch of requests does, each to the record at its key, and the replies.
    fn batch<T, R>(
        &self,
        asks: &[T],
        key: impl Fn(&T) -> &WireKey,
        transition: impl Fn(Option<Stored>, &T, u64) -> (Option<Stored>, R),
    ) -> BoxFuture<'_, Reply<R>>
    where
        R: Send + 'static,
    {
        let (now_ms, _turn) =
            (Clock::system().wall_ms(), self.1.lock().unwrap_or_else(PoisonError::into_inner));
        let one =
            |ask| self.change(key(ask), now_ms, |there| transition(there, ask, now_ms)).map_err(unavailable);
        let reply = Reply { now_ms, each: asks.iter().map(one).collect() };
        Box::pin(std::future::ready(reply))
    }

    /// Reads a record, and writes what becomes of it: when it ends, then its bytes.
    fn change<R>(
        &self,
        key: &WireKey,
        now_ms: u64,
        transition: impl FnOnce(Option<Stored>) -> (Option<Stored>, R),
    ) -> std::io::Result<R> {
        let path = self.0.join(key.as_str().replace('/', "%2F"));
        let bytes = fs::read(&path)
            .map(Some)
            .or_else(|error| if error.kind() == NotFound { Ok(None) } else { Err(error) })?;
        let stored = bytes.as_deref().and_then(|bytes| bytes.split_first_chunk::<8>());
        let there = stored
            .map(|(ends, bytes)| Stored { bytes: bytes.to_vec().into(), ends_ms: u64::from_be_bytes(*ends) });
        let there = there.filter(|there| there.ends_ms > now_ms);
        let (after, told) = transition(there.clone());
        match &after {
            Some(after) if there.as_ref() != Some(after) => {
                fs::write(&path, [&after.ends_ms.to_be_bytes()[..], &after.bytes].concat())?;
            }
            None if bytes.is_some() => fs::remove_file(&path)?,
            _ => {}
        }
        Ok(told)
    }
}

fn unavailable(error: std::io::Error) -> Error {
    Error::with_source(ErrorKind::Unavailable, "the directory can't be read or written", error)
}

impl Tier for Directory {
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Reply<Option<bytes::Bytes>>> {
        self.batch(keys, |key| key, |there, _, _| (there.clone(), there.map(|there| there.bytes)))
    }

    fn lease<'a>(&'a self, leases: &'a [LeaseFor]) -> BoxFuture<'a, Reply<Leased>> {
        self.batch(leases, |ask| &ask.key, transitions::lease)
    }

    fn fill<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Reply<Filled>> {
        self.batch(fills, |ask| &ask.key, transitions::fill)
    }

    fn invalidate<'a>(&'a self, _: &'a Channel, asks: &'a [Invalidate]) -> BoxFuture<'a, Reply<Invalidated>> {
        self.batch(asks, |ask| &ask.key, transitions::invalidate)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let held = conformance::check(&Directory::open(directory.path())?, "laws").await?;
    ensure!(held > 50, "only {held} statements were checked");
    println!("{held} statements of the conformance suite hold\n\n{:<62} the table was asked\n", "step");
    let shelf = Shelf::new();
    for (step, expected) in
        [("film 1 on a first run", &["films [1]"][..]), ("film 1 on a second run, from its file", &[])]
    {
        let shop = Namespace::builder("shop").l2(Directory::open(directory.path())?).build()?;
        let films = shop.cache::<Film>().l1(L1::capacity(100)).origin(shelf.origin()).build()?;
        ensure!(films.get(1).await?.is_some());
        shelf.told(step, expected)?;
    }
    println!("\nall as it should be");
    Ok(())
}
