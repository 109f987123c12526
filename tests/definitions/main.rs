//! A program is replaced by one whose pipelines have other lists of steps, while runs are open.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod goes_on;
mod is_left;
mod stages;
mod versions;
mod workers;
mod sweep;
