//! Limits that are held by the repository: how many runs run or are worked on, and how often a step is started.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod running;
mod rates;
mod sweep;
