//! The entity of a run, in three shapes of one table: whole, of another release, and a projection.

use serde::{Deserialize, Serialize};
use tierstack_core::{BoxError, Entity, Schema};
use tierstack_postgres::FromRow;
use tierstack_postgres::tokio_postgres::Row;

use crate::checker::State;
use crate::record::Seen;

/// Keys are `0..KEYS`: as many as a list's record has bits for.
pub const KEYS: u32 = 128;

/// Shelves are `0..SHELVES`.
pub const SHELVES: u8 = 4;

/// The slug of a row: one of two, so that a secondary key comes and goes.
#[must_use]
pub fn slug(pk: u32, parity: u8) -> String {
    format!("item-{pk}-{parity}")
}

/// Which of the two it is, if it is one of that row's.
#[must_use]
pub fn parity(pk: u32, text: &str) -> Option<u8> {
    (0..2).find(|parity| slug(pk, *parity) == text)
}

/// A row type that says what was seen of the row.
pub trait Shape: Entity<Pk = i32> + FromRow {
    /// What of that row it has.
    fn of(item: &Item) -> Self;

    /// What the checker is told.
    fn seen(&self) -> Seen;
}

fn number(of: i64) -> u64 {
    // A negative one is no version, and no write has it: the checker will say so.
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// What a shelf or slug that can't be becomes: no version has it.
const WRONG: u8 = 254;

fn shelf_code(shelf: i32) -> u8 {
    u8::try_from(shelf).ok().filter(|shelf| *shelf < SHELVES).unwrap_or(WRONG)
}

fn slug_code(pk: i32, text: &str) -> u8 {
    u32::try_from(pk).ok().and_then(|pk| parity(pk, text)).unwrap_or(WRONG)
}

/// The whole row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    item_id: i32,
    slug: String,
    shelf: i32,
    version: i64,
    op: i64,
}

impl Entity for Item {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("item").pk(["item_id"]).columns(["item_id", "slug", "shelf", "version", "op"])
    }

    fn pk(&self) -> i32 {
        self.item_id
    }
}

impl FromRow for Item {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(Item {
            item_id: row.try_get("item_id")?,
            slug: row.try_get("slug")?,
            shelf: row.try_get("shelf")?,
            version: row.try_get("version")?,
            op: row.try_get("op")?,
        })
    }
}

impl Item {
    /// A row as a write made it.
    #[must_use]
    pub fn new(pk: u32, state: State, version: u64, op: u64) -> Self {
        Item {
            item_id: pk.cast_signed(),
            slug: slug(pk, state.parity),
            shelf: state.shelf.into(),
            version: version.cast_signed(),
            op: op.cast_signed(),
        }
    }

    /// The column that lists are asked by.
    #[must_use]
    pub fn shelf(&self) -> i32 {
        self.shelf
    }

    /// The secondary key.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }
}

impl Shape for Item {
    fn of(item: &Item) -> Self {
        item.clone()
    }

    fn seen(&self) -> Seen {
        Seen::Row {
            version: number(self.version),
            op: number(self.op),
            shelf: Some(shelf_code(self.shelf)),
            parity: Some(slug_code(self.item_id, &self.slug)),
        }
    }
}

/// The row as the next release has it: the same name and key, another schema.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NextItem {
    item_id: i32,
    shelf: i64,
    version: i64,
    op: i64,
}

impl Entity for NextItem {
    type Pk = i32;

    fn schema() -> Schema {
        let columns = Schema::table("item").pk(["item_id"]).columns(["item_id", "version", "op"]);
        columns.column_as("shelf", "int8").version(1)
    }

    fn pk(&self) -> i32 {
        self.item_id
    }
}

impl FromRow for NextItem {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(NextItem {
            item_id: row.try_get("item_id")?,
            shelf: row.try_get("shelf")?,
            version: row.try_get("version")?,
            op: row.try_get("op")?,
        })
    }
}

impl Shape for NextItem {
    fn of(item: &Item) -> Self {
        let Item { item_id, slug: _, shelf, version, op } = *item;
        NextItem { item_id, shelf: shelf.into(), version, op }
    }

    fn seen(&self) -> Seen {
        Seen::Row {
            version: number(self.version),
            op: number(self.op),
            shelf: Some(i32::try_from(self.shelf).map_or(WRONG, shelf_code)),
            parity: None,
        }
    }
}

/// A projection: what of the row says which it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemMark {
    item_id: i32,
    version: i64,
    op: i64,
}

impl Entity for ItemMark {
    type Pk = i32;

    fn schema() -> Schema {
        Schema::table("item").pk(["item_id"]).columns(["item_id", "version", "op"]).projection("mark")
    }

    fn pk(&self) -> i32 {
        self.item_id
    }
}

impl FromRow for ItemMark {
    fn from_row(row: &Row) -> Result<Self, BoxError> {
        Ok(ItemMark {
            item_id: row.try_get("item_id")?,
            version: row.try_get("version")?,
            op: row.try_get("op")?,
        })
    }
}

impl Shape for ItemMark {
    fn of(item: &Item) -> Self {
        let Item { item_id, slug: _, shelf: _, version, op } = *item;
        ItemMark { item_id, version, op }
    }

    fn seen(&self) -> Seen {
        Seen::Row { version: number(self.version), op: number(self.op), shelf: None, parity: None }
    }
}
