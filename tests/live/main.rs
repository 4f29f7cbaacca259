//! The same promises on a private Redis and Postgres, which the run starts itself and ends by pid.

mod counts;
mod model;
mod rig;
