//! Lists and secondary keys: cached as primary keys, hydrated from the rows that all lists share.
//!
//! ```text
//! cargo run --example lists
//! ```

use anyhow::{Context, Result, ensure};
use examples::shelf::{Film, Shelf};
use tierstack::{L1, MemoryTier, Namespace, Query};

#[tokio::main]
async fn main() -> Result<()> {
    let shelf = Shelf::new();
    let shop = Namespace::builder("shop").l2(MemoryTier::new(1_000)).build()?;
    let films = shop.cache().l1(L1::capacity(1_000)).origin(shelf.origin()).build()?;
    let by_rating = Query::<Film>::list("by_rating").param::<String>("rating").build()?;
    let by_title = Query::<Film>::one("by_title").param::<String>("title").build()?;
    let (pg, r) = (by_rating.bind(("PG".to_owned(),)), by_rating.bind(("R".to_owned(),)));
    println!("{:<62} the table was asked\n", "step");

    let listed = films.list(&pg).await?;
    ensure!(listed.iter().map(|film| film.film_id).collect::<Vec<_>>() == [1, 3, 5]);
    shelf.told("list(PG): its keys, then its films", &[r#"by_rating [Text("PG")]"#, "films [1, 3, 5]"])?;
    films.list(&pg).await?;
    films.get(3).await?;
    shelf.told("list(PG) and film 3 again", &[])?;

    let found = films.objects_by(&by_title, ["Film 3", "Film 4", "no such film"]).await?;
    let ids: Vec<Option<i32>> = found.iter().map(|film| film.as_ref().map(|film| film.film_id)).collect();
    ensure!(ids == [Some(3), Some(4), None], "{ids:?}");
    let asked = ["Film 3", "Film 4", "no such film"].map(|title| format!("by_title [Text({title:?})]"));
    let asked: Vec<&str> = asked.iter().map(String::as_str).chain(["films [4]"]).collect();
    shelf.told("objects_by(title): three titles, and the film that was missing", &asked)?;

    ensure!(films.list(&r).await?.len() == 3);
    shelf.told(
        "list(R): its keys, and the films that no list had",
        &[r#"by_rating [Text("R")]"#, "films [2, 6]"],
    )?;

    // Film 3 is no longer PG: lists are asked for again, and rows that weren't written stay.
    shelf.write(Film { film_id: 3, title: "Film 3".into(), rating: "R".into() });
    films.invalidate([3]).await?;
    ensure!(films.list(&pg).await?.len() == 2 && films.list(&r).await?.len() == 4);
    let asked = [r#"by_rating [Text("PG")]"#, r#"by_rating [Text("R")]"#, "films [3]"];
    shelf.told("film 3 is written, and both lists asked again", &asked)?;
    let third = films.one(&by_title.bind(("Film 3".to_owned(),))).await?.context("film 3 is gone")?;
    ensure!(third.rating == "R");
    shelf.told("one(title = Film 3)", &[r#"by_title [Text("Film 3")]"#])?;

    println!("\nall as it should be");
    Ok(())
}
