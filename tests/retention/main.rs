//! What ended long ago is removed: by age, status and pipeline, trees as a whole, and nothing that may go on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;
mod prune;
mod trees;
mod worker;
mod sweep;
