//! Many rows at once: order, duplicates and holes are kept, and what is missing is one load.
//!
//! ```text
//! cargo run --example batch
//! ```

use anyhow::{Result, ensure};
use examples::shelf::Shelf;
use tierstack::{L1, Level, Lookup, MemoryTier, Namespace};

#[tokio::main]
async fn main() -> Result<()> {
    let shelf = Shelf::new();
    let shop = Namespace::builder("shop").l2(MemoryTier::new(1_000)).build()?;
    let films = shop.cache().l1(L1::capacity(1_000)).origin(shelf.origin()).build()?;
    println!("{:<62} the table was asked\n", "step");

    let some = films.objects_by_pks([3, 1, 40, 3]).await?;
    let ids: Vec<Option<i32>> = some.iter().map(|film| film.as_ref().map(|film| film.film_id)).collect();
    ensure!(ids == [Some(3), Some(1), None, Some(3)], "order, duplicates and holes: {ids:?}");
    shelf.told("objects_by_pks([3, 1, 40, 3]): 3, 1, a hole, 3", &["films [3, 1, 40]"])?;

    ensure!(films.present_by_pks([1, 2, 3, 40]).await?.len() == 3);
    shelf.told("present_by_pks([1, 2, 3, 40]): the hole is known, too", &["films [2]"])?;

    // What each key was answered by.
    let answers = films.lookup(Lookup::batch([2, 5])).await?;
    let sources: Vec<Level> =
        answers.into_iter().filter_map(|(_, outcome)| Some(outcome.ok()??.source)).collect();
    ensure!(sources == [Level::L1, Level::Origin], "{sources:?}");
    shelf.told("lookup of 2 and 5: L1, and the origin", &["films [5]"])?;

    // One key's failure is the batch's, which carries what became of the others.
    let failed = films.objects_by_pks([1, 13]).await.err();
    let outcomes = failed.map(tierstack::BatchError::into_outcomes).unwrap_or_default();
    ensure!(matches!(&outcomes[..], [Ok(Some(film)), Err(_)] if film.film_id == 1), "{outcomes:?}");
    shelf.told("objects_by_pks([1, 13]), where 13 fails: film 1, and an error", &["films [13]"])?;

    println!("\nall as it should be");
    Ok(())
}
