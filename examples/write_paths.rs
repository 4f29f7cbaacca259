//! The ways of a write to an origin that is no database: what each costs, and what others see meanwhile.
//!
//! ```text
//! cargo run --example write_paths
//! ```

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use examples::shelf::{Film, Shelf};
use tierstack::{Cache, L1, Lookup, MemoryTier, Namespace};

#[tokio::main]
async fn main() -> Result<()> {
    let (shelf, tier) = (Shelf::new(), Arc::new(MemoryTier::new(1_000)));
    let [here, there] = [node(&shelf, &tier)?, node(&shelf, &tier)?];
    println!("{:<62} the table was asked\n", "step");
    for films in [&here, &there] {
        ensure!(title(films, 1).await? == "Film 1");
    }
    shelf.told("film 1 on two nodes", &["films [1]"])?;

    // 1. Write, then invalidate. A writer that dies between the two leaves the old row to L2.
    shelf.write(film(1, "written"));
    here.invalidate([1]).await?;
    ensure!(title(&here, 1).await? == "written");
    shelf.told("invalidate after the write", &["films [1]"])?;

    // 2. A hold round the write. While it stands, rows are loaded and kept nowhere: a writer that dies leaves nothing old.
    let write = here.begin_write([1], Duration::from_secs(5)).await?;
    ensure!(write.is_held() && title(&here, 1).await? == "written");
    shelf.write(film(1, "under a hold"));
    let token = write.commit().await?;
    ensure!(title(&here, 1).await? == "under a hold");
    shelf.told("begin_write, a lookup, the write, commit, a lookup", &["films [1]", "films [1]"])?;

    // Whoever brings the token to another node sees the write there, whatever that node has heard.
    let answers = there.lookup(Lookup::one(1).seen(&token)).await?;
    let answer = answers.into_iter().next().context("one key was asked")?.1?.context("it may load")?;
    ensure!(answer.entry.into_present().context("film 1 is gone")?.title == "under a hold");
    shelf.told("a lookup on the other node, with the write's token", &["films [1]"])?;

    // 3. The same, and what was written is given to L2: nobody loads it.
    let mut write = here.begin_write([1], Duration::from_secs(5)).await?;
    shelf.write(film(1, "put"));
    write.put(&here, film(1, "put"))?;
    write.commit().await?;
    ensure!(title(&here, 1).await? == "put");
    shelf.told("begin_write, the write, put, commit, a lookup", &[])?;

    // 4. A write that isn't made, after all: what is there stays.
    let write = here.begin_write([2], Duration::from_secs(5)).await?;
    write.rollback().await?;
    ensure!(title(&here, 2).await? == "Film 2" && title(&here, 2).await? == "Film 2");
    shelf.told("begin_write, rollback, two lookups", &["films [2]"])?;

    // 5. Of which nobody can tell which rows it concerns.
    here.invalidate_all().await?;
    ensure!(title(&here, 1).await? == "put" && title(&here, 2).await? == "Film 2");
    shelf.told("invalidate_all, and a lookup of two films", &["films [1]", "films [2]"])?;

    println!("\nall as it should be");
    Ok(())
}

/// One process of a fleet, over a shared tier that stands for Redis.
fn node(shelf: &Shelf, tier: &Arc<MemoryTier>) -> Result<Cache<Film>> {
    let shop = Namespace::builder("shop").l2_shared(tier.clone()).build()?;
    Ok(shop.cache().l1(L1::capacity(1_000)).origin(shelf.origin()).build()?)
}

fn film(film_id: i32, title: &str) -> Film {
    Film { film_id, title: title.into(), rating: "PG".into() }
}

async fn title(films: &Cache<Film>, film_id: i32) -> Result<String> {
    Ok(films.get(film_id).await?.context("there is no such film")?.title.clone())
}
