//! The laws of a [`Tier`], as a suite that any tier can be held against.
//!
//! For authors of tiers; call it from a test with a tier that holds nothing yet, or no key beginning with the given
//! prefix.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tierstack_core::conformance::Violation> {
//! let tier = tierstack_core::MemoryTier::new(1_000);
//! let checked = tierstack_core::conformance::check(&tier, "any").await?;
//! assert!(checked > 30);
//! # Ok(()) }
//! ```

mod bench;
mod bus;
mod invalidations;
mod loads;
mod writes;

use std::fmt;

use bench::Bench;

use crate::Tier;

/// A law that the tier broke, and what was seen.
#[derive(Debug)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Checks the laws one after another; gives back how many statements held.
///
/// # Errors
/// The first [`Violation`].
pub async fn check(tier: &dyn Tier, prefix: &str) -> Result<usize, Violation> {
    let mut bench = Bench::new(tier, prefix);
    bench.leases().await?;
    bench.refreshes().await?;
    bench.fills().await?;
    bench.releases().await?;
    bench.invalidations().await?;
    bench.marks().await?;
    bench.holds().await?;
    bench.folded_holds().await?;
    bench.claims().await?;
    bench.spares().await?;
    bench.foreign_bytes().await?;
    bench.batches().await?;
    bench.lives().await?;
    // A tier may tell nobody.
    if let Some(bus) = tier.bus() {
        bench.bus(&*bus).await?;
    }
    Ok(bench.checked())
}
