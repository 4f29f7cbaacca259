//! One load shared by many callers: who follows whom, how flights end, and what they cost nobody.

mod between;
mod cancellation;
mod deadlines;
mod drops;
mod ends;
mod failed_keys;
mod invalidation;
mod limits;
mod lists;
mod merged_reentry;
mod merging;
mod own_fault;
mod own_keys;
mod private;
mod reentry;
mod rig;
mod sharing;
mod shutdown;
mod stampede;
mod terms;
mod watching;
