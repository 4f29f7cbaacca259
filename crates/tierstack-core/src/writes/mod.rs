//! The write side: what a write touches, and how every tier and node learns of it.
//!
//! 1. [`Touched`] names records: rows, and what rests on them. A [`Mark`] says what is left at each.
//! 2. L2 is told first, a part of the keys at a time; then this node forgets; then the write is acknowledged.
//! 3. What did not reach L2, of a write that has ended, is *kept*: bounded, the newest of each key, sent again with growing
//!    pauses until it is delivered, and once more by a shutdown. Beyond the bound a key's whole entity is kept instead.
//! 4. A [`Write`] of any origin holds what it touches while it is under way; see its page. What it stored it may put into L2
//!    under the right that it claimed with the hold.
//! 5. While a key is kept, lookups of this node go past L2 for it, and fill nothing: no older record answers them when L2 is
//!    back before the invalidation is. Other nodes may answer it from there till then: the caller is told.
//! 6. An invalidation that a task calls while a transaction of its own is open takes effect, and is told to be too early.

mod delivery;
mod mark;
mod open;
mod put;
mod retry;
mod settings;
mod stats;
mod touched;
mod undelivered;
mod view;
mod write;

pub(crate) use delivery::{Writes, deliver};
pub use mark::{Mark, Marked};
pub use open::OpenTransaction;
pub use put::Put;
pub use settings::{WithoutL2, WriteSettings};
pub use stats::WriteStats;
pub use touched::Touched;
pub(crate) use view::View;
pub use write::Write;
