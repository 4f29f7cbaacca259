//! Nodes that hear of each other's writes, that are deaf, and that hear again.

mod deaf;
mod messages;
mod resuming;
mod rig;
mod tasks;
